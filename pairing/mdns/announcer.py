"""Announcing a service, on the interfaces and with the addresses that this machine has."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from zeroconf.asyncio import AsyncServiceInfo

from pairing.announcement import Service
from pairing.interfaces import LOOPBACK, Interfaces, own_addresses
from pairing.mdns.multicast import Multicast, on_multicast


class Announcer:
    """A service that is being announced."""

    def __init__(self, multicast: Multicast, interfaces: Interfaces) -> None:
        self._multicast = multicast
        self._zeroconf = multicast.running
        self._interfaces = interfaces
        self._service: Service | None = None
        self._broadcasts: list[asyncio.Future[Any]] = []

    async def announce(self, service: Service) -> None:
        """Announce this from now on, in place of what was announced before (same type and id)."""
        info = _info(service, own_addresses(self._interfaces))
        if self._service is None:
            # No probing: the name is made of a key's hash, nobody else can have it by accident.
            broadcast = await self._zeroconf.async_register_service(info, cooperating_responders=True)
        else:
            broadcast = await self._zeroconf.async_update_service(info)
        self._service = service
        # The first packet has left; its repetitions go on beside.
        await self._stop_broadcasts()
        self._broadcasts.append(asyncio.ensure_future(broadcast))

    async def _stop_broadcasts(self) -> None:
        for broadcast in self._broadcasts:
            broadcast.cancel()
        await asyncio.gather(*self._broadcasts, return_exceptions=True)
        self._broadcasts.clear()

    async def stop(self) -> None:
        """Repeat nothing any more; the goodbye comes with the end of `announcing`."""
        await self._stop_broadcasts()

    async def refresh(self) -> None:
        """Announce this machine's addresses as they are now, on the interfaces there are now."""
        if self._service is not None:
            await self.announce(self._service)
        # Whoever is on a new interface is told by zeroconf, what has just been said.
        await self._multicast.refresh()


@asynccontextmanager
async def announcing(service: Service, interfaces: Interfaces = LOOPBACK) -> AsyncIterator[Announcer]:
    """Announce the service while the context lasts, and say goodbye after it. Raises MethodFailedError."""
    async with on_multicast(interfaces) as multicast:
        announcer = Announcer(multicast, interfaces)
        try:
            await announcer.announce(service)
            yield announcer
        finally:
            await announcer.stop()


def _info(service: Service, addresses: Sequence[str]) -> AsyncServiceInfo:
    return AsyncServiceInfo(
        service.type,
        f"{service.id}.{service.type}",
        port=service.port,
        properties=service.txt,
        server=f"{service.id}.local.",
        # A scope is this machine's own affair.
        parsed_addresses=[address.partition("%")[0] for address in addresses],
    )
