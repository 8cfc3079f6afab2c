"""A device's setup network in Tuya's older way: one datagram, and the device knows."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from pairing.ap import tuya
from pairing.errors import PairingError
from pairing.wifi import Provisioned


@asynccontextmanager
async def listening(join: Callable[[Provisioned], None], host: str, port: int = tuya.PORT) -> AsyncIterator[int]:
    """Hear datagrams while the context lasts; the port. Equal ones in a row are told `join` once. Raises OSError."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Listener(join), local_addr=(host, port))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


class _Listener(asyncio.DatagramProtocol):
    def __init__(self, join: Callable[[Provisioned], None]) -> None:
        self._join = join
        self._told: Provisioned | None = None

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        try:
            told = tuya.parse(data)
        except PairingError:
            return
        if told != self._told:
            self._told = told
            self._join(told)
