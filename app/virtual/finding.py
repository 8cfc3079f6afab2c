"""How a device re-learns where its hubs are: it listens for their announcements. The link proves them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

from pairing.errors import PairingError
from pairing.mdns import Gone, Interfaces, browse_hubs
from pairing.messages import Endpoint

Endpoints: TypeAlias = tuple[Endpoint, ...]


class Heard:
    """Where hubs say they are."""

    def __init__(self) -> None:
        self._said: dict[str, Endpoints] = {}
        self._news = asyncio.Event()

    def endpoints(self, hub_id: str) -> Endpoints:
        """What that one says; empty while nothing was heard."""
        return self._said.get(hub_id, ())

    def take(self, hub_id: str, endpoints: Endpoints) -> None:
        """It says so now."""
        self._said[hub_id] = endpoints
        self._news.set()

    async def wait(self, seconds: float) -> None:
        """Return after that time, or at the next news."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()


@asynccontextmanager
async def listening(is_meant: Callable[[str], bool], interfaces: Interfaces) -> AsyncIterator[Heard]:
    """Listen for the hubs that are meant while the context lasts; where there is no multicast, nothing is heard."""
    heard = Heard()
    task = asyncio.create_task(_listen(is_meant, interfaces, heard))
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _listen(is_meant: Callable[[str], bool], interfaces: Interfaces, heard: Heard) -> None:
    with suppress(PairingError):
        async with browse_hubs(interfaces) as browser:
            async for news in browser:
                if is_meant(news.id) and not isinstance(news, Gone):
                    heard.take(news.id, tuple((address, news.port) for address in news.addresses))
