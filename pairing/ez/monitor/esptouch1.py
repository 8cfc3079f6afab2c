"""ESP-TOUCH v1, overheard."""

import ipaddress
from collections import deque
from functools import reduce
from operator import xor

from pairing.ez import numbers as n
from pairing.ez.crc8 import crc8
from pairing.ez.monitor.decoded import Decoded, decoded
from pairing.ez.monitor.lengths import LengthDecoder, repeated
from pairing.ez.monitor.votes import Votes

_PLACES = 128
_NIBBLES = range(n.ESPTOUCH1_OFFSET, n.ESPTOUCH1_INDEX)


def decoder() -> LengthDecoder:
    return LengthDecoder(repeated(n.ESPTOUCH1_GUIDE), len(n.ESPTOUCH1_GUIDE), _Reading, groups=True)


class _Reading:
    def __init__(self) -> None:
        self._votes = Votes(_PLACES)
        self._latest: deque[int] = deque(maxlen=3)

    def take(self, value: int) -> Decoded | None:
        self._latest.append(value)
        if len(self._latest) < 3:
            return None
        high, index, low = self._latest[0], self._latest[1] - n.ESPTOUCH1_INDEX, self._latest[2]
        if not (high in _NIBBLES and 0 <= index < _PLACES and low in _NIBBLES):
            return None
        high, low = high - n.ESPTOUCH1_OFFSET, low - n.ESPTOUCH1_OFFSET
        octet, check = (high & 0xF) << 4 | low & 0xF, high & 0xF0 | low >> 4
        if crc8((octet, index)) != check:
            return None
        self._votes.put(index, octet)
        return self._decoded()

    def _decoded(self) -> Decoded | None:
        total = self._votes.get(0) or 0
        if not n.ESPTOUCH1_HEAD < total <= _PLACES - n.BSSID_SIZE:
            return None
        heard = self._votes.whole(0, total + n.BSSID_SIZE)
        if heard is None:
            return None
        record, bssid = bytes(heard[:total]), bytes(heard[total:])
        ssid_at = n.ESPTOUCH1_HEAD + record[1]
        ssid = record[ssid_at:]
        # The xor covers itself: of a sound record it leaves nothing.
        if reduce(xor, record) or crc8(ssid) != record[2] or crc8(bssid) != record[3]:
            return None
        sender = str(ipaddress.IPv4Address(record[5 : n.ESPTOUCH1_HEAD]))
        return decoded("esptouch1", ssid, record[n.ESPTOUCH1_HEAD : ssid_at], bssid=bssid, sender=sender)
