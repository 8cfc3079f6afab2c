"""Every device as it is read: from memory, with its encoded bytes; changed by the writer's hooks, after the commit."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterator

import msgspec

from app.clock import to_time
from app.devices import queries
from app.devices.model import Bond, Device, DeviceFrozen, DeviceView
from app.devices.name_queries import all_names
from app.devices.shadow_state import Point, ServiceState
from app.store.hub import read_hub
from app.store.resident import Resident
from app.store.store import Store
from app.store.tx import Reader, Tx

_encode = msgspec.json.Encoder().encode


class Live:
    """A device, its services, whether it is there, and the bytes it is shown as until something of it changes."""

    __slots__ = ("_inside", "_outside", "device", "names", "online", "seen_at", "services")

    def __init__(self, device: Device, services: dict[str, ServiceState], seen_at: int | None) -> None:
        self.device = device
        self.services = services
        self.names: dict[str, dict[str, str]] = {}
        self.online = False
        self.seen_at = seen_at
        self._inside: bytes | None = None
        self._outside: bytes | None = None

    def changed(self) -> None:
        """The encoded bytes are old."""
        self._inside = self._outside = None

    def inside(self) -> bytes:
        """JSON of the device as members of its home see it."""
        if self._inside is None:
            self._inside = _encode(self.view())
        return self._inside

    def outside(self) -> bytes:
        """JSON of the device as the receiver of a share sees it: not where it stands, not its serial number."""
        if self._outside is None:
            self._outside = _encode(
                msgspec.structs.replace(
                    self.view(),
                    home_id=None,
                    room_id=None,
                    gateway_id=None,
                    position=0,
                    serial="",
                    link="",
                    trust="",
                    offline_alert_after=None,
                )
            )
        return self._outside

    def view(self) -> DeviceView:
        """As members of its home see it."""
        it = self.device
        return DeviceView(
            id=it.id,
            home_id=it.home_id,
            room_id=it.room_id,
            gateway_id=it.gateway_id,
            product_id=it.product_id,
            name=it.name,
            icon=it.icon,
            position=it.position,
            online=self.online,
            frozen=it.frozen_at is not None,
            last_seen_at=None if self.seen_at is None else to_time(self.seen_at),
            link=it.link,
            trust=it.trust,
            firmware=it.firmware,
            serial=it.serial,
            bound_at=to_time(it.bound_at),
            unbound_at=None if it.unbound_at is None else to_time(it.unbound_at),
            offline_alert_after=it.offline_alert_after,
            version=it.version,
            names=self.names,
            services={name: state.view() for name, state in self.services.items()},
        )

    def seen(self, at: int) -> None:
        """It was heard of at `at` (ms)."""
        self.seen_at = at
        self.changed()

    def reported(self, service: str, version: int, values: dict[str, Point]) -> None:
        """Values it reported are on disk."""
        state = self._service(service, version)
        state.reported.update(values)

    def desired(self, service: str, version: int, values: dict[str, Point | None]) -> None:
        """Values wanted of it (None: no longer) are on disk."""
        state = self._service(service, version)
        for name, point in values.items():
            if point is None:
                state.desired.pop(name, None)
            else:
                state.desired[name] = point

    def _service(self, service: str, version: int) -> ServiceState:
        self.changed()
        state = self.services.setdefault(service, ServiceState())
        state.version = version
        return state


class Memory:
    """All devices by id, by hardware id, and by home and room in order of id; and the bonds that prove them."""

    def __init__(self, store: Store) -> None:
        self._vault = store.vault
        # Which hub this is; None: it was never founded.
        self.hub_id: str | None = None
        self.devices: Resident[str, Live] = Resident(self._load)
        self.bonds: Resident[str, Bond] = Resident(lambda reader: queries.all_bonds(reader, self._vault))
        self._bound: dict[str, str] = {}
        self._hardware: list[str] = []
        self._removed: list[str] = []
        self._ids: dict[str, list[str]] = {}
        self.get = self.devices.get
        self.devices.watch(self._index)
        self.bonds.watch(self._index_bond)
        store.keep_resident(self.devices)
        store.keep_resident(self.bonds)

    def of_hardware(self, hardware_id: str) -> Device | None:
        """The device that piece of hardware is; none while it is unbound, or another hub holds it."""
        device = self.bound(hardware_id)
        return device if device is not None and self.holds(device) else None

    def bound(self, hardware_id: str) -> Device | None:
        """The device that piece of hardware is, whoever holds it; none while it is unbound."""
        live = self.get(self._bound.get(hardware_id, ""))
        return None if live is None else live.device

    def hardware(self, beginning: str) -> str | None:
        """The hardware id, of a device of a home here, that begins so; the first where there are several."""
        return _beginning(self._hardware, beginning)

    def removed_hardware(self, beginning: str) -> str | None:
        """As `hardware`, of a device that was let go and has perhaps not heard of it."""
        return _beginning(self._removed, beginning)

    def in_place(self, place_id: str, after: str | None = None) -> Iterator[Live]:
        """The devices of a home, a room or a gateway in order of id, those after the id `after`."""
        ids = self._ids.get(place_id, [])
        for device_id in ids[0 if after is None else bisect_right(ids, after) :]:
            if (live := self.get(device_id)) is not None:
                yield live

    def count(self, place_id: str) -> int:
        """How many devices a home, a room or a gateway has."""
        return len(self._ids.get(place_id, ()))

    def holds(self, device: Device) -> bool:
        """Whether it is this hub that holds it: another's links are not for this one's."""
        return device.holder is None or device.holder == self.hub_id

    def holder_of(self, device: Device) -> str:
        """The id of the hub that holds it; empty: none does."""
        return (self.hub_id if device.holder is None else device.holder) or ""

    def is_frozen(self, device_id: str) -> bool:
        """Whether a device, or the gateway it is behind, is kept out: the one question every link asks."""
        live = self.get(device_id)
        if live is None:
            return False
        gateway = None if live.device.gateway_id is None else self.get(live.device.gateway_id)
        return live.device.frozen_at is not None or (gateway is not None and gateway.device.frozen_at is not None)

    def demand_unfrozen_in(self, reader: Reader, device_id: str) -> None:
        """Raise DeviceFrozen for a device that is kept out; from disk unless memory says the same."""
        frozen = self.is_frozen(device_id) if reader.is_as_in_memory else queries.is_frozen(reader, device_id)
        if frozen:
            raise DeviceFrozen

    def replaced(self, device: Device) -> None:
        """`device` is on disk in place of what its entry was."""
        live = self.get(device.id)
        if live is None:
            return
        old, live.device = live.device, device
        live.changed()
        self._move(old, device)

    def named(self, device_id: str, names: dict[str, dict[str, str]]) -> None:
        """What people call parts of a device is on disk."""
        if (live := self.get(device_id)) is not None:
            live.names = names
            live.changed()

    def bond(self, tx: Tx, hardware_id: str, public_key: bytes, credential: bytes, epoch: int) -> None:
        """What proves that hardware from `tx` on."""
        self.bonds.put(tx, hardware_id, Bond(public_key, credential, epoch, removed=False))

    def rebond_in(self, tx: Tx, hardware_ids: Collection[str]) -> None:
        """From `tx` on these are proved by what the disk has of them now."""
        found = queries.bonds_of(tx, self._vault, hardware_ids)

        def settle() -> None:
            for hardware_id in hardware_ids:
                if hardware_id in found or hardware_id in self.bonds:
                    self.bonds.change(hardware_id, found.get(hardware_id))

        tx.after(settle)

    def raised(self, tx: Tx, hardware_id: str, epoch: int) -> None:
        """From `tx` on the binding of that hardware is of this owner epoch."""

        def raise_() -> None:
            if (bond := self.bonds.get(hardware_id)) is not None:
                self.bonds.change(hardware_id, msgspec.structs.replace(bond, owner_epoch=epoch))

        tx.after(raise_)

    def undesired(self, tx: Tx, device_id: str, versions: dict[str, int]) -> None:
        """From `tx` on nothing is desired of a device; `versions` by service."""

        def forget() -> None:
            if (live := self.get(device_id)) is not None:
                for service, version in versions.items():
                    live.desired(service, version, dict.fromkeys(live.services[service].desired))

        if versions:
            tx.after(forget)

    def left(self, tx: Tx, device: Device) -> None:
        """From `tx` on there is no such device; its hardware is recognised, to be told so."""
        self.devices.drop(tx, device.id)
        self.unbound(tx, device)

    def unbound(self, tx: Tx, device: Device) -> None:
        """From `tx` on its hardware is recognised only to be told that it was let go."""

        def end() -> None:
            if (bond := self.bonds.get(device.hardware_id)) is not None and bond.owner_epoch <= device.owner_epoch:
                self.bonds.change(device.hardware_id, msgspec.structs.replace(bond, removed=True))

        tx.after(end)

    def _index(self, device_id: str, old: Live | None, new: Live | None) -> None:
        self._move(None if old is None else old.device, None if new is None else new.device)

    def _index_bond(self, hardware_id: str, old: Bond | None, new: Bond | None) -> None:
        if old is not None and old.removed:
            del self._removed[bisect_left(self._removed, hardware_id)]
        if new is not None and new.removed:
            insort(self._removed, hardware_id)

    def _move(self, old: Device | None, new: Device | None) -> None:
        before, after = _places(old), _places(new)
        for place in before - after:
            _drop(self._ids, place, old.id if old else "")
        for place in after - before:
            insort(self._ids.setdefault(place, []), new.id if new else "")
        if old is not None and old.unbound_at is None:
            del self._hardware[bisect_left(self._hardware, old.hardware_id)]
            self._bound.pop(old.hardware_id, None)
        if new is not None and new.unbound_at is None:
            insort(self._hardware, new.hardware_id)
            self._bound[new.hardware_id] = new.id

    def _load(self, reader: Reader) -> Iterator[tuple[str, Live]]:
        self.hub_id = read_hub(reader).hub_id
        shadows, names = queries.all_shadows(reader), all_names(reader)
        for device, seen_at in queries.all_devices(reader):
            live = Live(device, shadows.pop(device.id, {}), seen_at)
            live.names = names.pop(device.id, {})
            yield device.id, live


def _beginning(ids: list[str], beginning: str) -> str | None:
    at = bisect_left(ids, beginning)
    found = ids[at] if at < len(ids) else ""
    return found if found.startswith(beginning) else None


def _places(device: Device | None) -> set[str]:
    if device is None:
        return set()
    gateway_id = device.gateway_id if device.unbound_at is None else None
    return {place for place in (device.home_id, device.room_id, gateway_id) if place is not None}


def _drop(ids: dict[str, list[str]], place: str, device_id: str) -> None:
    inside = ids[place]
    del inside[bisect_left(inside, device_id)]
    if not inside:
        del ids[place]
