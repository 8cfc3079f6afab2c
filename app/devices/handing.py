"""Which of its home's hubs holds a device, and which one stands by (app/sync/PROTOCOL.md 5).

What the registry says is told to the device, and followed by it, at its links (`app.links.holding`).
"""

from collections.abc import Callable
from typing import Any, Final, Protocol

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from app.caller import BY_SYSTEM, Caller, demand
from app.devices import queries
from app.devices.access import Access
from app.devices.changes import change
from app.devices.memory import Memory
from app.devices.model import BLE, LAN, REGISTERED, SENSOR, Device
from app.devices.registry import Registry
from app.devices.transfers import BehindGateway
from app.errors import Conflict, NotFound
from app.policy import Action, Actor
from app.store.store import Store
from app.store.tx import Reader, Tx

# How those are reached that can be handed over: they are told whose they are, but for a sensor, to which who holds it
# listens.
_HANDED: Final = frozenset({LAN, BLE, SENSOR})


class HubUnfit(Conflict):
    """Devices cannot be told of that hub: it does not serve this home, or has not been let in to its secrets yet."""

    code = "hub_unfit"
    hint = "`doorstep home keys` shows the home's hubs, and at a new one the code by which it is let in."


class NotHandedOver(Conflict):
    """A device that is reached in this way cannot be told to go to another hub."""

    code = "not_handed_over"
    hint = "Add it at the other hub; it keeps its name, room and history in this home."


class HubChoice(Struct, frozen=True):
    """A hub that can hold a device of this home."""

    id: str
    name: str


class DeviceHubs(Struct, frozen=True):
    """`hub_id` null: no hub holds it; `standby_id` null: nobody stands by. `version` is the ETag of its entry.

    `hubs` are those of the home that can.
    """

    device_id: str
    hub_id: str | None
    standby_id: str | None
    version: int
    hubs: list[HubChoice]


class HubsOfHomes(Protocol):
    """Of which hubs the devices of a home can be told."""

    def fit_in(self, reader: Reader, home_id: str) -> list[HubChoice]:
        """All of them, in order of id."""


class NoHubs:
    """Without a cloud there is but this one."""

    def fit_in(self, reader: Reader, home_id: str) -> list[HubChoice]:
        return []


