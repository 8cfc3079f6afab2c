"""Feeds a parser octets that nobody meant: random, and honest ones changed, cut and spliced. Seeded."""

import random
import time
from collections.abc import Callable, Sequence

import pytest

from ble.errors import BleError

ROUNDS = [3_000, pytest.param(1_000_000, marks=pytest.mark.full)]


def fuzz(name: str, parse: Callable[[bytes], object], honest: Sequence[bytes], rounds: int, most: int = 64) -> int:
    """How many inputs were understood. Anything but an answer or this package's own error goes through to the test."""
    drawn = random.Random(f"{name} {rounds}")
    understood, slowest = 0, 0.0
    for _ in range(rounds):
        octets = _input(drawn, honest, most)
        began = time.perf_counter()
        try:
            parse(octets)
            understood += 1
        except BleError:
            pass
        slowest = max(slowest, time.perf_counter() - began)
    print(f"{name}: {rounds} inputs, {understood} understood, the slowest {slowest * 1e6:.0f} us")
    return understood


def _input(drawn: random.Random, honest: Sequence[bytes], most: int) -> bytes:
    if not honest or drawn.random() < 0.3:
        return drawn.randbytes(drawn.randrange(most))
    octets = bytearray(drawn.choice(honest))
    for _ in range(drawn.randrange(4)):
        _damage(drawn, octets, honest)
    return bytes(octets)


def _damage(drawn: random.Random, octets: bytearray, honest: Sequence[bytes]) -> None:
    at = drawn.randrange(len(octets) + 1)
    match drawn.randrange(4):
        case 0 if at < len(octets):
            octets[at] = drawn.randrange(256)
        case 1:
            del octets[at:]
        case 2:
            octets[at:at] = drawn.randbytes(drawn.randrange(5))
        case _:
            octets[at:] = drawn.choice(honest)[at:]
