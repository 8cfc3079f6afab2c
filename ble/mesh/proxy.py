"""Proxy PDUs (Mesh Protocol 1.1, 6.3): messages cut into what one GATT write or notification carries, and back."""

from collections.abc import Iterator
from enum import IntEnum

from msgspec import Struct

from ble.errors import Malformed

MAX_MESSAGE = 128
"""Octets of the longest message reassembled: a network PDU has 29 (1.1), a provisioning PDU with a public key 65."""
SAR_TIMEOUT_S = 20.0
"""A message whose next segment has not come in this time ends the connection (6.3.2.2)."""

_COMPLETE, _FIRST, _CONTINUED, _LAST = range(4)


class Kind(IntEnum):
    """What a proxy PDU carries (6.3.1)."""

    NETWORK = 0
    BEACON = 1
    CONFIGURATION = 2
    PROVISIONING = 3


class Whole(Struct, frozen=True):
    """A message as the layer above has it."""

    kind: Kind
    data: bytes


def segments(kind: Kind, data: bytes, size: int) -> Iterator[bytes]:
    """The proxy PDUs that carry `data`, each at most `size` octets (ATT_MTU - 3)."""
    room = size - 1
    if len(data) <= room:
        yield bytes((kind,)) + data
        return
    for start in range(0, len(data), room):
        last = start + room >= len(data)
        sar = _FIRST if start == 0 else _LAST if last else _CONTINUED
        yield bytes((sar << 6 | kind,)) + data[start : start + room]


class Reassembly:
    """Puts one direction of one connection together again."""

    def __init__(self) -> None:
        self._kind: Kind | None = None
        self._data = b""
        self._since = 0.0

    @property
    def deadline(self) -> float | None:
        """When the segment that is awaited is overdue, and the connection to be ended; None when none is awaited."""
        return None if self._kind is None else self._since + SAR_TIMEOUT_S

    def feed(self, pdu: bytes, now: float) -> Whole | None:
        """The message that `pdu` completes, if it does. Raises Malformed; what was begun is dropped then (6.6.2.1)."""
        try:
            return self._fed(pdu, now)
        except Malformed:
            self._kind, self._data = None, b""
            raise

    def _fed(self, pdu: bytes, now: float) -> Whole | None:
        if not pdu or pdu[0] & 0x3F > Kind.PROVISIONING:
            raise Malformed("not a proxy PDU")
        sar, kind, data = pdu[0] >> 6, Kind(pdu[0] & 0x3F), pdu[1:]
        begins = sar in (_COMPLETE, _FIRST)
        if begins != (self._kind is None) or (not begins and kind is not self._kind):
            raise Malformed("proxy segments out of order")
        if len(self._data) + len(data) > MAX_MESSAGE:
            raise Malformed("proxy message too long")
        if sar in (_COMPLETE, _LAST):
            whole = Whole(kind, self._data + data)
            self._kind, self._data = None, b""
            return whole
        self._kind, self._data, self._since = kind, self._data + data, now
        return None
