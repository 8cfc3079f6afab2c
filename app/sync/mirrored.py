"""A hub's end of mirrors: devices that its home's other hubs hold, as its cloud has heard of them (PROTOCOL.md 9)."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from app.devices import queries as device_queries
from app.devices.model import Device
from app.devices.service import Devices
from app.store.store import Store
from app.store.tx import Tx
from app.sync import mirror_queries, queries
from app.sync.behind import Behind
from app.sync.line import Line
from app.sync.reflecting import Reflecting, Told
from app.sync.reported import LINK, show_presence
from app.sync.stream_queries import level_homes
from app.sync.telling import Wake, taken
from app.sync.wire import DeviceState, Mirror, Mirrored, MirrorGrown, Reset

# The turn of who has heard nothing yet.
NEVER: Final = ("", 0)


class MirrorIn:
    """`homes` says of each home with a log whether this node is its authority."""

    def __init__(
        self,
        store: Store,
        *,
        devices: Devices,
        reflecting: Reflecting,
        behind: Behind,
        homes: Mapping[str, bool],
        wake: Wake,
    ) -> None:
        self._store = store
        self._devices = devices
        self._memory = devices.memory
        self._reflecting = reflecting
        self._behind = behind
        self._homes = homes
        self._wake = wake
        # Homes of which nothing is left to ask for; how far was heard whether devices are there, and where of all.
        self._level: set[str] = set()
        self._turns: dict[str, tuple[str, int]] = {}
        self._whole: set[str] = set()
        # Devices that are there by their hub's word.
        self._there: set[str] = set()
        devices.handing.on_changed.append(self._changed_hubs)
        devices.presence.on_online.append(self._came)

    def look_again(self) -> None:
        """It may not have been told that there is more."""
        self._level.clear()

    def disconnected(self) -> None:
        """Nobody says any more whether devices of others are there; the next connection begins anew."""
        self._level.clear()
        self._turns.clear()
        self._whole.clear()
        for device_id in tuple(self._there):
            self._devices.presence.offline(device_id, LINK)
        self._there.clear()

    def leaving_in(self, tx: Tx, home_id: str) -> None:
        """This hub serves that home no more; should it come back, it begins anew."""
        tx.after(lambda: self._forget(home_id))

    def _forget(self, home_id: str) -> None:
        self._level.discard(home_id)
        self._whole.discard(home_id)
        self._turns.pop(home_id, None)

    async def grown(self, notice: MirrorGrown) -> None:
        """There is more to be asked for."""
        self._level.discard(notice.home)
        self._wake.now()

    def is_current(self) -> bool:
        """Whether this hub has heard of all devices of others whether they are there; from any thread."""
        return all(home_id in self._whole for home_id, is_own in tuple(self._homes.items()) if not is_own)

    def _came(self, device_id: str) -> None:
        if device_id in self._there and (live := self._memory.get(device_id)) is not None:
            self._changed_hubs(live.device)

    def _changed_hubs(self, device: Device) -> None:
        # Nobody else speaks of what this hub holds.
        if self._memory.holds(device) and device.id in self._there:
            self._there.discard(device.id)
            self._devices.presence.offline(device.id, LINK)

    async def speak(self, line: Line) -> bool:
        """A page of each home of which there is more; whether there still is."""
        if all(home_id in self._level for home_id, is_own in self._homes.items() if not is_own):
            return False
        more = False
        for level in await self._store.read(level_homes):
            if level.home_id not in self._level:
                self._level.add(level.home_id)  # what is said while this is asked is told anew
                more = await self._ask(line, level.home_id, level.epoch) or more
        return more

    async def _ask(self, line: Line, home_id: str, epoch: str) -> bool:
        since = await self._store.read(lambda reader: mirror_queries.cursor(reader, home_id, epoch))
        turn = self._turns.get(home_id, NEVER)
        answer = await line.ask(Mirror(0, home_id, epoch, since, turn))
        if isinstance(answer, Reset):
            self._level.discard(home_id)  # facts meet it as well; then they go first
            return False
        if (page := taken(answer, Mirrored)) is None:
            return False
        if not page.devices and page.since == since:
            return self._asked(page)  # nothing of it is for the disk
        await self._behind.level(home_id)
        if not await self._store.write(lambda tx: self._take_in(tx, page)):
            self._level.discard(home_id)  # asked again once the facts are here
            return False
        return self._asked(page)

    def _asked(self, page: Mirrored) -> bool:
        """It was taken; whether there is more."""
        self._turns[page.home] = page.turn
        if page.more:
            self._level.discard(page.home)
        else:
            self._whole.add(page.home)
        return page.more

    def _take_in(self, tx: Tx, answer: Mirrored) -> bool:
        """Devices and cursor, together; False: it is of facts that have not come here yet."""
        shared = queries.shared(tx, answer.home)
        if shared is None or shared.epoch != answer.epoch:
            return False
        found = [(device_queries.device(tx, state.device_id), state) for state in answer.devices]
        theirs = [
            (device, state) for device, state in found if device is not None and self._is_so(device, state, answer)
        ]
        if len(theirs) < len(found) and shared.head < answer.facts:
            return False
        for device, state in theirs:
            for name, version, reported, desired in state.services:
                told = Told(answer.epoch, state.owner_epoch, name, version, reported, desired)
                self._reflecting.told_in(tx, device, told)
            tx.after(partial(show_presence, self._devices.presence, self._there, state))
        mirror_queries.put_cursor(tx, answer.home, answer.epoch, answer.since)
        return True

    def _is_so(self, device: Device, state: DeviceState, answer: Mirrored) -> bool:
        here = device.home_id == answer.home and device.unbound_at is None
        return here and not self._memory.holds(device) and device.owner_epoch == state.owner_epoch
