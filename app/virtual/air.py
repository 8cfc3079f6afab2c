"""The air as a virtual device hears it: frames with their source, destination and length, and no more.

With CAP_NET_RAW on an interface, everything that passes there. Without, the broadcasts that reach this machine: groups
cannot be heard in general without that right, so Tuya's multicast lane is missing then.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from typing import TypeAlias

from msgspec import Struct

from pairing.ez.monitor.lengths import BROADCAST_MAC

MAX_WAITING = 1024
"""Frames not looked at yet; further ones are lost, as on any air."""
PORTS = (30011, 7001, 10001)
"""Where encodings in lengths are sent to: Tuya's, ESP-TOUCH's, AirKiss's."""

_HEADER = 14
_READ = 2048
_ETH_P_ALL = 0x0003
_SOL_PACKET, _ADD_MEMBERSHIP, _MR_PROMISC = 263, 1, 1


class Frame(Struct, frozen=True):
    """Heard at `at` on the loop's clock. `source` is whatever tells one sender from another."""

    at: float
    source: bytes
    destination: bytes
    length: int


class Air:
    """What is heard, in its order."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Frame] = asyncio.Queue(MAX_WAITING)

    def take(self, source: bytes, destination: bytes, length: int) -> None:
        """A frame is heard."""
        if not self._waiting.full():
            now = asyncio.get_running_loop().time()
            self._waiting.put_nowait(Frame(now, source, destination, length))

    async def frame(self) -> Frame:
        """The next one."""
        return await self._waiting.get()


OpenAir: TypeAlias = Callable[[], AbstractAsyncContextManager[Air]]
"""Listens while the context lasts. Raises OSError."""


@asynccontextmanager
async def every_frame(interface: str) -> AsyncIterator[Air]:
    """Everything on this interface, for whomever it is meant. Raises PermissionError without CAP_NET_RAW, OSError."""
    air = Air()
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK
    with socket.socket(socket.AF_PACKET, kind, socket.htons(_ETH_P_ALL)) as ear:
        ear.bind((interface, _ETH_P_ALL))
        request = struct.pack("IHH8s", socket.if_nametoindex(interface), _MR_PROMISC, 0, b"")
        ear.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, request)
        with _reading(ear, lambda data, _: _take_frame(air, data)):
            yield air


@asynccontextmanager
async def broadcasts() -> AsyncIterator[Air]:
    """The broadcasts that reach this machine on the ports of EZ. Raises OSError."""
    air = Air()
    with ExitStack() as stack:
        for port in PORTS:
            ear = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK))
            ear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            ear.bind(("", port))
            stack.enter_context(_reading(ear, lambda data, host: air.take(host.encode(), BROADCAST_MAC, len(data))))
        yield air


def _take_frame(air: Air, data: bytes) -> None:
    if len(data) >= _HEADER:
        air.take(data[6:12], data[:6], len(data))


def _reading(ear: socket.socket, take: Callable[[bytes, str], None]) -> ExitStack:
    """Read `ear` whenever there is something, while the context lasts."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        try:
            data, address = ear.recvfrom(_READ)
        except OSError:  # nothing there after all, or the interface is down: what is lost is lost
            return
        take(data, str(address[0]))

    loop.add_reader(ear.fileno(), read)
    stack = ExitStack()
    stack.callback(loop.remove_reader, ear.fileno())
    return stack
