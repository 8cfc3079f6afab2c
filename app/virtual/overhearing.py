"""A virtual device that overhears: it is told its network by EZ, in whichever encoding."""

import asyncio
import socket
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from app.virtual.air import Air, OpenAir
from pairing.ez.monitor.decoded import Decoded
from pairing.ez.monitor.decoders import Listener, every
from pairing.ez.numbers import ESPTOUCH2_ACK_PORT, ESPTOUCH2_ANSWER_PORTS
from pairing.talk import Entropy
from pairing.wifi import Provisioned

MAX_SENDERS = 8
"""Senders that are listened to at once; the one not heard for longest makes room."""
SAME_AGAIN = 10.0
"""Seconds before what could not be joined is tried again: it is still being sent, every second or so."""

_ANSWER_EVERY = 0.1
_ANSWERS = 10
"""Tries until the device gives up being thanked."""


class Overhearing:
    """An `app.virtual.setup.Setup`. `host` is where it answers from, once on the network."""

    def __init__(self, air: OpenAir, *, entropy: Entropy, host: str = "", key: bytes = b"") -> None:
        self._air = air
        self._host = host
        self._key = key
        self._mac = b"\x02" + entropy(5)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Overheard"]:
        """In monitor mode while the context lasts. Raises OSError."""
        async with self._air() as air:
            yield Overheard(air, self._key, self._mac, self._host)


class Overheard:
    """An `app.virtual.setup.Told`."""

    def __init__(self, air: Air, key: bytes, mac: bytes, host: str) -> None:
        self._air = air
        self._key = key
        self._mac = mac
        self._host = host
        self._senders: OrderedDict[bytes, Listener] = OrderedDict()
        self._latest: Decoded | None = None
        self._refused: tuple[Decoded, float] | None = None

    async def next(self) -> Provisioned:
        """What is decoded next."""
        while True:
            frame = await self._air.frame()
            decoded = self._listener(frame.source).hear(frame.destination, frame.length, frame.at)
            if decoded is None or self._same_again(decoded, frame.at):
                continue
            self._latest = decoded
            return Provisioned(decoded.network, decoded.token)

    async def outcome(self, refused: str | None) -> None:
        """On the network, it says so where the encoding has a way to. Refused, it can only go on listening."""
        if self._latest is None:
            return
        if refused is not None:
            # What is sent next is another sending: pieces of this one would be in its way.
            self._senders.clear()
            self._refused = self._latest, asyncio.get_running_loop().time()
        elif self._latest.encoding == "esptouch2":
            with suppress(OSError):
                await self._answer(ESPTOUCH2_ANSWER_PORTS[self._latest.mark])

    def _same_again(self, decoded: Decoded, now: float) -> bool:
        return self._refused is not None and self._refused[0] == decoded and now - self._refused[1] < SAME_AGAIN

    def _listener(self, source: bytes) -> Listener:
        listener = self._senders.pop(source, None) or every(self._key)
        self._senders[source] = listener
        if len(self._senders) > MAX_SENDERS:
            self._senders.popitem(last=False)
        return listener

    async def _answer(self, port: int) -> None:
        """Say so to everybody, as it cannot know who sent, until somebody thanks."""
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as mouth:
            mouth.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            mouth.bind((self._host, ESPTOUCH2_ACK_PORT))
            for _ in range(_ANSWERS):
                mouth.sendto(b"\0" + self._mac, ("255.255.255.255", port))
                with suppress(TimeoutError):
                    async with asyncio.timeout(_ANSWER_EVERY):
                        await loop.sock_recv(mouth, 1)
                        return
