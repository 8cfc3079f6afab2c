"""The air between virtual devices: a port on the loopback interface that speaks HCI. Who connects to it has an adapter.

So the hub and every device can be a process of its own. One process holds the air, in tests the test's.
"""

import asyncio
import logging
from types import TracebackType
from typing import Self

from bumble.transport.common import PacketParser

from ble.virtual.controller import AirController, AirLink

_log = logging.getLogger(__name__)
_HOST = "127.0.0.1"
_PIECE = 4096


class _Sink:
    """What an adapter says to its host."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def on_packet(self, packet: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(packet)


class Air:
    """`async with Air() as air:` and give `air.port` to those who shall hear each other.

    Devices are named by their address, as "D0:00:00:00:00:01".
    """

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self._link = AirLink()
        self._server: asyncio.Server | None = None
        self._adapters: dict[asyncio.Task[None], AirController] = {}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._joined, _HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        tasks = list(self._adapters)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()

    def set_rssi(self, address: str, dbm: int) -> None:
        """How loud a device is heard from now on."""
        self._link.rssi[address] = dbm

    def take_away(self, address: str) -> None:
        """Out of everybody's range: its connections end with a supervision timeout, and nothing of it is heard."""
        self._link.out.add(address)
        self.drop(address)

    def bring_back(self, address: str) -> None:
        self._link.out.discard(address)

    def drop(self, address: str) -> None:
        """End its connections with a supervision timeout at both ends, and let it be heard still."""
        for adapter in list(self._adapters.values()):
            if str(adapter.random_address) == address:
                self._link.drop(adapter)

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        adapter = AirController(f"adapter {len(self._adapters)}", _Sink(writer), self._link)
        self._adapters[task] = adapter
        parser = PacketParser(adapter)
        try:
            while data := await reader.read(_PIECE):
                parser.feed_data(data)
        except (asyncio.CancelledError, ConnectionError):
            _log.debug("an adapter's host has gone")
        finally:
            del self._adapters[task]
            adapter.leave()
            writer.close()
