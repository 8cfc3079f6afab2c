"""A GATT connection as asyncio streams, so that what speaks over TCP speaks over Bluetooth LE unchanged."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

from ble.errors import BleError
from ble.radio import Connection
from pairing.gatt.failures import translated
from pairing.gatt.profile import Stream

MAX_UNREAD = 128 * 1024
"""Octets that wait for their reader: two of the longest frames. Notifications cannot be held back; a peer that sends
more than is read ends its stream."""

Send: TypeAlias = Callable[[bytes], Awaitable[None]]
"""Carries one part over, and returns when the peer has it. Raises BleError."""


class GattTransport(asyncio.Transport):
    """The writing half of a stream. `size`: the octets of one part; `send` carries one.

    Parts go out in order, one at a time. Whoever hears the peer calls `heard`, and `lost` when it is gone.
    """

    def __init__(self, send: Send, size: int, peer: str) -> None:
        super().__init__({"peername": (peer, 0)})
        self._loop = asyncio.get_running_loop()
        self._send = send
        self._size = size
        self._unsent = bytearray()
        self._closing = False
        self._over = False
        self._unread = 0
        self._sender: asyncio.Task[None] | None = None
        self._reader = asyncio.StreamReader(limit=MAX_UNREAD, loop=self._loop)
        self._protocol = asyncio.StreamReaderProtocol(self._reader, loop=self._loop)
        self._protocol.connection_made(self)
        self.streams = self._reader, asyncio.StreamWriter(self, self._protocol, self._reader, self._loop)

    def heard(self, part: bytes) -> None:
        """A part of what the peer says."""
        if self._over:
            return
        self._protocol.data_received(part)
        self._unread += len(part) if self._unread else 0
        if self._unread > MAX_UNREAD:
            self.abort()

    def lost(self) -> None:
        """The peer is gone."""
        self._end(ConnectionResetError("disconnected"))

    async def ended(self) -> None:
        """Whatever was being sent has been, or will not be."""
        self.abort()
        if self._sender is not None:
            await asyncio.gather(self._sender, return_exceptions=True)

    # asyncio.Transport

    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        if self._over or self._closing:
            return
        self._unsent += data
        if self._sender is None or self._sender.done():
            self._sender = self._loop.create_task(self._send_all())

    def is_closing(self) -> bool:
        return self._closing or self._over

    def close(self) -> None:
        self._closing = True
        if not self._unsent and (self._sender is None or self._sender.done()):
            self._end(None)

    def abort(self) -> None:
        if self._sender is not None:
            self._sender.cancel()
        self._end(None)

    def get_write_buffer_size(self) -> int:
        return len(self._unsent)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def pause_reading(self) -> None:
        self._unread = max(self._unread, 1)

    def resume_reading(self) -> None:
        self._unread = 0

    async def _send_all(self) -> None:
        try:
            while self._unsent:
                part = bytes(self._unsent[: self._size])
                await self._send(part)
                del self._unsent[: len(part)]
        except BleError as error:
            self._end(ConnectionResetError(error.code))
        else:
            if self._closing:
                self._end(None)

    def _end(self, why: Exception | None) -> None:
        if self._over:
            return
        self._over = True
        self._unsent.clear()
        self._loop.call_soon(self._protocol.connection_lost, why)


@asynccontextmanager
async def streams_over(
    connection: Connection, stream: Stream
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """The stream of a device that one is connected to, while the context lasts. Raises PairingError."""

    async def send(part: bytes) -> None:
        await connection.write(stream.to_device, part, response=True)

    transport = GattTransport(send, connection.max_write, connection.address)
    connection.on_disconnect(transport.lost)
    try:
        with translated("reaching"):
            await connection.subscribe(stream.from_device, transport.heard)
        yield transport.streams
    finally:
        with suppress(BleError):
            await transport.ended()
