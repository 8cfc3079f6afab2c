"""The session's token: what EZ, AP and a shown QR code carry to a device besides the Wi-Fi network.

It tells the devices that were meant from all others, and keeps who did not hear it out of the handshake; it is no
secret of the device's (PROTOCOL.md, chapter 10).
"""

import hashlib
import hmac
from typing import Final

from pairing.talk import Entropy

TOKEN_SIZE: Final = 14
"""ASCII letters and digits: region 2, token 8, secret 4, as Tuya's devices expect it (specs/ez, token group)."""
MAX_TOKEN_TRIES: Final = 20
"""Wrong proofs after which a token is dead, on either side."""
TOKEN_LIFE: Final = 600.0
"""Seconds after which it is, as the session that made it."""

_REGION: Final = b"DS"
_LETTERS: Final = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789"
_CONTEXT: Final = b"Doorstep announcement 1"
_HINT_SIZE: Final = 8


def make_token(entropy: Entropy) -> bytes:
    """A fresh token, with 69 bits of chance in it."""
    rest = bytearray()
    while len(rest) < TOKEN_SIZE - len(_REGION):
        # Only what divides evenly is taken: no letter is likelier than another.
        rest += bytes(_LETTERS[b % len(_LETTERS)] for b in entropy(16) if b < 256 - 256 % len(_LETTERS))
    return _REGION + bytes(rest[: TOKEN_SIZE - len(_REGION)])


def hint_of(token: bytes, device_id: str) -> str:
    """What a device that was given `token` announces (`t`): 16 hex digits, no help in guessing it."""
    return hmac.digest(token, _CONTEXT + device_id.encode(), hashlib.sha256)[:_HINT_SIZE].hex()


def was_given(hint: str, token: bytes, device_id: str) -> bool:
    """Whether an announcement's hint says that its device was given `token`: a claim, to be proved in the exchange."""
    return bool(hint) and hmac.compare_digest(hint.encode(), hint_of(token, device_id).encode())
