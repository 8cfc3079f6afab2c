"""One timer for all connections: who is due is looked at when its turn comes, not at each packet."""

import asyncio
from collections.abc import Callable
from typing import Protocol

TICK_S = 0.5


class Due(Protocol):
    """Something that may be late."""

    turn: int

    def due(self, now: float) -> float | None:
        """When, by the loop's clock; None: never."""

    def late(self) -> None:
        """It is."""


class Wheel:
    """`put` what may be late; each is looked at within `TICK_S` after it was due, and put back if that has moved on."""

    def __init__(self, every_tick: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._begun = self._loop.time()
        self._turns: dict[int, set[Due]] = {}
        self._now = 0
        self._every_tick = every_tick
        self._timer = self._loop.call_later(TICK_S, self._tick)

    def put(self, item: Due) -> None:
        """Look at it when it is due, and no sooner; also when that has changed."""
        self.remove(item)
        due = item.due(self._loop.time())
        if due is not None:
            item.turn = max(self._now + 1, int((due - self._begun) / TICK_S) + 1)
            self._turns.setdefault(item.turn, set()).add(item)

    def remove(self, item: Due) -> None:
        """Do not look at it any more."""
        turn = self._turns.get(item.turn)
        if turn is not None:
            turn.discard(item)
            if not turn:
                del self._turns[item.turn]
        item.turn = 0

    def close(self) -> None:
        """Nobody is late any more."""
        self._timer.cancel()
        self._turns.clear()

    def _tick(self) -> None:
        self._timer = self._loop.call_later(TICK_S, self._tick)
        now = self._loop.time()
        until = int((now - self._begun) / TICK_S)
        # A loop that was held up has several turns to make up for.
        while self._now < until:
            self._now += 1
            for item in self._turns.pop(self._now, ()):
                item.turn = 0
                due = item.due(now)
                if due is not None and due <= now:
                    item.late()
                if not item.turn:
                    self.put(item)
        self._every_tick()
