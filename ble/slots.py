"""Who may be connected: one connection at a time for each device, and fewer in all than the adapter holds."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager

from ble.errors import NoSlot, NotReachable
from ble.locks import Locks


class Slots:
    """`limit` connections at once. Adapters hold from 3 to 10, and few say so: stay below."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._free = asyncio.Semaphore(limit)
        self._devices = Locks[str]()

    @asynccontextmanager
    async def hold(self, address: str, ends: float) -> AsyncIterator[None]:
        """The device's turn and a slot, for the block; `ends` by the loop's clock. Raises NotReachable, NoSlot then."""
        with self._devices.of(address) as lock:
            await _within(ends, lock.acquire(), NotReachable("another connection to the device is in use"))
            try:
                await _within(ends, self._free.acquire(), NoSlot(f"all {self.limit} connections are in use"))
                try:
                    yield
                finally:
                    self._free.release()
            finally:
                lock.release()


async def _within(ends: float, waited: Coroutine[object, object, bool], error: Exception) -> None:
    try:
        async with asyncio.timeout_at(ends):
            await waited
    except TimeoutError:
        raise error from None
