"""AirKiss, overheard."""

from pairing.ez import numbers as n
from pairing.ez.crc8 import crc8
from pairing.ez.monitor.decoded import Decoded, decoded
from pairing.ez.monitor.groups import Groups
from pairing.ez.monitor.lengths import LengthDecoder, repeated
from pairing.ez.monitor.votes import Votes

_HEADER = 8
"""Nibbles: total length, CRC of the SSID, length of the password, CRC of that; the high one of each first."""


def decoder() -> LengthDecoder:
    return LengthDecoder(repeated(n.AIRKISS_PREAMBLE), len(n.AIRKISS_PREAMBLE), _Reading)


class _Reading:
    def __init__(self) -> None:
        self._header = Votes(_HEADER)
        self._high: int | None = None
        self._total = 0
        self._groups = Groups(0, padded=False)

    def take(self, value: int) -> Decoded | None:
        if 0 <= value < n.GROUP_MARK:
            self._take_header(value)
        return self._decoded() if self._groups.take(value) else None

    def _take_header(self, value: int) -> None:
        nibble = value // 0x10
        if nibble == 0:
            # The total's high nibble looks like the preamble: it is the one right before the low nibble.
            self._high = value % n.AIRKISS_NO_HIGH_NIBBLE
            return
        if nibble > 1:
            self._header.put(nibble, value % 0x10)
        elif self._high is not None:
            self._header.put(0, self._high)
            self._header.put(1, value % 0x10)
        self._high = None
        high, low = self._header.get(0), self._header.get(1)
        if high is not None and low is not None and high << 4 | low != self._total:
            self._total = high << 4 | low
            self._groups = Groups(self._total, padded=False)

    def _decoded(self) -> Decoded | None:
        record, nibbles = self._groups.record(), self._header.whole(0, _HEADER)
        if record is None or nibbles is None:
            return None
        _, ssid_crc, length, length_crc = (nibbles[i] << 4 | nibbles[i + 1] for i in range(0, _HEADER, 2))
        ssid = record[length + 1 :]
        if crc8([length]) != length_crc or crc8(ssid) != ssid_crc:
            return None
        return decoded("airkiss", ssid, record[:length], nonce=record[length])
