"""Sensors: values under property ids, marshalled in formats A and B (Mesh Model 1.1, 4.2, 4.3)."""

from typing import Annotated, ClassVar, TypeAlias

from msgspec import Struct

from ble.errors import Malformed
from ble.mesh.model_id import ModelId
from ble.mesh.models.properties import PROPERTIES
from ble.mesh.models.server import AtRest, Heard
from ble.mesh.octets import Octets, u16
from ble.mesh.wire import U16, Codec, MaybeU16, Rest, WireMessage, repeated, table

SERVER, SETUP, CLIENT = ModelId(0x1100), ModelId(0x1101), ModelId(0x1102)

_A_LONGEST, _B_LONGEST, _B_EMPTY = 16, 127, 0x7F
_A_LAST_ID = 0x7FF


class Value(Struct, frozen=True):
    """One property's octets. `reading` is what they mean."""

    property_id: int
    octets: bytes

    @property
    def reading(self) -> float | None:
        """The value in the property's unit; None where it is not known to the sensor, or the property not to us.

        Raises Malformed where the octets are not of the property's size.
        """
        known = PROPERTIES.get(self.property_id)
        return known.decode(self.octets) if known and self.octets else None


def value(property_id: int, reading: float | None) -> Value:
    """A reading of a property of the table, in its unit. Raises Malformed."""
    if property_id not in PROPERTIES:
        raise Malformed(f"property {property_id:#06x} is not known")
    return Value(property_id, PROPERTIES[property_id].encode(reading))


def _pack(one: Value) -> bytes:
    """Format A where it fits, else B (4.2.14.1)."""
    size = len(one.octets)
    if not 0 < one.property_id <= 0xFFFF or size > _B_LONGEST:
        raise Malformed(f"property {one.property_id} of {size} octets")
    if 1 <= size <= _A_LONGEST and one.property_id <= _A_LAST_ID:
        return u16((size - 1) << 1 | one.property_id << 5) + one.octets
    length = _B_EMPTY if size == 0 else size - 1
    return bytes([1 | length << 1]) + u16(one.property_id) + one.octets


def _read(octets: Octets) -> Value:
    first = octets.u8()
    if first & 1:
        property_id, length = octets.u16(), first >> 1
        size = 0 if length == _B_EMPTY else length + 1
    else:
        property_id, size = first >> 5 | octets.u8() << 3, (first >> 1 & 0x0F) + 1
    if property_id == 0:
        raise Malformed("property 0 is prohibited")
    return Value(property_id, octets.take(size))


Values: TypeAlias = Annotated[tuple[Value, ...], repeated(Codec(pack=_pack, read=_read))]


class Descriptor(Struct, frozen=True, kw_only=True):
    """What kind of sensor: tolerances in 1/4095 (0: not stated), sampling function, and packed times (4.1.1)."""

    property_id: int
    positive_tolerance: int = 0
    negative_tolerance: int = 0
    sampling: int = 0
    period: int = 0
    interval: int = 0


def _pack_descriptor(one: Descriptor) -> bytes:
    if not (0 <= one.positive_tolerance <= 0xFFF and 0 <= one.negative_tolerance <= 0xFFF):
        raise Malformed("a tolerance out of range")
    tolerances = one.positive_tolerance | one.negative_tolerance << 12
    return u16(one.property_id) + tolerances.to_bytes(3, "little") + bytes([one.sampling, one.period, one.interval])


def _read_descriptor(octets: Octets) -> Descriptor:
    property_id, tolerances = octets.u16(), octets.number(3)
    return Descriptor(
        property_id=property_id,
        positive_tolerance=tolerances & 0xFFF,
        negative_tolerance=tolerances >> 12,
        sampling=octets.u8(),
        period=octets.u8(),
        interval=octets.u8(),
    )


_DESCRIPTOR = Codec(pack=_pack_descriptor, read=_read_descriptor)
_DESCRIPTORS = repeated(_DESCRIPTOR)


def _pack_described(described: tuple[Descriptor, ...] | int) -> bytes:
    return u16(described) if isinstance(described, int) else _DESCRIPTORS.pack(described)


def _read_described(octets: Octets) -> tuple[Descriptor, ...] | int:
    return octets.u16() if octets.left == 2 else _DESCRIPTORS.read(octets)


Described: TypeAlias = Annotated[tuple[Descriptor, ...] | int, Codec(pack=_pack_described, read=_read_described)]
"""The descriptors; or the id that was asked for, where there is no such sensor (4.2.13.2)."""


class DescriptorGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8230
    property_id: MaybeU16 = None


class DescriptorStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x51
    described: Described


class SensorGet(WireMessage, frozen=True):
    """One property, or all."""

    OPCODE: ClassVar = 0x8231
    property_id: MaybeU16 = None


class SensorStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x52
    values: Values


class ColumnGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8232
    property_id: U16
    column: Rest


class ColumnStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x53
    property_id: U16
    column: Rest


class SeriesGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8233
    property_id: U16
    columns: Rest


class SeriesStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x54
    property_id: U16
    columns: Rest


MESSAGES = table(
    (
        DescriptorGet,
        DescriptorStatus,
        SensorGet,
        SensorStatus,
        ColumnGet,
        ColumnStatus,
        SeriesGet,
        SeriesStatus,
    )
)


class SensorServer(AtRest):
    """Readings by property id, as the device's own program sets them. It holds no columns: series are empty."""

    MODEL: ClassVar = SERVER
    MESSAGES: ClassVar = MESSAGES

    def __init__(self, readings: dict[int, float | None]) -> None:
        self._values = {property_id: value(property_id, reading) for property_id, reading in readings.items()}

    def measure(self, property_id: int, reading: float | None) -> None:
        self._values[property_id] = value(property_id, reading)

    def handle(self, message: WireMessage, heard: Heard) -> WireMessage | None:
        match message:
            case SensorGet(None):
                return self.status(heard.now)
            case SensorGet(int(property_id)):
                return SensorStatus((self._values.get(property_id, Value(property_id, b"")),))
            case DescriptorGet(asked):
                return self._described(asked)
            case ColumnGet(property_id, column):
                return ColumnStatus(property_id, column)
            case SeriesGet(property_id, _):
                return SeriesStatus(property_id, b"")
        return None

    def _described(self, asked: int | None) -> DescriptorStatus:
        if asked is not None and asked not in self._values:
            return DescriptorStatus(asked)
        ids = sorted(self._values) if asked is None else [asked]
        return DescriptorStatus(tuple(Descriptor(property_id=property_id) for property_id in ids))

    def status(self, now: float) -> SensorStatus:
        return SensorStatus(tuple(self._values[property_id] for property_id in sorted(self._values)))
