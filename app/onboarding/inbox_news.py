"""Tells homes on the event stream that a device has come into the inbox, or has left it: seldom, however fast it goes.

Anybody on the network, or with a radio, can make devices come and go, and each telling is written: so there is time
between two of them.
An event names ids only; what is in the inbox is read by who may.
"""

import asyncio
import contextlib
from typing import Final

import structlog

from app.homes.standing import Standings
from app.policy import SYSTEM, Action
from app.store.errors import StoreError
from app.store.store import Store
from app.store.tx import Change, Tx
from ble.radio import Advertisement
from pairing.announcement import Announcement
from pairing.inbox import Inbox
from pairing.overheard import overheard

# Devices that are switched on together are told of together.
SETTLE_S: Final = 0.5
# At most 8,640 events a day and home, whatever is sent here: a week of them leaves room among the events that are kept.
TELL_EVERY_S: Final = 10.0
# Who falls silent leaves without a sign.
LOOK_EVERY_S: Final = 60.0
_log = structlog.get_logger("doorstep.inbox")


class InboxNews:
    """`saw`, `overheard` and `gone` are told of what is heard; `start`, and `stop` at the end."""

    def __init__(self, store: Store, standings: Standings, inbox: Inbox) -> None:
        self._store = store
        self._standings = standings
        self._inbox = inbox
        self._told: frozenset[str] = frozenset()
        self._signs = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def saw(self, device: Announcement, source: str) -> None:
        """A sign of life of `device` has come from the address `source`."""
        self._inbox.saw(device, source, self._store.clock.now().ms)
        self._signs.set()

    def overheard(self, advertisement: Advertisement) -> None:
        """Somebody has advertised over Bluetooth."""
        device = overheard(advertisement)
        if device is not None and self._inbox.overheard(device, self._store.clock.now().ms):
            self._signs.set()

    def gone(self, device_id: str) -> None:
        """It said goodbye."""
        self._inbox.gone(device_id)
        self._signs.set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="inbox-news")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._signs.wait()
            await asyncio.sleep(SETTLE_S)
            self._signs.clear()
            if await self._tell():
                await asyncio.sleep(TELL_EVERY_S)

    async def _tell(self) -> bool:
        """Whether there was anything to tell."""
        here = frozenset(each.device.id for each in self._inbox.sightings(self._store.clock.now().ms))
        data = {"appeared": sorted(here - self._told), "left": sorted(self._told - here)}
        if here == self._told:
            return False

        def act(tx: Tx) -> None:
            for home_id in self._standings.home_ids_in(tx):
                change = Change("pairing.inbox", "home", home_id, home_id, Action.PAIR, data, audit=False)
                tx.record(SYSTEM, change)

        try:
            await self._store.write(act)
        except StoreError as error:
            _log.warning("nobody was told of the inbox", code=error.code)
        else:
            self._told = here
        return True
