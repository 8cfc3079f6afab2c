"""The mesh security toolbox (Mesh Protocol 1.1, 3.9.2): AES-CMAC, AES-CCM, s1, k1 to k5, and what they derive."""

import hmac as _hmac
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.cmac import CMAC

from ble.errors import BleError

KEY_SIZE = 16
NONCE_SIZE = 13
ZERO = bytes(16)


class NotAuthentic(BleError):
    """Octets that were not sealed with this key and nonce, or were changed on their way."""

    code = "not_authentic"


def aes_cmac(key: bytes, data: bytes) -> bytes:
    """AES-CMAC of `data`, 16 octets (RFC 4493)."""
    mac = CMAC(algorithms.AES(key))
    mac.update(data)
    return mac.finalize()


def e(key: bytes, block: bytes) -> bytes:
    """AES-128 of one block of 16 octets (3.9.2.1)."""
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 (one block, as the protocol has it)
    return encryptor.update(block)


@lru_cache(maxsize=512)
def _ccm(key: bytes, mic_size: int) -> AESCCM:
    return AESCCM(key, tag_length=mic_size)


def ccm_seal(key: bytes, nonce: bytes, plain: bytes, *, mic_size: int, aad: bytes = b"") -> bytes:
    """AES-CCM: cipher text and MIC of `mic_size` octets (4 or 8)."""
    return _ccm(key, mic_size).encrypt(nonce, plain, aad or None)


def ccm_open(key: bytes, nonce: bytes, sealed: bytes, *, mic_size: int, aad: bytes = b"") -> bytes:
    """What was sealed. Raises NotAuthentic."""
    if len(sealed) < mic_size:
        raise NotAuthentic("too short")
    try:
        return _ccm(key, mic_size).decrypt(nonce, sealed, aad or None)
    except InvalidTag:
        raise NotAuthentic("integrity check failed") from None


def same(one: bytes, other: bytes) -> bool:
    """Whether they are equal, in a time that does not tell where they differ."""
    return _hmac.compare_digest(one, other)


def s1(data: bytes) -> bytes:
    """Salt of 16 octets (3.9.2.4)."""
    return aes_cmac(ZERO, data)


def s2(data: bytes) -> bytes:
    """Salt of 32 octets, with HMAC-SHA256 (1.1, 3.9.2.5)."""
    return hmac_sha256(bytes(32), data)


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA256 of `data`, 32 octets."""
    mac = hmac.HMAC(key, hashes.SHA256())
    mac.update(data)
    return mac.finalize()


def k1(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """A key of 16 octets from a secret, a salt of 16 and a purpose (3.9.2.6)."""
    return aes_cmac(aes_cmac(salt, secret), info)


def k2(net_key: bytes, purpose: bytes) -> tuple[int, bytes, bytes]:
    """NID (7 bits), encryption key and privacy key of a network key (3.9.2.7). `purpose` is 00 for flooding."""
    secret = aes_cmac(s1(b"smk2"), net_key)
    t1 = aes_cmac(secret, purpose + b"\x01")
    t2 = aes_cmac(secret, t1 + purpose + b"\x02")
    t3 = aes_cmac(secret, t2 + purpose + b"\x03")
    return t1[15] & 0x7F, t2, t3


def k3(net_key: bytes) -> bytes:
    """Network ID, 8 octets (3.9.2.8)."""
    return aes_cmac(aes_cmac(s1(b"smk3"), net_key), b"id64\x01")[8:]


def k4(app_key: bytes) -> int:
    """AID of an application key, 6 bits (3.9.2.9)."""
    return aes_cmac(aes_cmac(s1(b"smk4"), app_key), b"id6\x01")[15] & 0x3F


def k5(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """As k1, of 32 octets with HMAC-SHA256 (1.1, 3.9.2.10). `salt` is 32 octets."""
    return hmac_sha256(hmac_sha256(salt, secret), info)


def _id128(net_key: bytes, purpose: bytes) -> bytes:
    return k1(net_key, s1(purpose), b"id128\x01")


def identity_key(net_key: bytes) -> bytes:
    """Makes and checks node identities (3.9.6.3.3)."""
    return _id128(net_key, b"nkik")


def beacon_key(net_key: bytes) -> bytes:
    """Authenticates secure network beacons (3.9.6.3.4)."""
    return _id128(net_key, b"nkbk")


def private_beacon_key(net_key: bytes) -> bytes:
    """Seals mesh private beacons (1.1, 3.9.6.3.5)."""
    return _id128(net_key, b"nkpk")


def virtual_address(label: bytes) -> int:
    """The virtual address (8000 to BFFF) of a label UUID (3.4.2.3)."""
    return 0x8000 | int.from_bytes(aes_cmac(s1(b"vtad"), label)[14:], "big") & 0x3FFF


def friendship_purpose(low_power: int, friend: int, low_power_counter: int, friend_counter: int) -> bytes:
    """What k2 takes for the keys between a low-power node and its friend (3.9.6.3.1)."""
    numbers = (low_power, friend, low_power_counter, friend_counter)
    return b"\x01" + b"".join(number.to_bytes(2, "big") for number in numbers)
