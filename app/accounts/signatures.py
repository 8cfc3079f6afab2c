"""What people and hubs sign with the keys they are known by, and whether they have. Pure."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def framed(*parts: bytes) -> bytes:
    """Several as one, each behind its length (4 octets), so that no two lists of parts are the same text."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def is_signed(public_key: bytes, signature: bytes, text: bytes) -> bool:
    """Whether the holder of a key (Ed25519, 32 octets) has signed `text`; no for what is no key."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, text)
    except (InvalidSignature, ValueError):
        return False
    return True
