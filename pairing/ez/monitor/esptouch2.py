"""ESP-TOUCH v2, overheard. Every plane names its place in its block: a block is put together from several rounds."""

from collections.abc import Iterator, Sequence

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from msgspec import Struct

from pairing.ez import numbers as n
from pairing.ez.crc8 import crc8
from pairing.ez.monitor.decoded import Decoded, decoded
from pairing.ez.monitor.lengths import LengthDecoder
from pairing.ez.monitor.votes import Votes

_MAX_BLOCKS = 64
_PLANES = 8
_WINDOW = 4


def decoder(key: bytes = b"") -> LengthDecoder:
    """`key`: what the device was built with, if it was."""
    return LengthDecoder(_find, _WINDOW, lambda: _Reading(key))


def _find(window: Sequence[int]) -> int | None:
    """Sync and count by turns."""
    if len(window) < _WINDOW or window[0] != window[2] or window[1] != window[3]:
        return None
    sync, count = sorted((window[0], window[1]))
    blocks = count - sync - (n.ESPTOUCH2_COUNT - n.ESPTOUCH2_SYNC) + 1
    return sync - n.ESPTOUCH2_SYNC if 1 < blocks <= _MAX_BLOCKS else None


class _Head(Struct, frozen=True):
    ssid: int
    password: int
    reserved: int
    bssid_crc: int
    flags: int

    @property
    def cipher(self) -> int:
        return self.flags >> 1 & 3


class _Reading:
    """Block 0 is the head, block number + 1 is what the number says."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._votes = Votes(_MAX_BLOCKS * _PLANES)
        self._block: int | None = None
        self._plane = -1

    def take(self, value: int) -> Decoded | None:
        if value >= n.ESPTOUCH2_SYNC:
            self._turn(0)
        elif n.ESPTOUCH2_NUMBER <= value < n.ESPTOUCH2_NUMBER + n.ESPTOUCH2_DATA:
            self._turn(value - n.ESPTOUCH2_NUMBER + 1)
        elif 0 <= value < n.ESPTOUCH2_SYNC and value & n.ESPTOUCH2_DATA:
            return self._take_plane(value >> 7, value & 0x3F)
        return None

    def _turn(self, block: int) -> None:
        self._block, self._plane = block, -1

    def _take_plane(self, plane: int, bits: int) -> Decoded | None:
        if plane <= self._plane:  # the numbers of the next block were lost, or this comes late
            self._block = None
        if self._block is None:
            return None
        self._plane = plane
        news = self._votes.put(self._block * _PLANES + plane, bits)
        return self._decoded() if news or plane == _PLANES - 1 else None

    def _decoded(self) -> Decoded | None:
        octets = self._octets(0)
        if octets is None or octets[5] != crc8(octets[:5]):
            return None
        head = _Head(*octets[:5])
        regions = list(self._regions(head))
        if None in regions:
            return None
        secret, reserved, ssid = (region or b"" for region in regions)
        return decoded("esptouch2", ssid, secret, token=reserved, mark=head.flags >> 3 & 3)

    def _regions(self, head: _Head) -> Iterator[bytes | None]:
        """Password, reserved field and SSID; None for one that is not there yet, or not sound."""
        password, reserved, at = head.password & 0x7F, head.reserved & 0x7F, 1
        eight_bit = [bool(marked & n.ESPTOUCH2_EIGHT_BIT) for marked in (head.password, head.reserved)]
        if head.cipher:
            length = (password + reserved) // 16 * 16 + 16
            sealed = self._region(at, length, eight_bit=True)
            at += _blocks(length, eight_bit=True)
            iv: bytes | None = bytes(16)
            if head.cipher == n.ESPTOUCH2_RANDOM_IV:
                iv = self._region(at, n.ESPTOUCH2_IV_REGION, eight_bit=True)
                at += _blocks(n.ESPTOUCH2_IV_REGION, eight_bit=True)
            plain = self._opened(sealed, iv, password + reserved)
            yield from (plain and plain[:password], plain and plain[password:])
        elif not any(eight_bit):
            plain = self._region(at, password + reserved, eight_bit=False)
            at += _blocks(password + reserved, eight_bit=False)
            yield from (plain if plain is None else plain[:password], plain if plain is None else plain[password:])
        else:
            for length, wide in zip((password, reserved), eight_bit, strict=True):
                yield self._region(at, length, eight_bit=wide)
                at += _blocks(length, eight_bit=wide)
        yield self._region(at, head.ssid & 0x7F, eight_bit=bool(head.ssid & n.ESPTOUCH2_EIGHT_BIT))

    def _opened(self, sealed: bytes | None, iv: bytes | None, length: int) -> bytes | None:
        if sealed is None or iv is None or not self._key:
            return None
        cipher, unpadder = Cipher(algorithms.AES(self._key), modes.CBC(iv[:16])).decryptor(), PKCS7(128).unpadder()
        try:
            plain = unpadder.update(cipher.update(sealed) + cipher.finalize()) + unpadder.finalize()
        except ValueError:
            return None
        return plain if len(plain) == length else None

    def _region(self, at: int, length: int, *, eight_bit: bool) -> bytes | None:
        blocks = [self._checked(at + i, eight_bit) for i in range(_blocks(length, eight_bit=eight_bit))]
        return None if None in blocks else b"".join(filter(None, blocks))[:length]

    def _checked(self, block: int, eight_bit: bool) -> bytes | None:
        planes = self._votes.whole(block * _PLANES, block * _PLANES + _PLANES)
        if planes is None:
            return None
        if eight_bit:
            octets = _joined(planes)
            return octets[:5] if crc8(octets[:5]) == octets[5] else None
        octets = _joined(planes[:7])
        return octets if crc8(octets) & 0x3F == planes[7] else None

    def _octets(self, block: int) -> bytes | None:
        planes = self._votes.whole(block * _PLANES, block * _PLANES + _PLANES)
        return None if planes is None else _joined(planes)


def _blocks(length: int, *, eight_bit: bool) -> int:
    size = n.ESPTOUCH2_BLOCK - 1 if eight_bit else n.ESPTOUCH2_BLOCK
    return -(-length // size)


def _joined(planes: Sequence[int]) -> bytes:
    """The six octets whose bits the planes are."""
    shifts = range(n.ESPTOUCH2_BLOCK - 1, -1, -1)
    return bytes(sum((bits >> shift & 1) << plane for plane, bits in enumerate(planes)) for shift in shifts)
