"""Tuya EZ's multicast lane, overheard: the group address is the data, and carries its own place."""

import zlib

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from pairing.ez import numbers as n
from pairing.ez.monitor.decoded import Decoded, decoded
from pairing.ez.monitor.lengths import FORGET_AFTER
from pairing.ez.monitor.votes import Votes

_GROUP = b"\x01\x00\x5e"
_PLACES = 128


class TuyaMulticast:
    """A `Decoder`."""

    def __init__(self) -> None:
        self._votes = Votes(_PLACES)
        self._locking: set[int] = set()
        self._last = 0.0

    @property
    def locked(self) -> bool:
        return len(self._locking) == len(n.TUYA_LOCK)

    def hear(self, destination: bytes, length: int, now: float) -> Decoded | None:
        if len(destination) != 6 or destination[:3] != _GROUP:
            return None
        if now - self._last > FORGET_AFTER:
            self._votes.clear()
            self._locking.clear()
        self._last = now
        place, pair = destination[3], bytes((destination[5], destination[4]))
        if (place, pair) in n.TUYA_LOCK:
            self._locking.add(place)
        self._votes.put(place, int.from_bytes(pair, "big"))
        return self._decoded() if self.locked else None

    def _decoded(self) -> Decoded | None:
        token = self._field(n.TUYA_TOKEN_AT)
        ssid = self._field(n.TUYA_SSID_AT) if token else None
        password = self._field(n.TUYA_PASSWORD_AT, encrypted=True) if ssid else None
        if token is None or ssid is None or password is None or not token.isascii():
            return None
        return decoded("tuya", ssid, password, token=token)

    def _field(self, at: int, *, encrypted: bool = False) -> bytes | None:
        """The field's plaintext, once it is whole and its CRC-32 is right."""
        lengths = self._votes.get(at)
        if lengths is None or lengths >> 8 != lengths & 0xFF:
            return None
        length = lengths & 0xFF
        sent = length + (-length % 16 if encrypted else 0)
        pairs = self._votes.whole(at + 1, at + n.TUYA_FIELD_HEAD + -(-sent // 2))
        if pairs is None or n.TUYA_FIELD_HEAD + sent // 2 > n.TUYA_FIELD_SPAN:
            return None
        octets = b"".join(pair.to_bytes(2, "big") for pair in pairs)
        plain = (_decrypted(octets[4 : 4 + sent]) if encrypted else octets[4:])[:length]
        return plain if zlib.crc32(plain) == int.from_bytes(octets[:4], "little") else None


def _decrypted(octets: bytes) -> bytes:
    cipher = Cipher(algorithms.AES(n.TUYA_KEY), modes.ECB()).decryptor()  # noqa: S305 - what senders send
    return cipher.update(octets) + cipher.finalize()
