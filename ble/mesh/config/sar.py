"""How a node cuts and puts together segmented messages: SAR Transmitter and Receiver (MshPRT 1.1, 4.2.46, 4.2.47)."""

from typing import Annotated, ClassVar, TypeAlias

from msgspec import Struct

from ble.errors import Malformed
from ble.mesh.octets import Octets
from ble.mesh.wire import Codec, WireMessage, table

_TRANSMITTER_BITS = (4, 4, 4, 4, 4, 4, 4)
_RECEIVER_BITS = (5, 3, 4, 4, 2)


class Transmitter(Struct, frozen=True, kw_only=True):
    """Each 0 to 15. An interval is (n + 1) x 10 ms between segments, (n + 1) x 25 ms between rounds."""

    segment_interval: int = 5
    unicast_retransmissions: int = 2
    without_progress: int = 2
    unicast_interval: int = 7
    unicast_increment: int = 1
    multicast_retransmissions: int = 2
    multicast_interval: int = 8


class Receiver(Struct, frozen=True, kw_only=True):
    """`threshold` 0 to 31, `delay_increment` 0 to 7, `discard` and `segment_interval` 0 to 15, `acks` 0 to 3."""

    threshold: int = 3
    delay_increment: int = 1
    discard: int = 1
    segment_interval: int = 5
    acks: int = 0


def _pack(values: tuple[int, ...], bits: tuple[int, ...], size: int) -> bytes:
    packed, at = 0, 0
    for value, width in zip(values, bits, strict=True):
        if not 0 <= value < 1 << width:
            raise Malformed(f"{value} in {width} bits")
        packed, at = packed | value << at, at + width
    return packed.to_bytes(size, "little")


def _read(octets: Octets, bits: tuple[int, ...], size: int) -> tuple[int, ...]:
    """Reserved bits are passed over."""
    packed, values = octets.number(size), []
    for width in bits:
        values.append(packed & (1 << width) - 1)
        packed >>= width
    return tuple(values)


def _read_transmitter(octets: Octets) -> Transmitter:
    return Transmitter(**dict(zip(Transmitter.__struct_fields__, _read(octets, _TRANSMITTER_BITS, 4), strict=True)))


def _read_receiver(octets: Octets) -> Receiver:
    return Receiver(**dict(zip(Receiver.__struct_fields__, _read(octets, _RECEIVER_BITS, 3), strict=True)))


def _values(state: Transmitter | Receiver) -> tuple[int, ...]:
    return tuple(getattr(state, name) for name in state.__struct_fields__)


TransmitterState: TypeAlias = Annotated[
    Transmitter,
    Codec[Transmitter](pack=lambda state: _pack(_values(state), _TRANSMITTER_BITS, 4), read=_read_transmitter),
]
ReceiverState: TypeAlias = Annotated[
    Receiver, Codec[Receiver](pack=lambda state: _pack(_values(state), _RECEIVER_BITS, 3), read=_read_receiver)
]


class TransmitterGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x806C


class TransmitterSet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x806D
    state: TransmitterState


class TransmitterStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x806E
    state: TransmitterState


class ReceiverGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x806F


class ReceiverSet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8070
    state: ReceiverState


class ReceiverStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8071
    state: ReceiverState


MESSAGES = table((TransmitterGet, TransmitterSet, TransmitterStatus, ReceiverGet, ReceiverSet, ReceiverStatus))
