"""Identifiers of things: UUIDv7 (RFC 9562 section 5.7), so that they sort by the time they were made."""

from os import urandom

TIMESTAMP_BITS = 48
_RANDOM_OCTETS = 10
_VARIANT = "89ab"  # the two bits 10 and two random ones, as one hexadecimal digit


def new_id(now_ms: int) -> str:
    """A fresh UUIDv7 as its 36-character text."""
    time = f"{now_ms & ((1 << TIMESTAMP_BITS) - 1):012x}"
    random = urandom(_RANDOM_OCTETS).hex()
    variant = _VARIANT[int(random[3], 16) & 3]
    return f"{time[:8]}-{time[8:]}-7{random[:3]}-{variant}{random[4:7]}-{random[7:19]}"
