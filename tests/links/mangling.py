"""Octets that nearly are what a parser reads: seeds with some of them cut, doubled, swapped or replaced."""

import random
from collections.abc import Sequence

_SYNTAX = (b"{", b"}", b"[", b"]", b'"', b",", b":", b"$", b"/", b"null")
TOKENS = (*_SYNTAX, b"-1", b"1e999", b"9" * 40, b'"\\ud800"', b"\x00", b"\xff")


def mangled(dice: random.Random, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds with up to four faults; now and then nothing but noise."""
    if not dice.randrange(20):
        return dice.randbytes(dice.randrange(64))
    raw = bytearray(dice.choice(seeds))
    for _ in range(dice.randrange(5)):
        place = dice.randrange(len(raw) + 1)
        end = min(len(raw), place + dice.randrange(12))
        match dice.randrange(5):
            case 0:
                del raw[place:end]
            case 1:
                raw[place:place] = raw[place:end]
            case 2:
                raw[place:place] = dice.choice(TOKENS)
            case 3:
                raw[place:end] = dice.choice(TOKENS)
            case _:
                raw[place:end] = dice.randbytes(end - place)
    return bytes(raw)
