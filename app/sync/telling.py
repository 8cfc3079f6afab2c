"""What streams share: when the engine is woken for them, and what becomes of an answer that is none."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

import structlog

from app.sync.line import LineLost
from app.sync.wire import Answer, Failed

A = TypeVar("A")

# What changes at once is told at once; what a person waits for is no later for it than they can see.
GATHER_S: Final = 0.05
_log = structlog.get_logger("doorstep.sync")


class Wake:
    """Wakes the engine, where there is one; what is said many times in a moment wakes it once."""

    def __init__(self) -> None:
        self.wake: Callable[[], None] | None = None
        self._soon: asyncio.TimerHandle | None = None

    def now(self) -> None:
        """There is something that somebody waits for."""
        if self.wake is not None:
            self.wake()

    def soon(self) -> None:
        """There is something to say; on the event loop."""
        if self.wake is not None and self._soon is None:
            self._soon = asyncio.get_running_loop().call_later(GATHER_S, self._over)

    def _over(self) -> None:
        self._soon = None
        self.now()

    def close(self) -> None:
        """Nobody is woken any more."""
        self.wake = None
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None


def taken(answer: Answer, kind: type[A]) -> A | None:
    """The answer if it is one of that kind; None: it was refused for good, or the home is not this hub's any more.

    Raises LineLost where the same can succeed later.
    """
    if isinstance(answer, kind):
        return answer
    if isinstance(answer, Failed):
        if answer.retryable:
            raise LineLost(f"{answer.detail} ({answer.code})")
        _log.warning("the cloud does not take what this hub tells", code=answer.code)
    return None
