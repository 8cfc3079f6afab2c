"""What other programs send, from `fixtures/ez`, as datagrams in the order and rhythm they keep."""

import json
from collections.abc import Sequence
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

from pairing.ez.frames import BROADCAST, Credentials, Datagram
from pairing.wifi import network_of

FOLDER = Path(__file__).parents[3] / "fixtures/ez"

EXAMPLE = Credentials(
    network=network_of("HomeNet", "hunter2 pass", "aa:bb:cc:dd:ee:ff"),
    token=b"EUA1b2C3d4Zx9Q",
    sender="10.77.0.20",
)
ESPTOUCH2_KEY = b"0123456789abcdef"


@cache
def load(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())


def lengths(values: Sequence[int], gap: float) -> list[Datagram]:
    return [Datagram(BROADCAST, 1, value, gap) for value in values]


def addresses(values: Sequence[str], gap: float) -> list[Datagram]:
    return [Datagram(value, 1, 1, gap) for value in values]


def tuyapi_link(case: int = 0) -> list[Datagram]:
    """One call of @tuyapi/link."""
    return [
        Datagram(BROADCAST, 30011, length, ms / 1000)
        for length, ms in load("tuyapi_link.json")["cases"][case]["attempt"]
    ]


def tuya_convert() -> list[Datagram]:
    """One attempt of tuya-convert, and its pause."""
    example = load("vectors.json")["tuya"]
    timing = example["convert_timing"]
    gap = timing["gap_ms"] / 1000
    lock, names = addresses(example["multicast_lock"], gap), addresses(example["multicast_body"], gap)
    body = lengths(example["broadcast_body_tuya_convert"], gap)
    sent = lengths((1, 3, 6, 10), gap) * timing["preamble_rounds"] + (lock + names + body) * timing["body_rounds"]
    return [*sent[:-1], Datagram(BROADCAST, 1, sent[-1].length, timing["pause_between_attempts_s"])]


def esptouch1() -> list[Datagram]:
    """The vendor's app: two seconds of guide, four of data, which goes on where it left off."""
    example = load("vectors.json")["esptouch1"]
    timing = example["timing"]
    gap = timing["gap_ms"] / 1000
    guide, data = lengths(example["lengths"][:4], gap), lengths(example["lengths"][4:], gap)
    guides, datas = int(timing["guide_s"] / gap), int(timing["data_s"] / gap)
    sent: list[Datagram] = []
    endless = chain.from_iterable(data for _ in range(1000))
    for _ in range(int(timing["send_total_s"] / (timing["guide_s"] + timing["data_s"]))):
        sent += [*islice(chain.from_iterable(guide for _ in range(1000)), guides), *islice(endless, datas)]
    return sent


def esptouch2(name: str) -> list[Datagram]:
    """The vendor's app: the same round over and over."""
    example = load("vectors.json")["esptouch2"]
    return lengths(example[name]["lengths"], example["timing"]["gap_ms"] / 1000)
