"""Identifiers of things: UUIDv7 (RFC 9562 section 5.7), so that they sort by the time they were made."""

import secrets
import uuid

TIMESTAMP_BITS = 48
RANDOM_BITS = 74


def new_id(now_ms: int) -> str:
    """A fresh UUIDv7 as its 36-character text."""
    random = secrets.randbits(RANDOM_BITS)
    value = (now_ms & ((1 << TIMESTAMP_BITS) - 1)) << 80
    value |= 0x7 << 76 | (random >> 62) << 64
    value |= 0b10 << 62 | random & ((1 << 62) - 1)
    return str(uuid.UUID(int=value))
