"""A hub's reports to its cloud: what its devices are, newest only (PROTOCOL.md 1, 9).

On disk stands that something changed, a row for each service of a device however long the cloud is away; what it is now
is read when it is told. Whether devices are there is memory's alone, and said anew on each connection.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from app.caller import Caller
from app.devices import queries as device_queries
from app.devices.memory import Live
from app.devices.model import Device
from app.devices.service import Devices
from app.devices.shadow_state import Point
from app.store.store import Store
from app.store.tx import Reader, Tx
from app.sync import stream_queries as queries
from app.sync.line import Line
from app.sync.stream_queries import Mark
from app.sync.telling import Wake, taken
from app.sync.wire import DeviceState, Done, Reports

SERVICES_AT_ONCE: Final = 200
DEVICES_AT_ONCE: Final = 500
OCTETS_AT_ONCE: Final = 512 * 1024

Service = tuple[str, int, dict[str, tuple[Any, int]], dict[str, tuple[Any, int]]]


class _Batch(Struct):
    """What is told at once: `marks` go when it was taken, `full`: there may be more."""

    marks: list[Mark]
    gone: list[Mark]
    services: dict[str, list[Service]]
    full: bool


class ReportsOut:
    """`homes` says of each home with a log whether this node is its authority. `wake`: there is something to say."""

    def __init__(self, store: Store, devices: Devices, homes: Mapping[str, bool], wake: Wake) -> None:
        self._store = store
        self._memory = devices.memory
        self._homes = homes
        self._wake = wake
        # Of which devices the cloud is to hear whether they are there, by home; of which homes it was told of all.
        self._due: dict[str, dict[str, None]] = {}
        self._greeted: set[str] = set()
        devices.shadows.on_changed.append(self.changed_in)
        devices.presence.on_changed.append(self.came_or_went)
        devices.transfers.on_moving.append(self._moving_in)

    def changed_in(self, tx: Tx, device_id: str, service: str) -> None:
        """Within the act that changes a shadow. Nothing for homes without a cloud: it is the hottest of all."""
        if not self._homes:
            return
        live = self._memory.get(device_id)
        # One that is new in the same batch, memory does not know yet.
        device = device_queries.device(tx, device_id) if live is None else live.device
        if device is not None and self._is_told(device):
            queries.mark(tx, device_id, service)
            tx.after(self._wake.soon)

    def _moving_in(self, tx: Tx, by: Caller, device: Device) -> None:
        if self._homes and self._memory.holds(device):
            queries.mark_device(tx, device.id)

    def _is_told(self, device: Device) -> bool:
        return self._homes.get(device.home_id) is False and self._memory.holds(device)

    def came_or_went(self, device_id: str) -> None:
        """On the event loop; nothing of it goes to disk."""
        live = self._memory.get(device_id) if self._homes else None
        if live is not None and self._is_told(live.device):
            self._due.setdefault(live.device.home_id, {})[device_id] = None
            self._wake.soon()

    def connected(self) -> None:
        """The cloud takes nothing of what it was told before for the present."""
        self._due.clear()
        self._greeted.clear()

    async def speak(self, line: Line) -> bool:
        """A batch of each home; whether there is more."""
        more = False
        for level in await self._store.read(queries.level_homes):
            if level.begun != level.epoch:
                await self._store.write(lambda tx, it=level: queries.begin(tx, it.home_id, it.epoch))  # type: ignore[misc]
            more = await self._tell(line, level.home_id) or more
        return more

    async def _tell(self, line: Line, home_id: str) -> bool:
        due = self._take_due(home_id)
        batch = await self._store.read(lambda reader: _next(reader, home_id))
        if batch is None:
            self._due[home_id] = dict.fromkeys(due) | self._due.get(home_id, {})
            return False
        ids = dict.fromkeys([*batch.services, *due])
        lives = [live for each in ids if (live := self._memory.get(each)) is not None and self._is_told(live.device)]
        if lives:
            states = [_state(live, batch.services.get(live.device.id, [])) for live in lives]
            answer = taken(await line.ask(Reports(0, home_id, states)), Done)
            if answer is None:
                return False
        # Those that were refused too: another hub holds them, and tells of them.
        if done := batch.marks + batch.gone:
            await self._store.write(lambda tx: queries.unmark(tx, done))
        return batch.full or bool(self._due.get(home_id))

    def _take_due(self, home_id: str) -> list[str]:
        """Taken before they are told: what changes meanwhile is due again."""
        due = self._due.setdefault(home_id, {})
        if home_id not in self._greeted:
            self._greeted.add(home_id)
            due |= dict.fromkeys(live.device.id for live in self._memory.in_place(home_id))
        some = list(due)[:DEVICES_AT_ONCE]
        for device_id in some:
            del due[device_id]
        return some


def _next(reader: Reader, home_id: str) -> _Batch | None:
    """What is marked, and what it is now, from one view of the disk; None while there are facts to be said first."""
    if not queries.is_level(reader, home_id):
        return None
    marked = queries.marked(reader, home_id, SERVICES_AT_ONCE)
    batch = _Batch([], [mark for mark in marked if not mark.held], {}, len(marked) == SERVICES_AT_ONCE)
    octets = 0
    for mark in (mark for mark in marked if mark.held):
        if octets > OCTETS_AT_ONCE:
            batch.full = True
            break
        state = device_queries.service_state(reader, mark.device_id, mark.service)
        octets += sum(len(point.value) for points in (state.reported, state.desired) for point in points.values())
        service = (mark.service, state.version, values_of(state.reported), values_of(state.desired))
        batch.services.setdefault(mark.device_id, []).append(service)
        batch.marks.append(mark)
    return batch


def values_of(points: Mapping[str, Point]) -> dict[str, tuple[Any, int]]:
    """As they are told: each value with its time in ms."""
    return {name: (msgspec.json.decode(point.value), point.at) for name, point in points.items()}


def _state(live: Live, services: list[Service]) -> DeviceState:
    return DeviceState(live.device.id, live.device.owner_epoch, live.online, live.seen_at, services)
