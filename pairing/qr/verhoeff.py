"""The Verhoeff check digit: found in the dihedral group of the pentagon, so that swapped neighbours are found too."""

from collections.abc import Iterator
from itertools import islice
from typing import Final

_PERMUTATION: Final = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
_PERIOD: Final = 8


def _times(a: int, b: int) -> int:
    """In D5: 0 to 4 turn the pentagon, 5 to 9 turn it over first."""
    turned = a % 5 + (b % 5 if a < 5 else -(b % 5))
    return turned % 5 + (5 if (a < 5) is not (b < 5) else 0)


def _permuted(digit: int, times: int) -> int:
    for _ in range(times % _PERIOD):
        digit = _PERMUTATION[digit]
    return digit


def _sum(digits: Iterator[int], first: int) -> int:
    total = 0
    for place, digit in enumerate(digits, first):
        total = _times(total, _permuted(digit, place))
    return total


def checks(digits: str) -> bool:
    """Whether the last of `digits` (ASCII ones) is the check digit of those before it."""
    return _sum(map(int, reversed(digits)), 0) == 0


def check_digit(digits: str) -> str:
    """The digit that, put behind, makes `digits` check."""
    total = _sum(map(int, reversed(digits)), 1)
    return str(next(islice((d for d in range(10) if _times(d, total) == 0), 1)))
