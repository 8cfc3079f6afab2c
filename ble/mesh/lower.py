"""Lower transport PDUs (Mesh Protocol 1.1, 3.5.2): whole messages, segments, and acknowledgements."""

from collections.abc import Iterable
from typing import TypeAlias

from msgspec import Struct

from ble.errors import Malformed

MAX_SEGMENTS = 32
ACCESS_SEGMENT, CONTROL_SEGMENT = 12, 8
MAX_UNSEGMENTED_ACCESS, MAX_UNSEGMENTED_CONTROL = 15, 11
SEGMENT_ACK = 0x00


class Access(Struct, frozen=True):
    """A whole access message. `akf`: sealed with the application key that `aid` names, else with a device key."""

    akf: bool
    aid: int
    upper: bytes


class Control(Struct, frozen=True):
    """A whole control message."""

    opcode: int
    parameters: bytes


class Segment(Struct, frozen=True, kw_only=True):
    """One segment. `head` is AKF and AID, or the opcode where `ctl`."""

    ctl: bool
    head: int
    szmic: bool
    seq_zero: int
    number: int
    last: int
    data: bytes


class Ack(Struct, frozen=True):
    """Which segments have come: bit n of `block` for segment n. `for_another`: sent by a friend (OBO)."""

    for_another: bool
    seq_zero: int
    block: int


LowerPdu: TypeAlias = Access | Control | Segment | Ack


def pack(pdu: LowerPdu) -> bytes:
    """Its octets."""
    match pdu:
        case Access(akf, aid, upper):
            return bytes((akf << 6 | aid,)) + upper
        case Control(opcode, parameters):
            return bytes((opcode,)) + parameters
        case Ack(for_another, seq_zero, block):
            word = for_another << 15 | seq_zero << 2
            return bytes((SEGMENT_ACK,)) + word.to_bytes(2, "big") + block.to_bytes(4, "big")
        case Segment():
            word = pdu.szmic << 23 | pdu.seq_zero << 10 | pdu.number << 5 | pdu.last
            return bytes((0x80 | pdu.head,)) + word.to_bytes(3, "big") + pdu.data


def read(ctl: bool, data: bytes) -> LowerPdu:
    """The PDU in a network PDU's payload. Raises Malformed."""
    if not data:
        raise Malformed("empty transport PDU")
    if data[0] & 0x80:
        return _segment(ctl, data)
    if not ctl:
        if not 5 <= len(data) - 1 <= MAX_UNSEGMENTED_ACCESS:
            raise Malformed("an access message of no such length")
        return Access(bool(data[0] & 0x40), data[0] & 0x3F, data[1:])
    if data[0] == SEGMENT_ACK:
        return _ack(data)
    if len(data) - 1 > MAX_UNSEGMENTED_CONTROL:
        raise Malformed("a control message of no such length")
    return Control(data[0], data[1:])


def _ack(data: bytes) -> Ack:
    if len(data) != 7:
        raise Malformed("not an acknowledgement")
    word = int.from_bytes(data[1:3], "big")
    return Ack(bool(word & 0x8000), word >> 2 & 0x1FFF, int.from_bytes(data[3:], "big"))


def _segment(ctl: bool, data: bytes) -> Segment:
    size = CONTROL_SEGMENT if ctl else ACCESS_SEGMENT
    if not 1 <= len(data) - 4 <= size:
        raise Malformed("a segment of no such length")
    word = int.from_bytes(data[1:4], "big")
    number, last = word >> 5 & 0x1F, word & 0x1F
    if number > last or (number < last and len(data) - 4 != size):
        raise Malformed("no such segment")
    return Segment(
        ctl=ctl,
        head=data[0] & 0x7F,
        szmic=bool(word >> 23) and not ctl,
        seq_zero=word >> 10 & 0x1FFF,
        number=number,
        last=last,
        data=data[4:],
    )


def cut(upper: bytes, *, ctl: bool, head: int, szmic: bool, seq: int) -> tuple[Segment, ...]:
    """The segments of an upper transport PDU whose first has sequence number `seq`. Raises Malformed."""
    size = CONTROL_SEGMENT if ctl else ACCESS_SEGMENT
    parts = [upper[start : start + size] for start in range(0, len(upper), size)]
    if not 1 <= len(parts) <= MAX_SEGMENTS:
        raise Malformed("too long for 32 segments")
    return tuple(
        Segment(ctl=ctl, head=head, szmic=szmic, seq_zero=seq & 0x1FFF, number=number, last=len(parts) - 1, data=part)
        for number, part in enumerate(parts)
    )


def seq_auth(seq: int, seq_zero: int) -> int:
    """The sequence number of the first segment, from one segment's own and SeqZero (3.5.3.1); negative if none is."""
    return seq - ((seq - seq_zero) & 0x1FFF)


def block_of(numbers: Iterable[int]) -> int:
    """The bits of these segments."""
    return sum(1 << number for number in set(numbers))
