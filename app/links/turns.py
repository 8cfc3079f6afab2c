"""Turns at what there is too little of: so many at once, in order, and who is in a hurry before the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from msgspec import Struct

LEAST_S: Final = 5.0
"""Seconds a turn lasts at least, whoever is in a hurry."""


class Turn(Struct):
    """`over` is set when somebody in a hurry wants it."""

    over: asyncio.Event
    began: float


class Turns:
    """At most `most` turns at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._having: dict[str, Turn] = {}
        self._waiting: dict[str, asyncio.Future[None]] = {}
        # Who is in a hurry, and has not come yet.
        self._hurried: set[str] = set()

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for his."""
        return bool(self._waiting)

    @asynccontextmanager
    async def take(self, who: str) -> AsyncIterator[Turn]:
        """A turn, for the block, as soon as there is one."""
        loop = asyncio.get_running_loop()
        if len(self._having) >= self._most:
            called = self._waiting[who] = loop.create_future()
            if who in self._hurried:
                self.hurry(who)
            try:
                await called
            except asyncio.CancelledError:
                if called.done() and not called.cancelled():
                    self._end(who)
                raise
            finally:
                self._waiting.pop(who, None)
        turn = self._having[who] = Turn(asyncio.Event(), loop.time())
        self._hurried.discard(who)
        try:
            yield turn
        finally:
            self._end(who)

    def hurry(self, who: str) -> None:
        """`who` is next as soon as it waits, and the longest turn ends soon then."""
        if (called := self._waiting.pop(who, None)) is None:
            if who not in self._having:
                self._hurried.add(who)
            return
        self._waiting = {who: called, **self._waiting}
        having = [turn for turn in self._having.values() if not turn.over.is_set()]
        if having:
            loop = asyncio.get_running_loop()
            longest = min(having, key=lambda turn: turn.began)
            loop.call_at(max(loop.time(), longest.began + LEAST_S), longest.over.set)

    def _end(self, who: str) -> None:
        self._having.pop(who, None)
        for waiting, called in self._waiting.items():
            if not called.done():
                # Its place is kept until it wakes, so that nobody comes in between.
                self._having[waiting] = Turn(asyncio.Event(), asyncio.get_running_loop().time())
                called.set_result(None)
                return
