"""ESP-TOUCH v2's answers: a device that is on the network says so to one of four ports, and is thanked.

Nothing proves who answers: it is shown to the person, and helps to say what went wrong.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias, cast

from msgspec import Struct

from pairing.ez.numbers import ESPTOUCH2_ACK_PORT, ESPTOUCH2_ANSWER_PORTS

MAX_DEVICES = 16
"""Devices that are thanked while the ports are open; a network has room for as many liars as it likes."""
MAX_THANKS = 32
"""Per device: it asks every 100 ms until it hears us."""
_THANKS = b"\x01"
_MAX_SIZE = 64


class Answer(Struct, frozen=True):
    """A device's: its MAC address, and the IP address it came from."""

    mac: str
    address: str


OnAnswer: TypeAlias = Callable[[Answer], None]


def parse(octets: bytes, address: str) -> Answer | None:
    """The answer in a datagram; None where there is none: one octet, then a station's MAC address."""
    mac = octets[1:7]
    if len(mac) != 6 or len(octets) > _MAX_SIZE or mac[0] & 1 or not any(mac):
        return None
    return Answer(mac.hex(":"), address)


class _Port(asyncio.DatagramProtocol):
    def __init__(self, on_answer: OnAnswer) -> None:
        self._on_answer = on_answer
        self._thanked: dict[str, int] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = parse(data, addr[0])
        if answer is None or (answer.mac not in self._thanked and len(self._thanked) >= MAX_DEVICES):
            return
        times = self._thanked.get(answer.mac, 0)
        self._thanked[answer.mac] = times + 1
        if times == 0:
            self._on_answer(answer)
        if times < MAX_THANKS and self._transport is not None:
            for _ in range(2):
                self._transport.sendto(_THANKS, (answer.address, ESPTOUCH2_ACK_PORT))

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()

    def error_received(self, exc: Exception) -> None:
        """Nobody is thanked who is not there."""


@asynccontextmanager
async def listening(on_answer: OnAnswer, host: str = "0.0.0.0") -> AsyncIterator[int | None]:  # noqa: S104
    """Hear answers while the context lasts: `on_answer` is called once for a device.

    Yields which of the ports is to be answered to; None where all are taken: then nobody is heard.
    """
    opened, mark = None, None
    for number, port in enumerate(ESPTOUCH2_ANSWER_PORTS):
        with suppress(OSError):
            opened, mark = await _open(on_answer, host, port), number
            break
    try:
        yield mark
    finally:
        if opened is not None:
            transport, protocol = opened
            transport.abort()
            await protocol.closed.wait()


async def _open(on_answer: OnAnswer, host: str, port: int) -> tuple[asyncio.DatagramTransport, _Port]:
    return await asyncio.get_running_loop().create_datagram_endpoint(lambda: _Port(on_answer), local_addr=(host, port))
