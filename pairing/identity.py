"""Who a hub or a device is: an X25519 key pair made at first start. The id is read off the public key."""

import base64
import hashlib
from typing import Literal

from msgspec import Struct

from pairing.noise import KEY_SIZE, public_key
from pairing.talk import Entropy

FINGERPRINT_SIZE = 15  # 120 bits: 24 letters of base32 without padding

Kind = Literal["d", "h"]


class Identity(Struct, frozen=True):
    """A static key pair; `private` is a secret of 32 octets, kept for the life of the device or hub."""

    private: bytes

    @classmethod
    def generate(cls, entropy: Entropy) -> "Identity":
        return cls(entropy(KEY_SIZE))

    @property
    def public(self) -> bytes:
        return public_key(self.private)

    @property
    def fingerprint(self) -> bytes:
        return fingerprint(self.public)

    @property
    def device_id(self) -> str:
        return peer_id("d", self.fingerprint)

    @property
    def hub_id(self) -> str:
        return peer_id("h", self.fingerprint)

    def __repr__(self) -> str:
        return "Identity(...)"


def fingerprint(public: bytes) -> bytes:
    """The first 15 octets of SHA-256 over a public key."""
    return hashlib.sha256(public).digest()[:FINGERPRINT_SIZE]


def peer_id(kind: Kind, mark: bytes) -> str:
    """The id that is shown, announced and stored: "d-" or "h-" and the fingerprint in lower-case base32."""
    return f"{kind}-{base64.b32encode(mark).decode().lower()}"
