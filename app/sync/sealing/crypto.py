"""The cryptography of sealed secrets, as pure functions (PROTOCOL.md 8).

Everything is under one home key of 32 octets, from which HKDF-SHA256 makes a key for each use. What is derived, sealed
or proved names its home, and each input its length, so that nothing can be taken for something else.
"""

import hmac
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.accounts.signatures import framed

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
VERSION: Final = b"\x01"
_DOMAIN: Final = b"Doorstep sealing 1"


class SealBroken(Exception):
    """It does not open: another key, another home, another place, or a bit that is not as it was."""


def seal(home_key: bytes, home_id: str, place: str, secret: bytes) -> bytes:
    """version(1) nonce(12) ciphertext tag(16), AES-256-GCM; opens in this home and at this place alone.

    The nonce follows from place and secret, under a key of its own: the same secret at the same place is sealed to the
    same octets by every hub, so that hubs which seal anew at the same time agree, and no nonce serves two texts. What
    that tells, that a secret is the one it was, the `mac` beside it tells as well.
    """
    named = framed(place.encode(), secret)
    nonce = hmac.digest(_derived(home_key, home_id, b"nonce"), named, "sha256")[:NONCE_BYTES]
    aead = AESGCM(_derived(home_key, home_id, b"seal"))
    return VERSION + nonce + aead.encrypt(nonce, secret, _bound(home_id, place))


def open_(home_key: bytes, home_id: str, place: str, sealed: bytes) -> bytes:
    """The secret; raises SealBroken."""
    if len(sealed) < 1 + NONCE_BYTES + TAG_BYTES or sealed[:1] != VERSION:
        raise SealBroken
    aead = AESGCM(_derived(home_key, home_id, b"seal"))
    try:
        return aead.decrypt(sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :], _bound(home_id, place))
    except InvalidTag as error:
        raise SealBroken from error


def mac(home_key: bytes, home_id: str, place: str, secret: bytes) -> bytes:
    """What equal secrets at one place are recognised by, and guessed by nobody without the key (32 octets)."""
    return _proof(home_key, home_id, b"mac", place.encode(), secret)


# the home key, for somebody


def wrap(home_key: bytes, home_id: str, key_id: str, recipient: str, public: bytes) -> bytes:
    """version(1) ephemeral key(32) ciphertext(32) tag(16): for the holder of the X25519 key `public` (as HPKE does).

    Raises ValueError where `public` is no key that can be sealed for.
    """
    ephemeral = X25519PrivateKey.generate()
    ours = ephemeral.public_key().public_bytes_raw()
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(public))
    key, nonce = _wrapping(shared, _about(home_id, key_id, recipient), ours, public)
    return VERSION + ours + AESGCM(key).encrypt(nonce, home_key, VERSION)


def unwrap(wrapped: bytes, home_id: str, key_id: str, recipient: str, private: X25519PrivateKey) -> bytes:
    """The home key; raises SealBroken."""
    if len(wrapped) != 1 + KEY_BYTES + KEY_BYTES + TAG_BYTES or wrapped[:1] != VERSION:
        raise SealBroken
    ephemeral, body = wrapped[1 : 1 + KEY_BYTES], wrapped[1 + KEY_BYTES :]
    public = private.public_key().public_bytes_raw()
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(ephemeral))
        key, nonce = _wrapping(shared, _about(home_id, key_id, recipient), ephemeral, public)
        return AESGCM(key).decrypt(nonce, body, VERSION)
    except (InvalidTag, ValueError) as error:
        raise SealBroken from error


def _about(home_id: str, key_id: str, recipient: str) -> bytes:
    return framed(_DOMAIN, b"wrap", home_id.encode(), key_id.encode(), recipient.encode())


def _wrapping(shared: bytes, about: bytes, ephemeral: bytes, public: bytes) -> tuple[bytes, bytes]:
    """Key and nonce of one wrapping; the ephemeral key is of one alone, so neither comes again."""
    info = about + framed(ephemeral, public)
    made = HKDF(SHA256(), KEY_BYTES + NONCE_BYTES, salt=None, info=info).derive(shared)
    return made[:KEY_BYTES], made[KEY_BYTES:]


# what is believed of keys that a cloud has carried


def vouch(home_key: bytes, home_id: str, recipient: str, *what: bytes) -> bytes:
    """Whoever holds the home key says that `what` is so of a recipient: above all its public key."""
    return _proof(home_key, home_id, b"vouch", recipient.encode(), *what)


def succession(former: bytes, home_id: str, key_id: str, number: int, home_key: bytes) -> bytes:
    """Whoever holds the key before says that `home_key` is the next, under this id and number."""
    return _proof(former, home_id, b"succession", key_id.encode(), number.to_bytes(8, "big"), home_key)


# codes of people: of 100 random bits and more, so that nobody finds one by trying however fast each try is, and HKDF
# is enough where a password would need a slow function


def code_key(code: bytes, home_id: str) -> bytes:
    """The key that follows from a code, in one home; `code` in the one way it is written (`app.accounts.codes`)."""
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=framed(_DOMAIN, b"code", home_id.encode())).derive(code)


def recovery_private(key: bytes, home_id: str) -> X25519PrivateKey:
    """The key pair of a recovery code, by its `code_key`: hubs that never saw the code seal later keys for it."""
    return X25519PrivateKey.from_private_bytes(_derived(key, home_id, b"recovery"))


def introduction(key: bytes, home_id: str, hub_id: str, public: bytes) -> bytes:
    """A hub says, to who is told its code, that `public` is its own."""
    return _proof(key, home_id, b"introduction", hub_id.encode(), public)


def admission(key: bytes, home_id: str, key_id: str, number: int, home_key: bytes) -> bytes:
    """Whoever was told the code (or made it) says that `home_key` is the home's."""
    return _proof(key, home_id, b"admission", key_id.encode(), number.to_bytes(8, "big"), home_key)


def same(one: bytes, other: bytes) -> bool:
    """In constant time."""
    return hmac.compare_digest(one, other)


def _derived(key: bytes, home_id: str, use: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=framed(_DOMAIN, use, home_id.encode())).derive(key)


def _proof(key: bytes, home_id: str, use: bytes, *what: bytes) -> bytes:
    return hmac.digest(_derived(key, home_id, use), framed(*what), "sha256")


def _bound(home_id: str, place: str) -> bytes:
    return framed(_DOMAIN + VERSION, home_id.encode(), place.encode())