class Handing:
    """`hubs` is set by the server. Told on the event loop, of a device whose hubs are others: `on_changed`."""

    def __init__(self, store: Store, *, memory: Memory, access: Access, registry: Registry) -> None:
        self._store = store
        self._memory = memory
        self._access = access
        self._registry = registry
        self.hubs: HubsOfHomes = NoHubs()
        self.on_changed: list[Callable[[Device], None]] = []

    async def hubs_of(self, actor: Actor, device_id: str) -> DeviceHubs:
        """Who holds a device, and who else can; raises NotFound, Refused."""
        demand(actor, Action.PAIR, self._access.device(actor, device_id), self._store.clock.now())

        def read(reader: Reader) -> DeviceHubs:
            if (device := queries.device(reader, device_id)) is None:
                raise NotFound
            return self._shown_in(reader, device)

        return await self._store.read(read)

    def _shown_in(self, reader: Reader, device: Device) -> DeviceHubs:
        holder, fit = self._memory.holder_of(device), self.hubs.fit_in(reader, device.home_id)
        return DeviceHubs(device.id, holder or None, device.standby, device.version, fit)

    async def change(
        self, by: Caller, device_id: str, hub_id: str | UnsetType = UNSET, standby_id: str | UnsetType | None = UNSET
    ) -> DeviceHubs:
        """Have that hub hold the device, and those behind it; and that one stand by, by itself the former holder.

        Raises NotFound, Refused, VersionMismatch, DeviceUnbound, DeviceFrozen, BehindGateway, NotHandedOver, HubUnfit.
        """
        return await self._store.write(
            lambda tx: self.change_in(tx, by, device_id, hub_id, standby_id), once=by.once, returns=DeviceHubs
        )

    def change_in(
        self,
        tx: Tx,
        by: Caller,
        device_id: str,
        hub_id: str | UnsetType = UNSET,
        standby_id: str | UnsetType | None = UNSET,
    ) -> DeviceHubs:
        """`change` inside `tx`."""
        old = self._registry.changing_in(tx, by, Action.PAIR, device_id)
        by.match(old.version)
        self._demand_handed_in(tx, old)
        was = self._shown_in(tx, old)
        now = (_wanted_of_sensor if old.link == SENSOR else _wanted)(was, hub_id, standby_id)
        if now == was:
            return was
        if not {now.hub_id, now.standby_id} <= {None, was.hub_id, *(it.id for it in was.hubs)}:
            raise HubUnfit
        moved = {} if now.hub_id == was.hub_id else {"holder": now.hub_id}
        device = self._put_in(tx, by, old, {**moved, "standby": now.standby_id})
        return replace(now, version=device.version)

    def _demand_handed_in(self, tx: Tx, device: Device) -> None:
        if device.gateway_id is not None:
            raise BehindGateway("What is behind a gateway is held by the hub that holds the gateway.")
        if device.link not in _HANDED or device.trust == REGISTERED:
            raise NotHandedOver
        self._registry.demand_bound_in(tx, device.id)
        self._memory.demand_unfrozen_in(tx, device.id)

    async def take_over(self, device_id: str, epoch: int = 0) -> bool:
        """A device is to stay with this hub, under a later epoch than it has, and than `epoch`; whether it does.

        This hub stands by for it, or for the gateway it is behind, or holds that; or holds it itself.
        """
        return await self._store.write(lambda tx: self.take_over_in(tx, device_id, epoch))

    def take_over_in(self, tx: Tx, device_id: str, epoch: int = 0) -> bool:
        """`take_over` inside `tx`."""
        old, hub_id = queries.device(tx, device_id), self._memory.hub_id
        if old is None or old.unbound_at is not None:
            return False
        gateway = None if old.gateway_id is None else queries.device(tx, old.gateway_id)
        if self._memory.holds(old):
            standby = old.standby
        elif gateway is not None and self._memory.holds(gateway):
            standby = gateway.standby
        elif old.standby == hub_id:
            standby = old.holder or None
        else:
            return False
        self._put_in(tx, BY_SYSTEM, old, {"holder": hub_id, "standby": standby}, epoch)
        return True

    def _put_in(self, tx: Tx, by: Caller, old: Device, fields: dict[str, Any], epoch: int = 0) -> Device:
        behind = queries.devices_where(tx, "gateway_id", old.id)
        device, *_ = [self._put_one_in(tx, by, each, fields, epoch) for each in (old, *behind)]
        self.told_in(tx, device)
        return device

    def _put_one_in(self, tx: Tx, by: Caller, old: Device, fields: dict[str, Any], epoch: int) -> Device:
        raised = max(old.owner_epoch, epoch) + 1 if "holder" in fields else old.owner_epoch
        if raised != old.owner_epoch:
            self._registry.raise_epoch_in(tx, old, raised)
        device = self._registry.replace_in(tx, old, **fields, owner_epoch=raised)
        tx.record(by.actor, change("device.updated", device, fields, Action.ROOM_READ))
        if self._memory.holds(old) and not self._memory.holds(device):
            self._registry.let_go_in(tx, old)
        return device

    def told_in(self, tx: Tx, device: Device) -> None:
        """From `tx` on the hubs of a device are others, as another node has said."""
        tx.after(lambda: self._tell(device))

    def _tell(self, device: Device) -> None:
        for told in self.on_changed:
            told(device)


def _wanted(was: DeviceHubs, hub_id: str | UnsetType, standby_id: str | UnsetType | None) -> DeviceHubs:
    """`was` with what is wanted; raises HubUnfit."""
    if hub_id is UNSET or hub_id == was.hub_id:
        standby = was.standby_id if standby_id is UNSET else standby_id
        if standby is not None and standby == was.hub_id:
            raise HubUnfit("A hub does not stand by for itself.")
        return replace(was, standby_id=standby)
    if standby_id not in (UNSET, was.hub_id):
        raise HubUnfit("As a device is handed over, the hub that held it stands by: it tells the device where to go.")
    return replace(was, hub_id=hub_id, standby_id=was.hub_id)


def _wanted_of_sensor(was: DeviceHubs, hub_id: str | UnsetType, standby_id: str | UnsetType | None) -> DeviceHubs:
    """The same where nobody has to tell it anything; raises HubUnfit."""
    if standby_id not in (UNSET, None):
        raise HubUnfit("Nobody stands by for a sensor: hand it to the hub that hears it.")
    return was if hub_id is UNSET else replace(was, hub_id=hub_id)
