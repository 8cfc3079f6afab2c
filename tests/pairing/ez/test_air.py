"""Ours and other programs' sendings through the same decoders over the same air: nothing here takes time or chance.

AirKiss has nothing to be compared with here: that it comes through is all that is shown.
"""

from collections.abc import Callable, Sequence
from functools import cache
from random import Random
from statistics import median

import pytest
from msgspec.structs import replace

from pairing.ez.encodings import ENCODINGS
from pairing.ez.frames import BROADCAST, Datagram
from pairing.ez.monitor import airkiss, decoders, esptouch1, esptouch2, tuya_broadcast
from pairing.ez.monitor.decoded import Decoder
from tests.pairing.ez import references
from tests.pairing.ez.air import CHANNELS, Air, Heard, hear
from tests.pairing.ez.references import ESPTOUCH2_KEY, EXAMPLE

LOSSES = (0, 5, 20)
SAMPLE, ALL = range(5), range(50)
SEEDS = [pytest.param(SAMPLE, id="sample"), pytest.param(ALL, id="all", marks=pytest.mark.full)]
SECRET = replace(EXAMPLE, key=ESPTOUCH2_KEY)

DECODERS: dict[str, Callable[[], Decoder]] = {
    "tuya": decoders.tuya,
    "tuya broadcast lane": tuya_broadcast.decoder,
    "esptouch1": esptouch1.decoder,
    "esptouch2": esptouch2.decoder,
    "esptouch2 encrypted": lambda: esptouch2.decoder(ESPTOUCH2_KEY),
    "airkiss": airkiss.decoder,
}
REFERENCES: dict[str, tuple[str, Callable[[], list[Datagram]]]] = {
    "@tuyapi/link": ("tuya", references.tuyapi_link),
    "tuya-convert": ("tuya", references.tuya_convert),
    "@tuyapi/link, broadcast lane": ("tuya broadcast lane", references.tuyapi_link),
    "tuya-convert, broadcast lane": ("tuya broadcast lane", references.tuya_convert),
    "vendor's v1": ("esptouch1", references.esptouch1),
    "vendor's v2": ("esptouch2", lambda: references.esptouch2("plain")),
    "vendor's v2, encrypted": ("esptouch2 encrypted", lambda: references.esptouch2("aes")),
}


def ours(kind: str) -> Sequence[Datagram]:
    encode = ENCODINGS[kind.partition(" ")[0]].encode
    return encode(SECRET if kind.endswith("encrypted") else EXAMPLE, Random(1).randbytes)


def air(seed: int, loss: int, channel: int | None = None) -> Air:
    """Where frames are lost, some are late and some come twice, too."""
    worse = {"late": 0.05, "twice": 0.01} if loss else {}
    return Air(seed=seed, loss=loss / 100, overhead=42 + seed, channel=channel, **worse)


def on_one_lane(attempt: Sequence[Datagram]) -> list[Datagram]:
    """The broadcasts alone, at the moments they leave: what passes a switch that keeps groups to itself."""
    kept: list[Datagram] = []
    for datagram in attempt:
        if datagram.address == BROADCAST:
            kept.append(datagram)
        elif kept:
            kept[-1] = replace(kept[-1], gap=kept[-1].gap + datagram.gap)
    return kept


@cache
def heard(name: str, loss: int, seeds: range) -> tuple[Heard | None, ...]:
    """By kind, what became of ours; by the name of a reference, of that."""
    kind, attempt = (REFERENCES[name][0], REFERENCES[name][1]()) if name in REFERENCES else (name, ours(name))
    sent = on_one_lane(attempt) if kind.endswith("lane") else attempt
    return tuple(hear(air(seed, loss), sent, DECODERS[kind](), EXAMPLE.network) for seed in seeds)


def frames(name: str, loss: int, seeds: range) -> float:
    return median(one.frames if one else 10**9 for one in heard(name, loss, seeds))


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", [*DECODERS, *REFERENCES])
def test_every_air_lets_it_through_within_two_minutes(name: str, loss: int, seeds: range) -> None:
    assert None not in heard(name, loss, seeds)


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", DECODERS)
def test_nothing_wrong_is_decoded_before(kind: str, loss: int, seeds: range) -> None:
    assert sum(one.wrong for one in heard(kind, loss, seeds) if one) == 0


@pytest.mark.parametrize(
    ("loss", "seeds"), [(0, SAMPLE), *(pytest.param(loss, ALL, marks=pytest.mark.full) for loss in LOSSES)]
)
@pytest.mark.parametrize("reference", REFERENCES)
def test_ours_needs_no_more_frames_than_theirs(reference: str, loss: int, seeds: range) -> None:
    assert frames(REFERENCES[reference][0], loss, seeds) <= frames(reference, loss, seeds)


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("kind", DECODERS)
def test_a_device_that_hops_over_the_channels_stops_at_ours_in_time(kind: str, seeds: range) -> None:
    """At 5 % loss, whichever the channel is."""
    attempt = ours(kind)
    found = [hear(air(s, 5, s % CHANNELS), attempt, DECODERS[kind](), EXAMPLE.network) for s in seeds]
    assert None not in found
