"""The device's half of our GATT service: whatever carries it calls these handlers, and streams come out of them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from msgspec import Struct

from ble.errors import NotOffered
from pairing.gatt.profile import ACTIVATION, LINK, TOKEN, WHO, Stream
from pairing.gatt.stream import GattTransport

Serve: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Speaks to whoever has opened a stream, and closes it."""


class Inside(Struct, frozen=True):
    """What the device does: its fingerprint, who serves its streams, what it does with a token."""

    fingerprint: bytes
    activation: Serve
    link: Serve
    token: Callable[[bytes], None]


class GattDevice:
    """One client at a time. `notify` carries a value of at most `size()` octets to it, and returns when it is sent."""

    def __init__(
        self, inside: Inside, notify: Callable[[str, bytes], Awaitable[None]], size: Callable[[], int]
    ) -> None:
        self._inside = inside
        self._notify = notify
        self._size = size
        self._open: dict[str, GattTransport] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def read(self, characteristic: str) -> bytes:
        """Raises NotOffered."""
        if characteristic != WHO:
            raise NotOffered("read")
        return self._inside.fingerprint

    def write(self, characteristic: str, data: bytes) -> None:
        """Raises NotOffered; MalformedMessageError for a token that is none."""
        if characteristic == TOKEN:
            self._inside.token(data)
        elif (transport := self._open.get(characteristic)) is not None:
            transport.heard(data)
        else:
            raise NotOffered("write")

    def subscribed(self, characteristic: str) -> None:
        """The client wants to hear: a stream is open; one that was before it is over."""
        for stream, serve in ((ACTIVATION, self._inside.activation), (LINK, self._inside.link)):
            if stream.from_device == characteristic:
                self._begin(stream, serve)

    def disconnected(self) -> None:
        """The client is gone."""
        for transport in self._open.values():
            transport.lost()
        self._open.clear()

    async def close(self) -> None:
        """End every stream."""
        self.disconnected()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, stream: Stream, serve: Serve) -> None:
        if (former := self._open.pop(stream.to_device, None)) is not None:
            former.lost()

        async def send(part: bytes) -> None:
            await self._notify(stream.from_device, part)

        transport = self._open[stream.to_device] = GattTransport(send, self._size(), "client")
        task = asyncio.ensure_future(self._serve(transport, serve))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, transport: GattTransport, serve: Serve) -> None:
        try:
            await serve(*transport.streams)
        finally:
            await transport.ended()
