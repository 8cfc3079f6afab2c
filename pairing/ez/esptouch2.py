"""ESP-TOUCH v2: blocks of six octets, cut into eight planes of one bit each; its reserved field carries the token."""

from collections.abc import Iterator

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from msgspec import Struct

from pairing.ez import numbers as n
from pairing.ez.crc8 import crc8
from pairing.ez.frames import Credentials, Datagram, UnsendableError, broadcasts, checked
from pairing.talk import Entropy

GAP = 0.015
ROUNDS = 8
SYNC_ROUNDS = 40
"""Syncs after these rounds, 1.2 s: those within a round are over before a device that hops has come by."""
_IPV4 = 1
_KEY_SIZE = 16
_PADDING_BELOW = 127


class _Region(Struct, frozen=True):
    octets: bytes
    eight_bit: bool


def encode(credentials: Credentials, entropy: Entropy) -> list[Datagram]:
    """One attempt, to be repeated. Raises UnsendableError, UnfitNetworkError. `entropy` gives padding and IV."""
    lengths = round_lengths(credentials, entropy)
    return broadcasts(lengths * ROUNDS + lengths[:2] * SYNC_ROUNDS, port=n.ESPTOUCH_PORT, gap=GAP)


def round_lengths(credentials: Credentials, entropy: Entropy) -> list[int]:
    """The lengths of one round. Each later round must be the same: a listener puts blocks together from several."""
    checked(credentials)
    if len(credentials.token) > n.ESPTOUCH2_RESERVED_MAX:
        raise UnsendableError("token")
    if len(credentials.key) not in (0, _KEY_SIZE):
        raise UnsendableError("key")
    if credentials.mark not in range(len(n.ESPTOUCH2_ANSWER_PORTS)):
        raise UnsendableError("mark")
    blocks = [block for region in _regions(credentials, entropy) for block in _blocks(region, entropy)]
    count = n.ESPTOUCH2_COUNT + len(blocks)
    lengths = [n.ESPTOUCH2_SYNC, count, n.ESPTOUCH2_SYNC, count, *_planes(_head(credentials))]
    for number, block in enumerate(blocks):
        lengths += [n.ESPTOUCH2_NUMBER + number] * 3 + block
    return lengths


def _head(credentials: Credentials) -> bytes:
    cipher = n.ESPTOUCH2_RANDOM_IV if credentials.key else n.ESPTOUCH2_NO_CIPHER
    flags = _IPV4 | cipher << 1 | credentials.mark << 3
    lengths = map(_marked, (credentials.ssid, credentials.password, credentials.token))
    head = bytes([*lengths, crc8(credentials.bssid), flags])
    return head + bytes([crc8(head)])


def _marked(octets: bytes) -> int:
    return len(octets) | (0 if octets.isascii() else n.ESPTOUCH2_EIGHT_BIT)


def _regions(credentials: Credentials, entropy: Entropy) -> list[_Region]:
    password, reserved, ssid = credentials.password, credentials.token, credentials.ssid
    name = _Region(ssid, not ssid.isascii())
    if credentials.key:
        iv = entropy(n.ESPTOUCH2_IV_REGION)
        return [_Region(_encrypted(credentials.key, iv[:16], password + reserved), True), _Region(iv, True), name]
    if (password + reserved).isascii():
        return [_Region(password + reserved, False), name]
    return [_Region(password, not password.isascii()), _Region(reserved, not reserved.isascii()), name]


def _encrypted(key: bytes, iv: bytes, plain: bytes) -> bytes:
    padder, cipher = PKCS7(128).padder(), Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return cipher.update(padder.update(plain) + padder.finalize()) + cipher.finalize()


def _blocks(region: _Region, entropy: Entropy) -> Iterator[list[int]]:
    size = n.ESPTOUCH2_BLOCK - 1 if region.eight_bit else n.ESPTOUCH2_BLOCK
    filled = region.octets + bytes(octet % _PADDING_BELOW for octet in entropy(-len(region.octets) % size))
    for start in range(0, len(filled), size):
        block = filled[start : start + size]
        yield _planes(block + bytes([crc8(block)])) if region.eight_bit else _ascii_planes(block)


def _ascii_planes(block: bytes) -> list[int]:
    """Seven planes suffice for ASCII; the eighth has room for six bits of the CRC."""
    return [*_planes(block)[:7], 7 << 7 | n.ESPTOUCH2_DATA | crc8(block) & 0x3F]


def _planes(block: bytes) -> list[int]:
    return [plane << 7 | n.ESPTOUCH2_DATA | _bits(block, plane) for plane in range(8)]


def _bits(block: bytes, plane: int) -> int:
    value = 0
    for octet in block:
        value = value << 1 | octet >> plane & 1
    return value
