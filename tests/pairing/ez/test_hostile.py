"""Decoders among strangers: nothing is raised, nothing grows, and noise keeps nobody from being heard for good."""

import tracemalloc
from collections.abc import Callable, Iterator
from random import Random

import pytest
from msgspec.structs import replace

from pairing.ez.encodings import ENCODINGS
from pairing.ez.monitor import airkiss, decoders, esptouch1, esptouch2, tuya_broadcast
from pairing.ez.monitor.decoded import Decoder
from pairing.ez.monitor.lengths import BROADCAST_MAC, FORGET_AFTER, MAX_READINGS
from pairing.ez.monitor.tuya_multicast import TuyaMulticast
from pairing.ez.monitor.votes import Votes
from pairing.wifi import network_of
from tests.pairing.ez.air import Air, hear
from tests.pairing.ez.references import EXAMPLE

KEY = b"0123456789abcdef"
DECODERS: dict[str, Callable[[], Decoder]] = {
    "tuya broadcast": tuya_broadcast.decoder,
    "tuya multicast": TuyaMulticast,
    "esptouch1": esptouch1.decoder,
    "esptouch2": lambda: esptouch2.decoder(KEY),
    "airkiss": airkiss.decoder,
}
PREAMBLES = {
    "tuya broadcast": (1, 3, 6, 10),
    "esptouch1": (515, 514, 513, 512),
    "esptouch2": (1048, 1090, 1048, 1090),
    "airkiss": (1, 2, 3, 4),
}
COUNTS = [pytest.param(20_000, id="sample"), pytest.param(1_000_000, id="million", marks=pytest.mark.full)]


def noise(name: str, random: Random) -> Iterator[tuple[bytes, int]]:
    """Random frames, near enough to the encoding to come far: after preambles, in its ranges, in its groups."""
    while True:
        overhead = random.choice((0, 42, 60))
        for length in PREAMBLES.get(name, ()):
            yield BROADCAST_MAC, length + overhead
        for place, pair in ((120, b"YT"), (121, b"TS"), (122, b"10")):
            yield b"\x01\x00\x5e" + bytes([place]) + pair, 43
        for _ in range(random.randrange(200)):
            kind = random.random()
            if kind < 0.7:
                yield BROADCAST_MAC, overhead + random.randrange(random.choice((16, 128, 512, 1100)))
            elif kind < 0.98:
                value = random.choice((0, 1, 4, 16, random.randrange(256)))
                yield b"\x01\x00\x5e" + bytes([random.choice((0, 32, 64, random.randrange(128))), value, value]), 43
            else:
                yield random.randbytes(random.randrange(9)), random.choice((-1, 0, 10**9))


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", DECODERS)
def test_whatever_is_on_the_air_nothing_is_raised(name: str, count: int) -> None:
    random = Random(f"{name} {count}")
    decoder, now, frames = DECODERS[name](), 0.0, noise(name, random)
    for _ in range(count):
        now += random.choice((0.0, 0.001, 0.001, 0.005))
        decoded = decoder.hear(*next(frames), now)
        # What passes the short checks by chance is at least a network there can be.
        if decoded is not None:
            network_of(decoded.network.ssid, decoded.network.password)


@pytest.mark.parametrize("name", DECODERS)
def test_memory_is_bounded(name: str) -> None:
    decoder, frames = DECODERS[name](), noise(name, Random(name))
    for _ in range(4_000):
        decoder.hear(*next(frames), 1.0)
    tracemalloc.start()
    for _ in range(8_000):
        decoder.hear(*next(frames), 1.0)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 250_000


def test_false_preambles_are_followed_up_a_few_at_a_time() -> None:
    decoder = tuya_broadcast.decoder()
    for overhead in range(0, 200, 10):
        for length in (1, 3, 6, 10):
            decoder.hear(BROADCAST_MAC, length + overhead, 0.0)
    assert len(decoder._readings) == MAX_READINGS


def test_an_overhead_no_link_has_is_no_preamble() -> None:
    decoder = tuya_broadcast.decoder()
    for overhead in (-1, 201, 10**9):
        for length in (1, 3, 6, 10):
            decoder.hear(BROADCAST_MAC, length + overhead, 0.0)
    assert not decoder.locked


@pytest.mark.parametrize("name", ENCODINGS)
def test_heard_in_the_middle_of_noise(name: str) -> None:
    """Every twentieth frame is somebody else's; so it is with a password that looks like a preamble."""
    network = network_of("acfj", "acfjacfjacfj")
    attempt = list(ENCODINGS[name].encode(replace(EXAMPLE, network=network), Random(1).randbytes))
    random = Random(2)
    for at in range(0, len(attempt), 20):
        attempt.insert(at, replace(attempt[at], length=random.randrange(1, 1200), gap=0.0))
    heard = hear(Air(seed=1), attempt, decoders.every(), network)
    assert heard is not None
    assert heard.wrong == 0


@pytest.mark.parametrize("name", ENCODINGS)
def test_a_password_corrected_meanwhile_is_the_one_that_is_decoded(name: str) -> None:
    listener = decoders.every()
    now = 0.0
    for password in ("the wrong one", "the right one"):
        network = network_of("HomeNet", password)
        attempt = ENCODINGS[name].encode(replace(EXAMPLE, network=network), Random(1).randbytes)
        found = [listener.hear(dest, length, now + at) for at, _, dest, length in Air(seed=1).carry(attempt)]
        decoded = [one.network.password for one in found if one]
        assert decoded[-1] == password
        now += 60 + FORGET_AFTER


def test_votes_follow_the_majority() -> None:
    votes = Votes(2)
    for value in (7, 8, 8, 8, 8, 8, 8, 8):
        votes.put(0, value)
    assert (votes.get(0), votes.get(1), votes.whole(0, 2)) == (8, None, None)
    votes.put(0, 9)
    assert votes.get(0) == 8
    for _ in range(4):
        votes.put(0, 9)
    assert votes.get(0) == 9
    votes.put(2, 1)
    votes.put(-1, 1)
    assert votes.get(2) is votes.get(-1) is None
