"""The air, in virtual time and from a seed: it loses frames, delivers some late and some twice."""

import heapq
import ipaddress
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import cycle
from random import Random

from msgspec import Struct

from pairing.ez.frames import Datagram
from pairing.ez.monitor.decoded import Decoded, Decoder
from pairing.wifi import WifiNetwork

HARD_STOP = 120.0
CHANNELS = 13
DWELL = 0.1
"""Seconds a device that hops stays on a channel."""


class Air(Struct, frozen=True, kw_only=True):
    """`overhead` is what the link adds to every length; `channel` the one of the network, of 13 a device hops over."""

    seed: int
    loss: float = 0.0
    late: float = 0.0
    twice: float = 0.0
    overhead: int = 42
    lateness: float = 0.012
    channel: int | None = None

    def carry(self, sent: Iterable[Datagram]) -> Iterator[tuple[float, int, bytes, int]]:
        """What arrives, in its order: time, number of frames sent till then, destination, length."""
        random, pending, now = Random(self.seed), list[tuple[float, int, bytes, int]](), 0.0
        for count, datagram in enumerate(sent, 1):
            while pending and pending[0][0] <= now:
                yield heapq.heappop(pending)
            lost, late, twice = (random.random() for _ in range(3))
            if lost >= self.loss:
                frame = count, mac(datagram.address), datagram.length + self.overhead
                heapq.heappush(pending, (now + (self.lateness if late < self.late else 0.0), *frame))
                if twice < self.twice:
                    heapq.heappush(pending, (now + 0.001, *frame))
            now += datagram.gap
            if now > HARD_STOP:
                return

    def misses(self, now: float) -> bool:
        """Whether a device that still hops is on another channel now."""
        return self.channel is not None and int(now / DWELL) % CHANNELS != self.channel


class Heard(Struct, frozen=True):
    """`frames`: how many had been sent when it was decoded, at `seconds`. `wrong`: decoded before, and not it."""

    decoded: Decoded
    frames: int
    seconds: float
    wrong: int


def hear(air: Air, attempt: Iterable[Datagram], decoder: Decoder, network: WifiNetwork) -> Heard | None:
    """What the decoder makes of the attempt, repeated for 120 s; a device that cannot join goes on listening."""
    wrong = 0
    for now, count, destination, length in air.carry(cycle(attempt)):
        if not decoder.locked and air.misses(now):
            continue
        decoded = decoder.hear(destination, length, now)
        if decoded is not None and (decoded.network.ssid, decoded.network.password) == (network.ssid, network.password):
            return Heard(decoded, count, now, wrong)
        wrong += decoded is not None
    return None


@cache
def mac(address: str) -> bytes:
    """The MAC address an IPv4 broadcast or group goes to (RFC 1112, 6.4)."""
    octets = ipaddress.IPv4Address(address).packed
    return b"\xff" * 6 if octets[0] == 255 else b"\x01\x00\x5e" + bytes([octets[1] & 0x7F]) + octets[2:]
