"""Provisioning in advertisements: the bearer's PDUs and their segments (MshPRT 1.1, 5.2.1 and 5.3). Pure.

A GATT client provisions over PB-GATT and needs none of it; this reads and writes what others say on the air.
"""

from typing import TypeAlias

from msgspec import Struct

from ble.errors import Malformed

MAX_PDU = 29
"""Octets that an advertisement carries beside the length and the type."""
MAX_SEGMENT = 63
_HEAD, _START_HEAD = 6, 9
_FIRST, _FURTHER = MAX_PDU - _START_HEAD, MAX_PDU - _HEAD
_START, _ACK, _CONTINUATION, _CONTROL = 0, 1, 2, 3
_OPEN, _OPENED, _CLOSE = 0, 1, 2
_UUID_SIZE = 16


class Start(Struct, frozen=True):
    """The first segment of a provisioning PDU: the number of the last one, the PDU's octets and checksum in all."""

    last: int
    total: int
    checksum: int
    data: bytes


class Continuation(Struct, frozen=True):
    """A further segment, numbered from 1."""

    number: int
    data: bytes


class Acknowledgement(Struct, frozen=True):
    """The transaction has arrived."""


class LinkOpen(Struct, frozen=True):
    """A provisioner wants to speak to this device."""

    device_uuid: bytes


class LinkAck(Struct, frozen=True):
    """The device takes the link."""


class LinkClose(Struct, frozen=True):
    """0 success, 1 timeout, 2 failed (table 5.8)."""

    reason: int


Body: TypeAlias = Start | Continuation | Acknowledgement | LinkOpen | LinkAck | LinkClose


class Pdu(Struct, frozen=True):
    """What one advertisement carries of a link."""

    link: bytes
    transaction: int
    body: Body

    def pack(self) -> bytes:
        return self.link + bytes([self.transaction]) + _packed(self.body)


def checksum(pdu: bytes) -> int:
    """The frame check sequence: CRC-8 of 3GPP TS 27.010, reflected, complemented."""
    crc = 0xFF
    for octet in pdu:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0xE0 if crc & 1 else 0)
    return 0xFF - crc


def segments(link: bytes, transaction: int, pdu: bytes) -> list[Pdu]:
    """A provisioning PDU in as many advertisements as it takes. Raises Malformed where it is none or too long."""
    rest = pdu[_FIRST:]
    parts = [rest[at : at + _FURTHER] for at in range(0, len(rest), _FURTHER)]
    if not pdu or len(parts) > MAX_SEGMENT:
        raise Malformed(f"a provisioning PDU of {len(pdu)} octets")
    first = Start(len(parts), len(pdu), checksum(pdu), pdu[:_FIRST])
    bodies: list[Body] = [first, *(Continuation(number, part) for number, part in enumerate(parts, 1))]
    return [Pdu(link, transaction, body) for body in bodies]


def read(octets: bytes) -> Pdu:
    """Raises Malformed."""
    if not _HEAD <= len(octets) <= MAX_PDU:
        raise Malformed(f"a PB-ADV PDU of {len(octets)} octets")
    control, rest = octets[5], octets[_HEAD:]
    return Pdu(octets[:4], octets[4], _read(control & 3, control >> 2, rest))


class Assembly:
    """One transaction's PDU, from its segments in any order and however often; it holds no more than one PDU has."""

    def __init__(self) -> None:
        self._start: Start | None = None
        self._parts: dict[int, bytes] = {}

    def feed(self, body: Start | Continuation) -> bytes | None:
        """The whole PDU once all of it is there. Raises Malformed where it is not what its checksum says."""
        if isinstance(body, Start):
            self._start = body
        else:
            self._parts[body.number] = body.data
        start = self._start
        if start is None or any(number not in self._parts for number in range(1, start.last + 1)):
            return None
        whole = start.data + b"".join(self._parts[number] for number in range(1, start.last + 1))
        if len(whole) != start.total or checksum(whole) != start.checksum:
            raise Malformed("the segments are not what the first one says")
        return whole


def _packed(body: Body) -> bytes:
    match body:
        case Start(last, total, sum_, data):
            return bytes([last << 2 | _START]) + total.to_bytes(2, "big") + bytes([sum_]) + data
        case Continuation(number, data):
            return bytes([number << 2 | _CONTINUATION]) + data
        case Acknowledgement():
            return bytes([_ACK])
        case LinkOpen(uuid):
            return bytes([_OPEN << 2 | _CONTROL]) + uuid
        case LinkAck():
            return bytes([_OPENED << 2 | _CONTROL])
        case LinkClose(reason):
            return bytes([_CLOSE << 2 | _CONTROL, reason])


def _read(kind: int, number: int, rest: bytes) -> Body:
    if kind == _START and len(rest) > _START_HEAD - _HEAD:
        return Start(number, int.from_bytes(rest[:2], "big"), rest[2], rest[3:])
    if kind == _CONTINUATION and number and rest:
        return Continuation(number, rest)
    if kind == _ACK and not number and not rest:
        return Acknowledgement()
    if kind == _CONTROL and number == _OPEN and len(rest) == _UUID_SIZE:
        return LinkOpen(rest)
    if kind == _CONTROL and number == _OPENED and not rest:
        return LinkAck()
    if kind == _CONTROL and number == _CLOSE and len(rest) == 1:
        return LinkClose(rest[0])
    raise Malformed(f"no PB-ADV PDU of kind {kind}, number {number} has {len(rest)} octets")
