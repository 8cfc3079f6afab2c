"""CRC-8 of Dallas/Maxim's 1-Wire, reflected: the check of every encoding here."""

from collections.abc import Iterable

_POLYNOMIAL = 0x8C


def _of_octet(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
    return value


_TABLE = tuple(map(_of_octet, range(256)))


def crc8(octets: Iterable[int]) -> int:
    """The CRC of these octets, starting from 0."""
    value = 0
    for octet in octets:
        value = _TABLE[value ^ octet]
    return value
