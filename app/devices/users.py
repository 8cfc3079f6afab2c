"""The people of devices. What is known of them goes with the device's stay in its home, and into no trail.

Events, audit and log say that somebody was added, changed or removed, by id alone: those are kept for a year.
"""

import msgspec

from app.caller import Caller, demand
from app.devices import user_queries as queries
from app.devices.access import Access
from app.devices.changes import change
from app.devices.model import Device
from app.devices.registry import Registry
from app.devices.user_model import DeviceUser, DeviceUserChange, NewDeviceUser
from app.errors import NotFound
from app.policy import Action, Actor
from app.store.retention import demand_room
from app.store.store import Store
from app.store.tx import Tx


class DeviceUsers:
    """Each raises NotFound, Refused."""

    def __init__(self, store: Store, access: Access, registry: Registry) -> None:
        self._store = store
        self._access = access
        self._registry = registry

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
        device = self._registry.changing_in(tx, by, Action.DEVICE_USER_MANAGE, device_id)
        demand_room(tx, "device_users", device_id)
        made = DeviceUser(id=tx.new_id(), device_id=device_id, version=1, **msgspec.structs.asdict(new))
        queries.insert(tx, made)
        record_in(tx, by, device, "device.user_added", made.id)
        return made

    async def change(self, by: Caller, device_id: str, user_id: str, change: DeviceUserChange) -> DeviceUser:
        """Something of one; raises VersionMismatch besides."""
        return await self._store.write(
            lambda tx: self.change_in(tx, by, device_id, user_id, change), once=by.once, returns=DeviceUser
        )

    def change_in(self, tx: Tx, by: Caller, device_id: str, user_id: str, change: DeviceUserChange) -> DeviceUser:
        """`change` inside `tx`."""
        device = self._registry.changing_in(tx, by, Action.DEVICE_USER_MANAGE, device_id)
        old = queries.user(tx, device_id, user_id)
        if old is None:
            raise NotFound
        by.match(old.version)
        fields = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not msgspec.UNSET}
        now = msgspec.structs.replace(old, version=old.version + 1, **fields)
        queries.update(tx, now)
        record_in(tx, by, device, "device.user_changed", user_id)
        return now

    async def remove(self, by: Caller, device_id: str, user_id: str) -> None:
        """End one."""
        await self._store.write(lambda tx: self.remove_in(tx, by, device_id, user_id), once=by.once, returns=type(None))

    def remove_in(self, tx: Tx, by: Caller, device_id: str, user_id: str) -> None:
        """`remove` inside `tx`."""
        device = self._registry.changing_in(tx, by, Action.DEVICE_USER_MANAGE, device_id)
        found = queries.user(tx, device_id, user_id)
        if found is None:
            raise NotFound
        by.match(found.version)
        queries.delete(tx, user_id)
        record_in(tx, by, device, "device.user_removed", user_id)


def record_in(tx: Tx, by: Caller, device: Device, kind: str, user_id: str) -> None:
    """Something befell one of them."""
    tx.record(by.actor, change(kind, device, {"user_id": user_id}, Action.DEVICE_USER_READ))
