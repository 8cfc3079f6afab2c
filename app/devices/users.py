"""The people of devices. What is known of them goes with the device's stay in its home, and into no trail.

Events, audit and log say that somebody was added, changed or removed, by id alone: those are kept for a year.
"""

import msgspec

from app.caller import Caller, demand
from app.devices import queries as device_queries
from app.devices import user_queries as queries
from app.devices.access import Access
from app.devices.model import Device
from app.devices.user_model import DeviceUser, DeviceUserChange, NewDeviceUser
from app.errors import NotFound
from app.policy import Action, Actor
from app.store.retention import demand_room
from app.store.store import Store
from app.store.tx import Change, Tx


class DeviceUsers:
    """Each raises NotFound, Refused."""

    def __init__(self, store: Store, access: Access) -> None:
        self._store = store
        self._access = access

    async def page(self, actor: Actor, device_id: str, after: str | None, limit: int) -> list[DeviceUser]:
        """Those of a device in the order they were added, those after the id `after`, at most `limit`."""
        self._demand_read(actor, device_id)
        return await self._store.read(lambda reader: queries.users(reader, device_id, after, limit))

    async def get(self, actor: Actor, device_id: str, user_id: str) -> DeviceUser:
        """One of them."""
        self._demand_read(actor, device_id)
        found = await self._store.read(lambda reader: queries.user(reader, device_id, user_id))
        if found is None:
            raise NotFound
        return found

    def _demand_read(self, actor: Actor, device_id: str) -> None:
        resource = self._access.device(actor, device_id)
        demand(actor, Action.DEVICE_USER_READ, resource, self._store.clock.now())

    async def add(self, by: Caller, device_id: str, new: NewDeviceUser) -> DeviceUser:
        """One more; raises TooMany besides."""
        return await self._store.write(lambda tx: self.add_in(tx, by, device_id, new), once=by.once, returns=DeviceUser)

    def add_in(self, tx: Tx, by: Caller, device_id: str, new: NewDeviceUser) -> DeviceUser:
        """`add` inside `tx`."""
        device = self._device_in(tx, by, device_id)
        demand_room(tx, "device_users", device_id)
        made = DeviceUser(id=tx.new_id(), device_id=device_id, version=1, **msgspec.structs.asdict(new))
        queries.insert(tx, made)
        self._record(tx, by, device, "device.user_added", made.id)
        return made

    async def change(self, by: Caller, device_id: str, user_id: str, change: DeviceUserChange) -> DeviceUser:
        """Something of one; raises VersionMismatch besides."""
        return await self._store.write(
            lambda tx: self.change_in(tx, by, device_id, user_id, change), once=by.once, returns=DeviceUser
        )

    def change_in(self, tx: Tx, by: Caller, device_id: str, user_id: str, change: DeviceUserChange) -> DeviceUser:
        """`change` inside `tx`."""
        device = self._device_in(tx, by, device_id)
        old = queries.user(tx, device_id, user_id)
        if old is None:
            raise NotFound
        by.match(old.version)
        fields = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not msgspec.UNSET}
        now = msgspec.structs.replace(old, version=old.version + 1, **fields)
        queries.update(tx, now)
        self._record(tx, by, device, "device.user_changed", user_id)
        return now

    async def remove(self, by: Caller, device_id: str, user_id: str) -> None:
        """End one."""
        await self._store.write(lambda tx: self.remove_in(tx, by, device_id, user_id), once=by.once, returns=type(None))

    def remove_in(self, tx: Tx, by: Caller, device_id: str, user_id: str) -> None:
        """`remove` inside `tx`."""
        device = self._device_in(tx, by, device_id)
        found = queries.user(tx, device_id, user_id)
        if found is None:
            raise NotFound
        by.match(found.version)
        queries.delete(tx, user_id)
        self._record(tx, by, device, "device.user_removed", user_id)

    def _device_in(self, tx: Tx, by: Caller, device_id: str) -> Device:
        demand(by.actor, Action.DEVICE_USER_MANAGE, self._access.device_in(tx, by.actor, device_id), tx.moment)
        device = device_queries.device(tx, device_id)
        if device is None:
            raise NotFound
        return device

    def _record(self, tx: Tx, by: Caller, device: Device, kind: str, user_id: str) -> None:
        sees, data = Action.DEVICE_USER_READ, {"user_id": user_id}
        tx.record(by.actor, Change(kind, "device", device.id, device.home_id, sees, data, device_id=device.id))
