"""How a device re-learns where its hub is: it listens for the hub's announcement. The link proves it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

from pairing.errors import PairingError
from pairing.mdns import Gone, Interfaces, browse_hubs
from pairing.messages import Endpoint

Endpoints: TypeAlias = tuple[Endpoint, ...]


class Heard:
    """Where the hub says it is; empty while nothing was heard."""

    def __init__(self) -> None:
        self.endpoints: Endpoints = ()
        self._news = asyncio.Event()

    def take(self, endpoints: Endpoints) -> None:
        """It says so now."""
        self.endpoints = endpoints
        self._news.set()

    async def wait(self, seconds: float) -> Endpoints:
        """What is heard, after that time or at the next news."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()
        return self.endpoints


@asynccontextmanager
async def listening(hub_id: str, interfaces: Interfaces) -> AsyncIterator[Heard]:
    """Listen for this hub while the context lasts; where there is no multicast, nothing is heard."""
    heard = Heard()
    task = asyncio.create_task(_listen(hub_id, interfaces, heard))
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _listen(hub_id: str, interfaces: Interfaces, heard: Heard) -> None:
    with suppress(PairingError):
        async with browse_hubs(interfaces) as browser:
            async for news in browser:
                if news.id == hub_id and not isinstance(news, Gone):
                    heard.take(tuple((address, news.port) for address in news.addresses))
