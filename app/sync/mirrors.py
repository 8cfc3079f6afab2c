"""What a home's hubs say of their devices, told on to its other hubs by the cloud (PROTOCOL.md 9).

So who reaches a home through one hub sees the devices of all. A cloud keeps the order in which things were said, newest
only; a hub asks for what is beyond its cursor, and takes it over with the cursor.
"""

import secrets
from collections.abc import Iterable
from itertools import takewhile
from typing import Final

import msgspec
from msgspec import Struct

from app.devices import queries as device_queries
from app.devices.memory import Live
from app.devices.service import Devices
from app.devices.shadow_state import Point
from app.store.store import Store
from app.store.tx import Reader
from app.sync import mirror_queries, queries
from app.sync.cloud_end import CloudEnd, Peer
from app.sync.mirror_queries import Place
from app.sync.reports import DEVICES_AT_ONCE, OCTETS_AT_ONCE, SERVICES_AT_ONCE, Service, values_of
from app.sync.wire import Answer, DeviceState, Mirror, Mirrored, MirrorGrown, Reset

LIFE_BYTES: Final = 6
_points: Final = msgspec.json.Decoder(dict[str, Point]).decode


class _Page(Struct):
    """What has come, of each device; up to which place, and whether there is more."""

    facts: int
    services: dict[str, list[Service]]
    since: int
    more: bool


class MirrorOut:
    """At a cloud. Whether devices are there is memory's alone, and so is in which turn it was said."""

    def __init__(self, store: Store, devices: Devices, cloud_end: CloudEnd) -> None:
        self._store = store
        self._memory = devices.memory
        self._cloud_end = cloud_end
        # Turns of another life of this cloud are none.
        self._life = secrets.token_hex(LIFE_BYTES)
        self._turn = 0
        # By home, devices in the order in which something was last said of them.
        self._turns: dict[str, dict[str, int]] = {}
        # (hub, home) that were told that there is more, and have not asked since.
        self._told: set[tuple[str, str]] = set()
        devices.presence.on_changed.append(self._came_or_went)

    def _came_or_went(self, device_id: str) -> None:
        live = self._memory.get(device_id)
        if live is not None and live.device.home_id in self._cloud_end.heads:
            self.said(live.device.home_id, [device_id])

    def said(self, home_id: str, device_ids: Iterable[str]) -> None:
        """On the event loop: the holder of these has said something of them, or is not heard any more."""
        turns, holders = self._turns.get(home_id), set[str | None]()
        for device_id in device_ids:
            if (live := self._memory.get(device_id)) is None:
                continue
            holders.add(live.device.holder)
            if turns is not None:
                self._turn += 1
                turns.pop(device_id, None)
                turns[device_id] = self._turn
        for hub_id in self._cloud_end.connected_to(home_id):
            if holders - {hub_id, None} and (hub_id, home_id) not in self._told:
                self._told.add((hub_id, home_id))
                self._cloud_end.tell(hub_id, MirrorGrown(0, home_id))

    async def answer(self, peer: Peer, request: Mirror) -> Answer:
        """What is beyond; the hub serves the home."""
        home_id = request.home
        self._told.discard((peer.hub_id, home_id))
        present, turn, more = self._beyond(peer, home_id, request.turn)
        page = await self._store.read(lambda reader: _read(reader, request, peer.hub_id))
        if isinstance(page, Reset):
            return page
        ids = dict.fromkeys([*page.services, *present])
        lives = [live for each in ids if (live := self._memory.get(each)) is not None]
        states = [
            _state(live, page.services.get(live.device.id, [])) for live in lives if live.device.home_id == home_id
        ]
        since, turn_of = page.since, (self._life, turn)
        return Mirrored(0, home_id, request.epoch, page.facts, states, since, turn_of, page.more or more)

    def _beyond(self, peer: Peer, home_id: str, turn: tuple[str, int]) -> tuple[list[str], int, bool]:
        """The next devices of others of which something was said, the turn of the last, and whether there are more."""
        since = turn[1] if turn[0] == self._life else 0
        turns = self._turns.get(home_id, {})
        if not since:
            self._turns[home_id] = turns = self._all(home_id, turns)
        late = [*takewhile(lambda it: it[1] > since, reversed(turns.items()))][::-1]
        some = late[:DEVICES_AT_ONCE]
        ids = [device_id for device_id, _ in some if self._is_anothers(peer, home_id, device_id)]
        return ids, some[-1][1] if some else since, len(late) > len(some)

    def _all(self, home_id: str, turns: dict[str, int]) -> dict[str, int]:
        """The devices there are, those of which nothing was said in this life last."""
        here = [live.device.id for live in self._memory.in_place(home_id)]
        known = {device_id: turns[device_id] for device_id in turns.keys() & here}
        for device_id in here:
            if device_id not in known:
                self._turn += 1
                known[device_id] = self._turn
        return dict(sorted(known.items(), key=lambda it: it[1]))

    def _is_anothers(self, peer: Peer, home_id: str, device_id: str) -> bool:
        live = self._memory.get(device_id)
        return live is not None and live.device.home_id == home_id and live.device.holder not in (None, "", peer.hub_id)


def _read(reader: Reader, request: Mirror, hub_id: str) -> _Page | Reset:
    home_id, shared = request.home, queries.shared(reader, request.home)
    if shared is None or shared.epoch != request.epoch:
        return Reset(0, home_id, "" if shared is None else shared.epoch, restate=shared is not None)
    last = mirror_queries.last_place(reader, home_id)
    since = request.since if 0 <= request.since <= last else 0
    places = mirror_queries.beyond(reader, home_id, since, hub_id, SERVICES_AT_ONCE)
    services: dict[str, list[Service]] = {}
    octets = 0
    for number, place in enumerate(places):
        if octets > OCTETS_AT_ONCE:
            return _Page(shared.head, services, places[number - 1].place, more=True)
        service = _service(reader, place)
        octets += len(msgspec.msgpack.encode(service))
        services.setdefault(place.device_id, []).append(service)
    is_full = len(places) == SERVICES_AT_ONCE
    return _Page(shared.head, services, places[-1].place if is_full else last, more=is_full)


def _service(reader: Reader, place: Place) -> Service:
    """Under this node's version, which grows in whichever life of whichever hub it was said."""
    state = device_queries.service_state(reader, place.device_id, place.service)
    return place.service, state.version, values_of(state.reported), values_of(_points(place.desired))


def _state(live: Live, services: list[Service]) -> DeviceState:
    return DeviceState(live.device.id, live.device.owner_epoch, live.online, live.seen_at, services)
