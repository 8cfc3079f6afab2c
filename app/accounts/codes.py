"""Tokens for machines and codes for people: made here, kept as SHA-256 only, compared in constant time."""

import hashlib
import hmac
import secrets
from typing import Final

# Crockford's base32: without I, L, O and U, so that what is read aloud or off a screen comes back as it was.
ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_AS_MEANT: Final = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})
GROUP: Final = 4
TOKEN_BYTES: Final = 32


def new_token(prefix: str) -> str:
    """256 random bits for a machine to keep; `prefix` says to its holder what it is."""
    return f"{prefix}_{secrets.token_urlsafe(TOKEN_BYTES)}"


def new_code(length: int) -> str:
    """A code a person can type: `length` letters of 5 random bits each, in groups of four."""
    letters = "".join(secrets.choice(ALPHABET) for _ in range(length))
    return "-".join(letters[at : at + GROUP] for at in range(0, length, GROUP))


def hash_token(token: str) -> bytes:
    """What is kept of a token (32 octets)."""
    return hashlib.sha256(token.encode()).digest()


def plain(code: str) -> bytes:
    """A code as it is meant: the same for every way of writing it down."""
    return code.upper().translate(_AS_MEANT).encode()


def hash_code(code: str) -> bytes:
    """What is kept of a code."""
    return hashlib.sha256(plain(code)).digest()


def same(one: bytes | None, other: bytes) -> bool:
    """Whether two hashes are equal, in constant time; False when there is none to compare with."""
    return one is not None and hmac.compare_digest(one, other)
