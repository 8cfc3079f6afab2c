"""A cloud's end of reports: taken from the hub that holds a device, and from nobody else (PROTOCOL.md 9)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from app.clock import LAST_MS
from app.devices import queries as device_queries
from app.devices.model import Device
from app.devices.presence import Presence
from app.devices.service import Devices
from app.store.store import Store
from app.store.tx import Tx
from app.sync import mirror_queries
from app.sync.cloud_end import Peer
from app.sync.reflecting import Reflecting, Told
from app.sync.wire import Answer, DeviceState, Done, Failed, Reports

# Twice what a hub tells at once: its services' devices, and those that came or went.
MOST_DEVICES: Final = 2_000
# The way by which a device is there where another hub holds it.
LINK: Final = "hub"


class ReportsIn:
    """What hubs say of their devices is what people see at the cloud, while their hub is connected."""

    def __init__(self, store: Store, devices: Devices, reflecting: Reflecting) -> None:
        self._store = store
        self._devices = devices
        self._memory = devices.memory
        self._reflecting = reflecting
        # By hub, the devices that it has said are there.
        self._there: dict[str, set[str]] = {}
        # On the event loop: the home, and devices of which their hub has said something.
        self.on_shown: list[Callable[[str, list[str]], None]] = []

    async def heard(self, peer: Peer, request: Reports) -> Answer:
        """All of it in one act; the hub serves the home."""
        if len(request.devices) > MOST_DEVICES:
            return Failed(0, "too_many", f"At most {MOST_DEVICES} devices are told of at once.", False)
        return await self._store.write(lambda tx: self._heard_in(tx, peer, request.home, request.devices))

    def _heard_in(self, tx: Tx, peer: Peer, home_id: str, states: Sequence[DeviceState]) -> Done:
        taken: list[tuple[Device, DeviceState]] = []
        refused: list[str] = []
        for state in states:
            device = device_queries.device(tx, state.device_id)
            if device is None or not _is_holder(peer, home_id, device, state):
                refused.append(state.device_id)
            else:
                taken.append((device, state))
        self._show_in(tx, peer, home_id, taken)
        tx.after(partial(self._show, peer.hub_id, home_id, [state for _, state in taken]))
        return Done(0, refused=refused)

    def _show_in(self, tx: Tx, peer: Peer, home_id: str, taken: Sequence[tuple[Device, DeviceState]]) -> None:
        said = [(device, state, service) for device, state in taken for service in state.services]
        first = mirror_queries.give_places(tx, home_id, len(said)) if said else 0
        for place, (device, state, (name, version, reported, desired)) in enumerate(said, first):
            told = Told(peer.node, state.owner_epoch, name, version, reported, desired)
            self._reflecting.told_in(tx, device, told, place)

    def _show(self, hub_id: str, home_id: str, states: Sequence[DeviceState]) -> None:
        there = self._there.setdefault(hub_id, set())
        for state in states:
            show_presence(self._devices.presence, there, state)
        for told in self.on_shown:
            told(home_id, [state.device_id for state in states])

    def disconnected(self, peer: Peer) -> None:
        """Its last connection has ended: nobody knows of its devices any more, unless it is back within the grace."""
        for device_id in self._there.pop(peer.hub_id, set()):
            live = self._memory.get(device_id)
            if live is not None and live.device.holder == peer.hub_id:
                self._devices.presence.offline(device_id, LINK)


def show_presence(presence: Presence, there: set[str], state: DeviceState) -> None:
    """Whether a device is there, by its hub's word, of which all that are there stand in `there`."""
    (there.add if state.online else there.discard)(state.device_id)
    seen_at = state.seen_at if state.seen_at is not None and 0 <= state.seen_at <= LAST_MS else None
    presence.told(state.device_id, LINK, online=state.online, seen_at=seen_at)


def _is_holder(peer: Peer, home_id: str, device: Device, state: DeviceState) -> bool:
    """It holds the device, as the one it was bound to last."""
    here = device.home_id == home_id and device.unbound_at is None
    return here and device.holder == peer.hub_id and device.owner_epoch == state.owner_epoch
