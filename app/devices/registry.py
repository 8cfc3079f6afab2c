"""The registry of devices: binding, naming, placing, removing. `*_in` forms take the transaction of a larger act."""

from collections.abc import Callable
from typing import Any

import msgspec

from app.caller import Caller, demand
from app.devices import queries
from app.devices.access import Access
from app.devices.changes import change
from app.devices.memory import Live, Memory
from app.devices.model import (
    MESH,
    REGISTERED,
    BoundElsewhere,
    Device,
    DeviceEntry,
    DeviceFrozen,
    DeviceMoved,
    DeviceUnbound,
    GatewayUnfit,
    NewDevice,
    ProductUnknown,
    RoomUnknown,
    entry_of,
)
from app.devices.product.catalogue import Catalogue
from app.errors import NotFound
from app.homes import queries as home_queries
from app.homes.model import Home, Room
from app.homes.standing import Standings
from app.journal.model import Entry, Kind
from app.journal.service import Journal
from app.policy import SYSTEM, Action
from app.store.hub import read_hub
from app.store.retention import demand_room
from app.store.store import Store
from app.store.tx import Reader, Tx

# Below it a home is far from its most (store.retention), whatever else the same batch holds.
MANY = 25_000
# Told within the transaction in which a device leaves its home, before it is gone.
OnLeaving = Callable[[Tx, Caller, Device], None]


