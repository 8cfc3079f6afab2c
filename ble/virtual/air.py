"""The air as a server on the loopback: whoever connects has a controller on it, and leaves when the socket closes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

from bumble.transport.common import StreamPacketSink, StreamPacketSource

from ble.virtual.controller import AirController, Link


class Air:
    """`hci` is where a radio or a device, in this process or another, finds its controller."""

    def __init__(self) -> None:
        self.link = Link()
        self.hci = ""
        self._numbers = count()
        self._hosts: set[asyncio.BaseTransport] = set()

    @asynccontextmanager
    async def serve(self, port: int = 0) -> AsyncIterator["Air"]:
        """On the loopback only, until the block ends; 0 takes a free port."""
        server = await asyncio.get_running_loop().create_server(lambda: _Host(self), "127.0.0.1", port)
        self.hci = f"tcp-client:127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for host in list(self._hosts):
                host.close()
            await server.wait_closed()

    def _joined(self, transport: asyncio.Transport) -> AirController:
        self._hosts.add(transport)
        return AirController(f"host{next(self._numbers)}", self.link, StreamPacketSink(transport))

    def _left(self, transport: asyncio.BaseTransport) -> None:
        self._hosts.discard(transport)


class _Host(asyncio.Protocol):
    """One host's end of HCI over TCP (the H4 framing of bumble's tcp-client)."""

    def __init__(self, air: Air) -> None:
        self._air = air
        self._source = StreamPacketSource()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._controller = self._air._joined(transport)
        self._source.set_packet_sink(self._controller)

    def data_received(self, data: bytes) -> None:
        self._source.data_received(data)

    def connection_lost(self, _error: Exception | None) -> None:
        self._controller.leave()
        self._air._left(self._transport)
