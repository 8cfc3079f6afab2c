"""Mesh beacons (Mesh Protocol 1.1, 3.10): a device that waits to be provisioned, and the state of a network."""

from msgspec import Struct

from ble.errors import Malformed
from ble.mesh import crypto
from ble.mesh.crypto import NotAuthentic
from ble.mesh.keys import network_id

UNPROVISIONED, SECURE, PRIVATE = 0, 1, 2
RANDOM_SIZE = 13
_KEY_REFRESH, _IV_UPDATE = 1, 2


class Unprovisioned(Struct, frozen=True):
    """A device to be provisioned (3.10.2). `uri_hash` is s1 of its URI's first 4 octets, where it has one."""

    uuid: bytes
    oob: int = 0
    uri_hash: bytes = b""

    def pack(self) -> bytes:
        return bytes((UNPROVISIONED,)) + self.uuid + self.oob.to_bytes(2, "big") + self.uri_hash


class NetworkBeacon(Struct, frozen=True):
    """What a network says of itself, authentic: whether a key refresh is in phase 2, and its IV index."""

    key_refresh: bool
    iv_update: bool
    iv_index: int

    @property
    def flags(self) -> int:
        return self.key_refresh * _KEY_REFRESH | self.iv_update * _IV_UPDATE

    def secure(self, net_key: bytes) -> bytes:
        """As a secure network beacon (3.10.3)."""
        body = bytes((self.flags,)) + network_id(net_key) + self.iv_index.to_bytes(4, "big")
        return bytes((SECURE,)) + body + crypto.aes_cmac(crypto.beacon_key(net_key), body)[:8]

    def private(self, net_key: bytes, random: bytes) -> bytes:
        """As a mesh private beacon (3.10.4), `random` of 13 octets."""
        plain = bytes((self.flags,)) + self.iv_index.to_bytes(4, "big")
        tag, hidden = _private(crypto.private_beacon_key(net_key), random, plain)
        return bytes((PRIVATE,)) + random + hidden + tag


def uri_hash(uri: bytes) -> bytes:
    """What an unprovisioned device says instead of its URI."""
    return crypto.s1(uri)[:4]


def read_unprovisioned(data: bytes) -> Unprovisioned:
    """Raises Malformed."""
    if len(data) not in (19, 23) or data[0] != UNPROVISIONED:
        raise Malformed("not an unprovisioned device's beacon")
    return Unprovisioned(data[1:17], int.from_bytes(data[17:19], "big"), data[19:])


def read_network(data: bytes, net_key: bytes) -> NetworkBeacon:
    """A secure or a private beacon of the network of this key. Raises Malformed, NotAuthentic."""
    if len(data) == 22 and data[0] == SECURE:
        return _read_secure(data, net_key)
    if len(data) == 27 and data[0] == PRIVATE:
        return _read_private(data, net_key)
    raise Malformed("not a network's beacon")


def _read_secure(data: bytes, net_key: bytes) -> NetworkBeacon:
    body, tag = data[1:14], data[14:]
    if data[2:10] != network_id(net_key):
        raise NotAuthentic("another network's beacon")
    if not crypto.same(crypto.aes_cmac(crypto.beacon_key(net_key), body)[:8], tag):
        raise NotAuthentic("forged beacon")
    return _beacon(data[1], data[10:14])


def _read_private(data: bytes, net_key: bytes) -> NetworkBeacon:
    random, hidden, tag = data[1:14], data[14:19], data[19:]
    key = crypto.private_beacon_key(net_key)
    plain = _masked(key, random, hidden)
    if not crypto.same(_private(key, random, plain)[0], tag):
        raise NotAuthentic("another network's beacon, or a forged one")
    return _beacon(plain[0], plain[1:])


def _beacon(flags: int, iv_index: bytes) -> NetworkBeacon:
    return NetworkBeacon(bool(flags & _KEY_REFRESH), bool(flags & _IV_UPDATE), int.from_bytes(iv_index, "big"))


def _masked(key: bytes, random: bytes, data: bytes) -> bytes:
    mask = crypto.e(key, b"\x01" + random + b"\x00\x01")
    return bytes(one ^ other for one, other in zip(data, mask, strict=False))


def _private(key: bytes, random: bytes, plain: bytes) -> tuple[bytes, bytes]:
    """The tag and the obfuscated data: CCM by its parts, as 3.10.4.1 writes it out."""
    first = crypto.e(key, b"\x19" + random + b"\x00\x05")
    second = crypto.e(key, bytes(a ^ b for a, b in zip(plain + bytes(11), first, strict=True)))
    mask = crypto.e(key, b"\x01" + random + b"\x00\x00")
    tag = bytes(a ^ b for a, b in zip(second, mask, strict=True))[:8]
    return tag, _masked(key, random, plain)
