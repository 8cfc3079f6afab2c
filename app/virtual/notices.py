"""What a virtual device shows to whoever stands beside it: lines of its process, and what tests wait for."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from msgspec import Struct

MAX_KEPT = 1000


class Notice(Struct, frozen=True):
    """Something that has happened: `event` names it, `details` are JSON values."""

    event: str
    details: dict[str, Any]


class Notices:
    """Tells each notice at once, and keeps the last `MAX_KEPT` for `wait`."""

    def __init__(self, tell: Callable[[Notice], None] | None = None) -> None:
        self._tell = tell
        self._kept: deque[Notice] = deque(maxlen=MAX_KEPT)
        self._more = asyncio.Event()

    def tell(self, event: str, **details: Any) -> None:
        """It has happened now."""
        notice = Notice(event, details)
        self._kept.append(notice)
        self._more.set()
        if self._tell is not None:
            self._tell(notice)

    async def wait(self, event: str) -> Notice:
        """The oldest notice of this event that nobody has waited for yet, now or when it comes."""
        while True:
            self._more.clear()
            for notice in self._kept:
                if notice.event == event:
                    self._kept.remove(notice)
                    return notice
            await self._more.wait()
