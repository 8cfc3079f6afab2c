"""Tuya EZ's broadcast lane, overheard."""

from pairing.ez import numbers as n
from pairing.ez.crc8 import crc8
from pairing.ez.monitor.decoded import Decoded, decoded
from pairing.ez.monitor.groups import Groups
from pairing.ez.monitor.lengths import LengthDecoder, repeated
from pairing.ez.monitor.votes import Votes

_HEADER = (n.TUYA_LENGTH_HIGH, n.TUYA_LENGTH_LOW, n.TUYA_CRC_HIGH, n.TUYA_CRC_LOW)
_MIN_RECORD = 2 + 1


def decoder() -> LengthDecoder:
    return LengthDecoder(repeated(n.TUYA_PREAMBLE), len(n.TUYA_PREAMBLE), _Reading)


class _Reading:
    def __init__(self) -> None:
        self._header = Votes(len(_HEADER))
        self._length = 0
        self._groups = Groups(0, padded=True)

    def take(self, value: int) -> Decoded | None:
        if n.TUYA_LENGTH_HIGH <= value < n.TUYA_CRC_LOW + 0x10:
            self._take_header(value)
        return self._decoded() if self._groups.take(value) else None

    def _take_header(self, value: int) -> None:
        self._header.put(value // 0x10 - 1, value % 0x10)
        nibbles = self._header.whole(0, len(_HEADER))
        if nibbles is None:
            return
        length, check = nibbles[0] << 4 | nibbles[1], nibbles[2] << 4 | nibbles[3]
        if length != self._length and crc8([length]) == check:
            self._length = length
            self._groups = Groups(length, padded=True)

    def _decoded(self) -> Decoded | None:
        record = self._groups.record()
        if record is None or len(record) < _MIN_RECORD:
            return None
        password, rest = record[1 : 1 + record[0]], record[1 + record[0] :]
        if not rest or rest[0] != n.TUYA_TOKEN_SIZE or not (token := rest[1 : 1 + rest[0]]).isascii():
            return None
        return decoded("tuya", rest[1 + rest[0] :], password, token=token)
