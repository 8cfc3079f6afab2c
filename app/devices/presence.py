"""Whether devices are there. In memory at once; told and kept on disk off everybody's way; a short absence is none.

A device may be reached by several links: it is there while any of them says so.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from app.clock import to_time
from app.devices import queries
from app.devices.absence_queries import left_online
from app.devices.absences import Absences
from app.devices.changes import change
from app.devices.memory import Memory
from app.devices.model import Device
from app.journal.model import Entry, Kind
from app.journal.service import Journal
from app.policy import SYSTEM
from app.store.store import Store
from app.store.tx import Tx

# A device that reboots, or whose Wi-Fi hands it to another access point, is back within it: it does not blink.
GRACE_S: Final = 10.0
# `last_seen` is a courtesy: on disk within this, exact in memory.
KEEP_SEEN_S: Final = 30.0


class _Mark(Struct, frozen=True, gc=False):
    """`online` None: it was there all along, and says something else."""

    device_id: str
    at: int
    online: bool | None
    firmware: str = ""


class Presence:
    """Links say `online` and `offline`; `on_online` listeners are told at once, on the event loop."""

    def __init__(
        self, store: Store, memory: Memory, journal: Journal, absences: Absences, grace: float = GRACE_S
    ) -> None:
        self._store = store
        self._memory = memory
        self._journal = journal
        self._absences = absences
        self.grace = grace
        # By device and link; the timer is of a link that says for how long it is up.
        self._up: dict[str, dict[str, asyncio.TimerHandle | None]] = {}
        self._leaving: dict[str, asyncio.TimerHandle] = {}
        self._marks = store.later(self._put)
        self._seen = store.later(self._put_seen, KEEP_SEEN_S)
        self._unkept: set[str] = set()
        self.on_online: list[Callable[[str], None]] = []
        # Of each change of whether a device is there, at once.
        self.on_changed: list[Callable[[str], None]] = []

    async def resume(self) -> None:
        """The hub starts, and no device is there: who was in its last life and is not back in time is told as gone."""
        loop = asyncio.get_running_loop()
        for device_id in await self._store.read(left_online):
            self.forget(device_id)
            self._leaving[device_id] = loop.call_later(self.grace, self._still_gone, device_id)

    def online(self, device_id: str, link: str = "", firmware: str = "", lifetime: float | None = None) -> None:
        """The device's `link` is up; a device that is not here, or is frozen, is ignored.

        `lifetime` in s: without another word from it by then, the link is taken for down. It is for links that nobody
        sees end: the interval of heartbeats, the lifetime of a registration over CoAP. None: it says `offline` itself,
        as MQTT does one and a half keep-alives after the last packet (3.1.2.10).
        """
        live = self._memory.get(device_id)
        if live is None or live.device.unbound_at is not None or self._memory.is_frozen(device_id):
            return
        if (timer := self._leaving.pop(device_id, None)) is not None:
            timer.cancel()
        self._is_up(device_id, link, lifetime)
        now = self._store.clock.now().ms
        if not live.online or firmware not in ("", live.device.firmware):
            self._marks.add(_Mark(device_id, now, online=None if live.online else True, firmware=firmware))
        was_online, live.online = live.online, True
        live.seen(now)
        self._keep_seen(device_id)
        for told in self.on_online:
            told(device_id)
        if not was_online:
            self._tell_changed(device_id)

    def _tell_changed(self, device_id: str) -> None:
        for told in self.on_changed:
            told(device_id)

    def told(self, device_id: str, link: str, *, online: bool, seen_at: int | None) -> None:
        """What the hub that holds the device says of it, which has given it its grace; `link` is the way to that hub.

        `seen_at` in ms, by that hub's clock. Where that way was lost, and is back before that hub has heard of the
        device again, the grace that began then goes on.
        """
        live = self._memory.get(device_id)
        if live is None:
            return
        was_up = link in self.links_of(device_id)
        if online and not was_up:
            self.online(device_id, link)
        elif was_up and not online:
            self.lost(device_id)
        now = self._store.clock.now().ms
        seen = now if online else None if seen_at is None else min(seen_at, now)
        if seen is not None and seen != live.seen_at:
            live.seen(seen)
            self._keep_seen(device_id)

    def offline(self, device_id: str, link: str | None = None) -> None:
        """The device's `link` is down (None: all of them), and with it what is reached through the device.

        It is offline when no other link is up, unless one is again within the grace.
        """
        live = self._memory.get(device_id)
        if live is None or not live.online or device_id in self._leaving:
            return
        for down in self.links_of(device_id) if link is None else (link,):
            self._is_down(device_id, down)
        if not self.links_of(device_id):
            live.seen(self._store.clock.now().ms)
            loop = asyncio.get_running_loop()
            self._leaving[device_id] = loop.call_later(self.grace, self._gone, device_id)
        # After it, so that it is told first.
        for behind in tuple(self._memory.in_place(device_id)):
            self.offline(behind.device.id, link)

    def count(self, link: str) -> int:
        """How many devices are there by a link."""
        return sum(link in links for links in self._up.values())

    def links_of(self, device_id: str) -> tuple[str, ...]:
        """The links a device is there by."""
        return tuple(self._up.get(device_id, ()))

    def _is_up(self, device_id: str, link: str, lifetime: float | None) -> None:
        self._is_down(device_id, link)
        lapses = None
        if lifetime is not None:
            lapses = asyncio.get_running_loop().call_later(lifetime, self.offline, device_id, link)
        self._up.setdefault(device_id, {})[link] = lapses

    def _is_down(self, device_id: str, link: str) -> None:
        links = self._up.get(device_id, {})
        if (timer := links.pop(link, None)) is not None:
            timer.cancel()
        if not links:
            self._up.pop(device_id, None)

    def seen(self, device_id: str) -> None:
        """It was heard of."""
        if (live := self._memory.get(device_id)) is not None:
            live.seen(self._store.clock.now().ms)
            self._keep_seen(device_id)

    def lost(self, device_id: str) -> None:
        """It is gone for certain (frozen, or let go and still in its home), and told so without the grace."""
        self.forget(device_id)
        self._gone(device_id)

    def forget(self, device_id: str) -> None:
        """It has left the home."""
        for link in self.links_of(device_id):
            self._is_down(device_id, link)
        if (timer := self._leaving.pop(device_id, None)) is not None:
            timer.cancel()

    def close(self) -> None:
        """No timer is left; the hub ends."""
        for device_id in {*self._leaving, *self._up}:
            self.forget(device_id)

    def _still_gone(self, device_id: str) -> None:
        self._leaving.pop(device_id, None)
        self._marks.add(_Mark(device_id, self._store.clock.now().ms, online=False))

    def _gone(self, device_id: str) -> None:
        self._leaving.pop(device_id, None)
        live = self._memory.get(device_id)
        if live is not None and live.online:
            live.online = False
            live.changed()
            self._marks.add(_Mark(device_id, self._store.clock.now().ms, online=False))
            self._keep_seen(device_id)
            self._tell_changed(device_id)
            # What is reached through a gateway is not reached without it.
            for behind in tuple(self._memory.in_place(device_id)):
                self.lost(behind.device.id)

    def _keep_seen(self, device_id: str) -> None:
        if device_id not in self._unkept:
            self._unkept.add(device_id)
            self._seen.add(device_id)

    def _put(self, tx: Tx, marks: list[_Mark]) -> None:
        for mark in marks:
            if (device := queries.device(tx, mark.device_id)) is not None:
                self._put_mark(tx, mark, device)

    def _put_mark(self, tx: Tx, mark: _Mark, device: Device) -> None:
        if mark.firmware not in ("", device.firmware):
            device = replace(device, firmware=mark.firmware, version=device.version + 1, updated_at=tx.now)
            queries.update_device(tx, device)
            tx.after(partial(self._memory.replaced, device))
            _tell(tx, device, "device.updated", {"firmware": device.firmware})
        if mark.online is not None:
            _tell(tx, device, "device.online" if mark.online else "device.offline", {"at": to_time(mark.at)})
            kind = Kind.ONLINE if mark.online else Kind.OFFLINE
            # The log of a device is kept by the hub that holds it.
            if self._memory.holds(device):
                self._journal.write_in(tx, [Entry(device.id, device.home_id, mark.at, kind)])
            (self._absences.end_in if mark.online else self._absences.begin_in)(tx, device, mark.at)

    def _put_seen(self, tx: Tx, device_ids: list[str]) -> None:
        lives = [live for device_id in device_ids if (live := self._memory.get(device_id)) is not None]
        queries.keep_seen(tx, [(live.seen_at, live.device.id) for live in lives if live.seen_at is not None])
        tx.after(partial(self._unkept.difference_update, device_ids))


def _tell(tx: Tx, device: Device, kind: str, data: dict[str, Any]) -> None:
    tx.record(SYSTEM, change(kind, device, data, audit=False))
