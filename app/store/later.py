"""What need not be waited for: collected, and written in one act for many."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import structlog

from app.store.errors import StoreClosed, StoreError
from app.store.tx import Tx

T = TypeVar("T")

# With a disk that fails for long, the oldest give way: they are notes, nobody was promised them.
MAX_COLLECTED = 50_000
RETRY_S = 1.0
_log = structlog.get_logger("doorstep.store")


class Later(Generic[T]):
    """`add` returns at once; `put` writes what was added, `delay` seconds after the first of it, in one act."""

    def __init__(
        self,
        write: Callable[[Callable[[Tx], None]], Awaitable[None]],
        put: Callable[[Tx, list[T]], None],
        delay: float = 0.0,
    ) -> None:
        self._write = write
        self._put = put
        self._delay = delay
        self._items: list[T] = []
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def add(self, item: T) -> None:
        """Have `item` written soon."""
        self._items.append(item)
        if len(self._items) > MAX_COLLECTED:
            del self._items[: MAX_COLLECTED // 2]
        if self._task is None and not self._closing.is_set():
            self._task = asyncio.create_task(self._run(), name="store-later")

    async def flush(self) -> None:
        """Returns when everything added before is on disk; raises StoreError when the disk does not take it."""
        # An act even for nothing: what the task handed over before is written when it returns.
        if self._items or self._task is not None:
            await self._store()

    async def close(self) -> None:
        """Write what is left, then collect no more; what the disk does not take now is lost."""
        self._closing.set()
        if self._task is not None:
            await asyncio.wait([self._task])
        with contextlib.suppress(StoreError):
            await self.flush()

    async def _run(self) -> None:
        try:
            pause = self._delay
            while self._items:
                await self._sleep(pause)
                pause = self._delay if await self._stored() else max(self._delay, RETRY_S)
                if self._closing.is_set():
                    return
        finally:
            self._task = None

    async def _sleep(self, seconds: float) -> None:
        if seconds:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._closing.wait()

    async def _stored(self) -> bool:
        try:
            await self._store()
        except StoreClosed:
            self._items.clear()
        except StoreError as error:
            _log.warning("notes wait for the disk", code=error.code, notes=len(self._items))
            return False
        return True

    async def _store(self) -> None:
        items, self._items = self._items, []
        try:
            await self._write(lambda tx: self._put(tx, items))
        except StoreError:
            self._items[:0] = items
            raise
