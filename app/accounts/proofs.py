"""Proofs of a key: what an account signs at one node, so that another node knows it for the same person. Pure.

A proof is of one key, for one purpose, at one node (the audience), and answers one nonce of that node's. The nonce says
when it ends, by the audience's own clock, so that the clock of who signs does not matter. What is signed is this text,
each part after its length in 4 octets:

    DOMAIN, version (1 octet), purpose, audience (a hub's id), nonce (40 octets), public key (32 octets)

The proof is base64url, without padding, of: version (1 octet), the purpose's code (1), nonce (40), signature (64).
"""

import base64
import binascii
from enum import StrEnum
from typing import Annotated, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Meta, Struct

from app.accounts.signatures import framed, is_signed
from app.errors import Refused

DOMAIN: Final = b"Doorstep proof of a key"
VERSION: Final = 1
EXPIRY_SIZE: Final = 8
NONCE_SIZE: Final = 40
SIGNATURE_SIZE: Final = 64

# As they travel.
PublicKey = Annotated[str, Meta(min_length=64, max_length=64, pattern="^[0-9a-f]{64}$")]
Nonce = Annotated[str, Meta(min_length=80, max_length=80, pattern="^[0-9a-f]{80}$")]
Audience = Annotated[str, Meta(min_length=26, max_length=26, pattern="^h-[a-z2-7]{24}$")]
ProofText = Annotated[str, Meta(min_length=142, max_length=142, pattern="^[A-Za-z0-9_-]{142}$")]


class Purpose(StrEnum):
    """What a proof is for: a session of the account the key names, or the key naming somebody's account from now on."""

    SIGN_IN = "sign-in"
    LINK = "link"


_CODES: Final = {Purpose.SIGN_IN: 1, Purpose.LINK: 2}


class ProofWrong(Refused):
    """This proof is not of this key, for this purpose, at this hub; or the key names nobody who may do this."""

    code = "proof_wrong"
    hint = "Ask this hub for a challenge, and have the proof made for just that, where the account's key is kept."


class Proof(Struct, frozen=True):
    """A proof as it travels, taken apart; `signature` is not checked yet."""

    purpose: Purpose
    nonce: bytes
    signature: bytes


def ends_at(nonce: bytes) -> int:
    """When a nonce ends: ms of the clock of the node that gave it."""
    return int.from_bytes(nonce[:EXPIRY_SIZE])


def prove(private: bytes, *, purpose: Purpose, audience: str, nonce: bytes) -> str:
    """A proof of the key whose private half (Ed25519, 32 octets) this is."""
    key = Ed25519PrivateKey.from_private_bytes(private)
    signature = key.sign(_text(purpose, audience, nonce, key.public_key().public_bytes_raw()))
    return base64.urlsafe_b64encode(bytes((VERSION, _CODES[purpose])) + nonce + signature).rstrip(b"=").decode()


def read(text: str) -> Proof:
    """A proof taken apart; raises ProofWrong when it is none, or of a version there is not."""
    try:
        octets = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ProofWrong("This is no proof.") from None
    if len(octets) != 2 + NONCE_SIZE + SIGNATURE_SIZE or octets[0] != VERSION:
        raise ProofWrong("This is no proof, or of a version this hub does not know.")
    purpose = next((purpose for purpose, code in _CODES.items() if code == octets[1]), None)
    if purpose is None:
        raise ProofWrong("This proof is for a purpose this hub does not know.")
    return Proof(purpose, octets[2 : 2 + NONCE_SIZE], octets[2 + NONCE_SIZE :])


def verify(text: str, public_key: bytes, *, purpose: Purpose, audience: str) -> bytes:
    """The nonce a proof of `public_key` answers; whether that may still be answered is the caller's to know.

    Raises ProofWrong.
    """
    proof = read(text)
    if proof.purpose is not purpose:
        raise ProofWrong(f"This proof was made for another purpose ({proof.purpose}, not {purpose}).")
    if not is_signed(public_key, proof.signature, _text(purpose, audience, proof.nonce, public_key)):
        raise ProofWrong
    return proof.nonce


def _text(purpose: Purpose, audience: str, nonce: bytes, public_key: bytes) -> bytes:
    return framed(DOMAIN, bytes((VERSION,)), purpose.encode(), audience.encode(), nonce, public_key)