class Registry:
    """Which devices there are, in which home and room, under which name."""

    def __init__(
        self,
        store: Store,
        *,
        standings: Standings,
        memory: Memory,
        access: Access,
        catalogue: Catalogue,
        journal: Journal,
    ) -> None:
        self._store = store
        self._standings = standings
        self._memory = memory
        self._access = access
        self._catalogue = catalogue
        self._journal = journal
        self.on_leaving: list[OnLeaving] = []
        # Told within the transaction in which a device enters a home, or enters it anew.
        self.on_bound: list[Callable[[Tx, Caller, Device, NewDevice], None]] = []
        # Told on the event loop once the device is gone from the disk: links let it go.
        self.on_left: list[Callable[[Device], None]] = []

    # binding

    def bind_in(self, tx: Tx, by: Caller, new: NewDevice) -> Device:
        """Take proven hardware into a home, inside the join's transaction.

        The same hardware keeps its identity in the same home. Raises NotFound, Refused, ProductUnknown, RoomUnknown,
        GatewayUnfit, BoundElsewhere (another home has it, and it was not reset since), DeviceFrozen (this home keeps it
        out; another's that does so keeps it, too).
        """
        self.demand_pairing_in(tx, by, new.home_id)
        self._check(tx, new)
        known = queries.device_of_hardware(tx, new.hardware_id)
        if known is not None and known.home_id != new.home_id:
            # What is let in by hand has proved nothing: it takes no record from a home that kept one.
            free = known.unbound_at is not None and new.trust != REGISTERED
            if known.frozen_at is not None or (not free and not queries.was_reset(tx, new.hardware_id)):
                raise BoundElsewhere
            self._leave(tx, by, known)
            known = None
        if known is not None and known.frozen_at is not None:
            raise DeviceFrozen
        epoch = max(new.owner_epoch, queries.last_epoch(tx, new.hardware_id) + 1)
        device = self._add(tx, new, epoch) if known is None else self._rebind(tx, known, new, epoch)
        self._bond(tx, new, epoch)
        for told in self.on_bound:
            told(tx, by, device, new)
        kind = "device.added" if known is None else "device.rebound"
        data = {"product_id": device.product_id, "name": device.name}
        tx.record(by.actor, change(kind, device, data))
        self.note_in(tx, by, device, Kind.ADDED)
        return device

    def demand_pairing_in(self, tx: Tx, by: Caller, home_id: str) -> None:
        """Raise NotFound or Refused unless the caller may bring devices into that home."""
        demand(by.actor, Action.PAIR, self._standings.home_in(tx, by.actor, home_id), tx.moment)

    def _check(self, tx: Tx, new: NewDevice) -> None:
        entering = self._catalogue.get(new.product_id)
        if entering is None:
            raise ProductUnknown
        self.check_room_in(tx, new.home_id, new.room_id)
        if new.gateway_id is not None:
            self.check_gateway_in(tx, new.home_id, new.gateway_id)
            # No gateway behind a gateway: so nothing is ever behind itself.
            if entering.gateway:
                raise GatewayUnfit

    def check_gateway_in(self, reader: Reader, home_id: str, gateway_id: str) -> None:
        """Raise GatewayUnfit unless that is a gateway of this home: another home's is none."""
        gateway = queries.device(reader, gateway_id)
        product = None if gateway is None else self._catalogue.get(gateway.product_id)
        if gateway is None or gateway.home_id != home_id or product is None or not product.gateway:
            raise GatewayUnfit

    def check_room_in(self, tx: Tx, home_id: str, room_id: str | None) -> None:
        """Raise RoomUnknown unless that is a room of this home, or none."""
        # Another home's room is as unknown as one that never was.
        if room_id is not None and home_queries.room(tx, home_id, room_id) is None:
            raise RoomUnknown

    def demand_place_in(self, tx: Tx, home_id: str) -> None:
        """Raise TooMany where a home has as many devices as it may have."""
        # Counted on disk, which takes as long as there are devices, only when memory says that it matters.
        if self._memory.count(home_id) >= MANY:
            demand_room(tx, "devices", home_id)

    def _add(self, tx: Tx, new: NewDevice, epoch: int) -> Device:
        self.demand_place_in(tx, new.home_id)
        product = self._catalogue.get(new.product_id)
        device = Device(
            id=tx.new_id(),
            home_id=new.home_id,
            room_id=new.room_id,
            product_id=new.product_id,
            hardware_id=new.hardware_id,
            gateway_id=new.gateway_id,
            link=new.link,
            trust=new.trust,
            name=new.name.strip() or (product.name if product else new.product_id),
            icon=product.icon if product else "",
            position=0,
            firmware=new.firmware,
            serial=new.serial,
            owner_epoch=epoch,
            version=1,
            bound_at=tx.now,
            updated_at=tx.now,
            holder=read_hub(tx).hub_id,
            standby=_standby_in(tx, new, None),
        )
        queries.insert_device(tx, device)
        self._memory.devices.put(tx, device.id, Live(device, {}, None))
        return device

    def _rebind(self, tx: Tx, known: Device, new: NewDevice, epoch: int) -> Device:
        return self.replace_in(
            tx,
            known,
            room_id=known.room_id if new.room_id is None else new.room_id,
            product_id=new.product_id,
            gateway_id=new.gateway_id,
            link=new.link,
            trust=new.trust,
            firmware=new.firmware,
            serial=new.serial,
            owner_epoch=epoch,
            bound_at=known.bound_at if known.unbound_at is None else tx.now,
            unbound_at=None,
            holder=read_hub(tx).hub_id,
            standby=_standby_in(tx, new, known.standby),
        )

    def _bond(self, tx: Tx, new: NewDevice, epoch: int) -> None:
        queries.put_binding(tx, new.hardware_id, epoch, new.public_key)
        if new.credential is not None and new.public_key is not None:
            self._store.vault.keep(tx, queries.credential_row(new.hardware_id), new.credential)
            self._memory.bond(tx, new.hardware_id, new.public_key, new.credential, epoch)

    # entries

    async def update(self, by: Caller, device_id: str, **fields: Any) -> DeviceEntry:
        """Rename, give an icon or a place in the order, move to a room (None: to no room).

        `fields` are those of Device that change. Raises NotFound, Refused, VersionMismatch, RoomUnknown.
        """
        return await self._store.write(
            lambda tx: self.update_in(tx, by, device_id, fields), once=by.once, returns=DeviceEntry
        )

    def update_in(self, tx: Tx, by: Caller, device_id: str, fields: dict[str, Any]) -> DeviceEntry:
        """`update` inside `tx`."""
        old = self.changing_in(tx, by, Action.DEVICE_UPDATE, device_id)
        by.match(old.version)
        if "room_id" in fields:
            self.check_room_in(tx, old.home_id, fields["room_id"])
        device = self.replace_in(tx, old, **fields)
        seen = {name: value for name, value in fields.items() if name != "room_id"}
        if seen:
            tx.record(by.actor, change("device.updated", device, seen))
        if "room_id" in fields:
            # Rooms are the home's own affair: receivers of shares are not told.
            tx.record(by.actor, change("device.moved", device, {"room_id": device.room_id}, Action.ROOM_READ))
        return entry_of(device)

    def runs_in(self, tx: Tx, device_id: str, firmware: str) -> None:
        """The device says which firmware it runs (empty: it does not say). Raises NotFound where it is not in use."""
        device = queries.device(tx, device_id)
        if device is None or device.unbound_at is not None:
            raise NotFound
        if firmware not in ("", device.firmware):
            self.replace_in(tx, device, firmware=firmware)
            tx.record(SYSTEM, change("device.updated", device, {"firmware": firmware}))

    def changing_in(self, tx: Tx, by: Caller, action: Action, device_id: str) -> Device:
        """The device as it is on disk, if the caller may do `action`; raises NotFound, Refused."""
        demand(by.actor, action, self._access.device_in(tx, by.actor, device_id), tx.moment)
        device = queries.device(tx, device_id)
        if device is None:
            raise NotFound
        return device

    def room_removing_in(self, tx: Tx, by: Caller, room: Room) -> None:
        """A room ends: its devices are in no room from now on."""
        for old in queries.devices_where(tx, "room_id", room.id):
            device = self.replace_in(tx, old, room_id=None)
            tx.record(by.actor, change("device.moved", device, {"room_id": None}, Action.ROOM_READ))

    def replace_in(self, tx: Tx, old: Device, **fields: Any) -> Device:
        """Its entry with other `fields`, and its next version."""
        device = msgspec.structs.replace(old, version=old.version + 1, updated_at=tx.now, **fields)
        queries.update_device(tx, device)
        tx.after(lambda: self._memory.replaced(device))
        return device

    def raise_epoch_in(self, tx: Tx, device: Device, epoch: int) -> None:
        """The binding of its hardware is of this owner epoch from `tx` on; its entry is for who changes that."""
        queries.raise_epoch(tx, device.hardware_id, epoch)
        self._memory.raised(tx, device.hardware_id, epoch)

    # leaving

    async def remove(self, by: Caller, device_id: str) -> None:
        """Let a device go: it is told to forget this hub now, or at its next link. Raises NotFound, Refused."""
        await self._store.write(lambda tx: self.remove_in(tx, by, device_id), once=by.once, returns=type(None))

    def remove_in(self, tx: Tx, by: Caller, device_id: str) -> None:
        """`remove` inside `tx`; the devices behind a gateway leave with it."""
        device = self.changing_in(tx, by, Action.DEVICE_REMOVE, device_id)
        by.match(device.version)
        self._leave(tx, by, device)

    def home_dissolving_in(self, tx: Tx, by: Caller, home: Home) -> None:
        """A home ends, as its own rule allowed: so does the stay of its devices."""
        for device in queries.devices_where(tx, "home_id", home.id):
            if device.gateway_id is None:
                self._leave(tx, by, device)

    def in_the_way_in(self, reader: Reader, home_id: str) -> dict[str, int]:
        """How many devices a home has, that must be dealt with before it is dissolved."""
        return {"devices": len(queries.devices_where(reader, "home_id", home_id))}

    def known_in(self, reader: Reader, home_id: str, ids: frozenset[str]) -> frozenset[str]:
        """Those of `ids` that are devices of a home."""
        return queries.ids_in(reader, home_id, ids)

    def linked_in(self, reader: Reader, home_id: str) -> list[str]:
        """The devices of a home with a link of their own over its network: not those behind gateways, or of a mesh."""
        found = queries.devices_where(reader, "home_id", home_id)
        return [it.id for it in found if it.gateway_id is None and it.link != MESH]

    async def was_let_go(self, hardware_id: str) -> bool:
        """Whether that hardware was in a home, and is in none since it was removed."""
        return await self._store.read(lambda reader: queries.was_unbound(reader, hardware_id))

    def unbind_in(self, tx: Tx, by: Caller, device: Device) -> None:
        """A device stays in its home and is in no use; its hardware is known only to be told so."""
        queries.mark_binding(tx, device.hardware_id, "unbound_at")
        self._memory.unbound(tx, device)
        # One that was frozen has to come once more, to be told.
        unbound = self.replace_in(tx, device, unbound_at=tx.now, frozen_at=None)
        tx.record(by.actor, change("device.unbound", unbound, {"name": device.name}))
        self.let_go_in(tx, device)

    def leave_in(self, tx: Tx, by: Caller, device: Device) -> None:
        """A device leaves its home, and those behind it, for who has asked policy."""
        self._leave(tx, by, device)

    def demand_bound_in(self, reader: Reader, device_id: str) -> None:
        """Raise DeviceUnbound for a device that was reset; what is there no more is for others to say."""
        live = self._memory.get(device_id) if reader.is_as_in_memory else None
        device = queries.device(reader, device_id) if live is None else live.device
        if device is not None and device.unbound_at is not None:
            raise DeviceUnbound

    def demand_current_in(self, reader: Reader, known: Device) -> None:
        """Raise NotFound where the device has left since, DeviceMoved where it is bound anew, perhaps elsewhere."""
        live = self._memory.get(known.id) if reader.is_as_in_memory else None
        device = queries.device(reader, known.id) if live is None else live.device
        if device is None:
            raise NotFound
        if device.owner_epoch != known.owner_epoch:
            raise DeviceMoved

    def _leave(self, tx: Tx, by: Caller, device: Device) -> None:
        for behind in queries.devices_where(tx, "gateway_id", device.id):
            self._leave(tx, by, behind)
        for told in self.on_leaving:
            told(tx, by, device)
        self.note_in(tx, by, device, Kind.REMOVED)
        tx.record(by.actor, change("device.removed", device, {"name": device.name}))
        queries.mark_binding(tx, device.hardware_id, "unbound_at")
        queries.delete_device(tx, device.id)
        self._memory.left(tx, device)
        self.let_go_in(tx, device)

    def let_go_in(self, tx: Tx, device: Device) -> None:
        """From `tx` on no link has to do with a device as it was."""
        tx.after(lambda: self._tell_left(device))

    def _tell_left(self, device: Device) -> None:
        for told in self.on_left:
            told(device)

    def note_in(self, tx: Tx, by: Caller, device: Device, kind: Kind, *, hub: str = "hub") -> None:
        """Into a device's log, which is kept by the hub that holds it; `hub` is who did it where nobody did."""
        if self._memory.holds(device):
            source = by.actor.account_id or hub
            self._journal.write_in(tx, [Entry(device.id, device.home_id, tx.now, kind, source=source)])


def _standby_in(reader: Reader, new: NewDevice, former: str | None) -> str | None:
    """Who stands by for what is bound here: for what is behind a gateway, who does for that."""
    if new.gateway_id is not None:
        gateway = queries.device(reader, new.gateway_id)
        return None if gateway is None else gateway.standby
    return None if former == read_hub(reader).hub_id else former
