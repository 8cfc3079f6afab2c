"""A running hub: everything between a data folder and the ASGI application, started and stopped in order."""

from collections.abc import Awaitable, Callable
from typing import cast

from litestar.types import ASGIApp

from app.companion.observed import ObservedLayer
from app.metrics import Metrics
from app.server import Services, application
from app.settings import Settings
from app.store.prepare import open_store
from app.store.store import Store


class Node:
    """`start` opens everything over `settings.data`; `asgi` answers from then on; `stop` closes in reverse.

    A start that fails closes what it had opened and raises what failed.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store: Store
        self.services: Services
        self.asgi: ASGIApp
        self.metrics = Metrics()
        self._closing: list[Callable[[], Awaitable[None]]] = []

    async def start(self) -> None:
        """Open the store, load what is held in memory, begin what runs beside requests."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        self.store = await open_store(self.settings.data)
        self._closing.append(self.store.close)
        self.store.listen(self.metrics.committed)
        self.services = Services(self.store, self.settings.limits, access_token_life=self.settings.access_token_life)
        self._closing.append(self.services.stop)
        await self.services.start(self.settings.name)
        inner = application(self.services, self.services.credentials, self.store.clock)
        self.asgi = cast("ASGIApp", ObservedLayer(inner, self.metrics, self._is_ready))
        self._measure()

    def _measure(self) -> None:
        self.metrics.follow("event_streams", "Event streams open now.", lambda: self.services.bus.streams)
        self.metrics.follow("writes_waiting", "Acts that wait for the writer.", lambda: self.store.status().waiting)
        self.metrics.follow("log_bytes", "Size of the write-ahead log.", lambda: self.store.status().wal_bytes)

    def _is_ready(self) -> bool:
        """It started, and its last write reached the disk."""
        return not self.store.status().failing

    def end_streams(self) -> None:
        """Tell every event stream that the hub stops, so that closing need not wait for them."""
        self.services.bus.close()

    async def stop(self) -> None:
        """Close everything; safe after a start that failed."""
        while self._closing:
            await self._closing.pop()()
