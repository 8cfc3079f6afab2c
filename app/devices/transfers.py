"""A device goes to another home of somebody who runs both, without being paired anew.

It is the same device there, with its name and those of its parts, its values and its links. What was the old home's
stays or ends there: room, groups, shares, what was asked of it, and its log. Who it tells apart were people of the old
home, so they are forgotten. Its owner epoch is raised: what was said under the former one counts no more.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec.structs import replace

from app.caller import Caller
from app.devices import queries
from app.devices import user_queries as users
from app.devices.changes import change
from app.devices.memory import Memory
from app.devices.model import Device, DeviceEntry, entry_of
from app.devices.registry import OnLeaving, Registry
from app.errors import Conflict
from app.journal.model import Entry, Kind
from app.journal.service import Journal
from app.policy import Action
from app.store.store import Store
from app.store.tx import Tx


class AlreadyInHome(Conflict):
    """The device is in that home already."""

    code = "already_in_home"


class BehindGateway(Conflict):
    """The device is reached through a gateway, and goes where that goes."""

    code = "behind_gateway"
    hint = "Transfer its gateway, or remove it there and add it in the other home."


class Transfers:
    """Told within the transaction, of each device as it was: `on_moving`, which may raise what keeps it from moving.

    Told on the event loop once it is on disk, of each device as it is: `on_moved`.
    """

    def __init__(self, store: Store, *, memory: Memory, registry: Registry, journal: Journal) -> None:
        self._store = store
        self._memory = memory
        self._registry = registry
        self._journal = journal
        self.on_moving: list[OnLeaving] = []
        self.on_moved: list[Callable[[Device], None]] = []

    async def transfer(self, by: Caller, device_id: str, home_id: str, room_id: str | None = None) -> DeviceEntry:
        """Move a device, and those behind it, to a home in which the caller may pair devices.

        Raises NotFound, Refused (in either home), VersionMismatch, AlreadyInHome, BehindGateway, DeviceUnbound,
        RoomUnknown, TooMany.
        """
        return await self._store.write(
            lambda tx: self.transfer_in(tx, by, device_id, home_id, room_id), once=by.once, returns=DeviceEntry
        )

    def transfer_in(self, tx: Tx, by: Caller, device_id: str, home_id: str, room_id: str | None = None) -> DeviceEntry:
        """`transfer` inside `tx`."""
        old = self._registry.changing_in(tx, by, Action.DEVICE_TRANSFER, device_id)
        self._registry.demand_pairing_in(tx, by, home_id)
        by.match(old.version)
        if old.home_id == home_id:
            raise AlreadyInHome
        if old.gateway_id is not None:
            raise BehindGateway
        self._registry.demand_bound_in(tx, device_id)
        self._registry.check_room_in(tx, home_id, room_id)
        self._registry.demand_place_in(tx, home_id)
        for behind in queries.devices_where(tx, "gateway_id", device_id):
            self._move_in(tx, by, behind, home_id, None)
        return entry_of(self._move_in(tx, by, old, home_id, room_id))

    def _move_in(self, tx: Tx, by: Caller, old: Device, home_id: str, room_id: str | None) -> Device:
        epoch = max(old.owner_epoch, queries.last_epoch(tx, old.hardware_id)) + 1
        self._registry.raise_epoch_in(tx, old, epoch)
        return self.moved_in(tx, by, old, home_id=home_id, room_id=room_id, owner_epoch=epoch)

    def moved_in(self, tx: Tx, by: Caller, old: Device, **fields: Any) -> Device:
        """A device is in another home from now on, and its entry has these `fields`; raises what `on_moving` does."""
        for told in self.on_moving:
            told(tx, by, old)
        users.delete_of_device(tx, old.id)
        self._memory.undesired(tx, old.id, queries.drop_desired(tx, old.id))
        fresh = {"position": 0, "bound_at": tx.now, "offline_alert_after": None, "standby": None}
        device = self._registry.replace_in(tx, old, **fresh | fields)
        self._tell_in(tx, by, old, device)
        tx.after(partial(self._tell_moved, device))
        return device

    def _tell_in(self, tx: Tx, by: Caller, old: Device, device: Device) -> None:
        """To the old home it has left, to the new one it is new."""
        source, data = by.actor.account_id or "hub", {"name": device.name, "transferred": True}
        if self._memory.holds(device):
            noted = Entry(old.id, old.home_id, tx.now, Kind.REMOVED, value='{"transferred":true}', source=source)
            self._journal.write_in(tx, [noted, replace(noted, home_id=device.home_id, type=Kind.ADDED)])
        tx.record(by.actor, change("device.removed", old, data))
        tx.record(by.actor, change("device.added", device, {"product_id": device.product_id, **data}))

    def _tell_moved(self, device: Device) -> None:
        for told in self.on_moved:
            told(device)
