"""Light Lightness (Mesh Model 1.1, 6.2.1 and 6.3.1)."""

from typing import ClassVar

from ble.errors import Malformed
from ble.mesh.model_id import ModelId
from ble.mesh.models.conversions import LIGHTNESS_MAX, actual_of, linear_of, within
from ble.mesh.models.server import AtRest, Heard
from ble.mesh.models.tid import Tids
from ble.mesh.models.transition import Course, MaybeTransition, Transition, still, towards
from ble.mesh.wire import U8, U16, MaybeU8, MaybeU16, WireMessage, table

SERVER, SETUP, CLIENT = ModelId(0x1300), ModelId(0x1301), ModelId(0x1302)
RANGE_SET, RANGE_REFUSED_MIN, RANGE_REFUSED_MAX = 0, 1, 2
"""The status octets of a range (table 7.2)."""


class LightnessGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x824B


class _Set(WireMessage, frozen=True):
    lightness: U16
    tid: U8
    transition: MaybeTransition = None


class LightnessSet(_Set, frozen=True):
    OPCODE: ClassVar = 0x824C


class LightnessSetUnacknowledged(_Set, frozen=True):
    OPCODE: ClassVar = 0x824D


class _Status(WireMessage, frozen=True):
    lightness: U16
    target: MaybeU16 = None
    remaining: MaybeU8 = None


class LightnessStatus(_Status, frozen=True):
    OPCODE: ClassVar = 0x824E


class LinearGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x824F


class LinearSet(_Set, frozen=True):
    OPCODE: ClassVar = 0x8250


class LinearSetUnacknowledged(_Set, frozen=True):
    OPCODE: ClassVar = 0x8251


class LinearStatus(_Status, frozen=True):
    OPCODE: ClassVar = 0x8252


class LastGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8253


class LastStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8254
    lightness: U16


class DefaultGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8255


class DefaultStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8256
    lightness: U16


class RangeGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8257


class RangeStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8258
    status: U8
    low: U16
    high: U16


class DefaultSet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8259
    lightness: U16


class DefaultSetUnacknowledged(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x825A
    lightness: U16


class RangeSet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x825B
    low: U16
    high: U16


class RangeSetUnacknowledged(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x825C
    low: U16
    high: U16


MESSAGES = table(
    (
        LightnessGet,
        LightnessSet,
        LightnessSetUnacknowledged,
        LightnessStatus,
        LinearGet,
        LinearSet,
        LinearSetUnacknowledged,
        LinearStatus,
        LastGet,
        LastStatus,
        DefaultGet,
        DefaultStatus,
        RangeGet,
        RangeStatus,
    )
)
SETUP_MESSAGES = table((DefaultSet, DefaultSetUnacknowledged, RangeSet, RangeSetUnacknowledged))


def set_lightness(lightness: int, tid: int, how: Transition | None = None, *, acknowledged: bool = True) -> WireMessage:
    """What a client says; the answer to an acknowledged one is a LightnessStatus."""
    return (LightnessSet if acknowledged else LightnessSetUnacknowledged)(lightness, tid, how)


class LightnessServer:
    """A dimmable light. `course` is of Lightness Actual; `last` is what it was when it was last not off."""

    MODEL: ClassVar = SERVER
    MESSAGES: ClassVar = MESSAGES

    def __init__(self, lightness: int = 0, *, default: int = 0, low: int = 1, high: int = LIGHTNESS_MAX) -> None:
        self.course: Course[tuple[int, ...]] = still(lightness)
        self.last = lightness or LIGHTNESS_MAX
        self.default = default
        self.low, self.high = low, high
        self._tids = Tids()

    def lightness(self, now: float) -> int:
        return self.course.at(now)[0]

    def go(self, lightness: int, how: Transition | None, now: float) -> None:
        """On the way to a lightness, held in the range."""
        target = within(lightness, self.low, self.high)
        self.course = towards(self.course, (target,), how, now)
        self.last = target or self.last

    def turn(self, on: bool, how: Transition | None, now: float) -> None:
        """The binding with Generic OnOff: on is the default, or the last where there is none (6.1.2.2.3)."""
        self.go((self.default or self.last) if on else 0, how, now)

    def handle(self, message: WireMessage, heard: Heard) -> WireMessage | None:
        match message:
            case LightnessSet() | LightnessSetUnacknowledged() | LinearSet() | LinearSetUnacknowledged():
                return self._set(message, heard)
            case LightnessGet():
                return self.status(heard.now)
            case LinearGet():
                return self._linear(heard.now)
            case LastGet():
                return LastStatus(self.last)
            case DefaultGet():
                return DefaultStatus(self.default)
            case RangeGet():
                return RangeStatus(RANGE_SET, self.low, self.high)
        return None

    def _set(self, message: _Set, heard: Heard) -> WireMessage | None:
        linear = isinstance(message, LinearSet | LinearSetUnacknowledged)
        if not self._tids.repeated(heard.source, heard.destination, message.tid, heard.now):
            self.go(actual_of(message.lightness) if linear else message.lightness, message.transition, heard.now)
        if isinstance(message, LightnessSetUnacknowledged | LinearSetUnacknowledged):
            return None
        return self._linear(heard.now) if linear else self.status(heard.now)

    def _linear(self, now: float) -> LinearStatus:
        actual = self.status(now)
        target = None if actual.target is None else linear_of(actual.target)
        return LinearStatus(linear_of(actual.lightness), target, actual.remaining)

    def status(self, now: float) -> LightnessStatus:
        if not self.course.moving(now):
            return LightnessStatus(self.lightness(now))
        return LightnessStatus(self.lightness(now), self.course.target[0], self.course.remaining(now))

    def moving(self, now: float) -> bool:
        return self.course.moving(now)


class LightnessSetupServer(AtRest):
    """Changes default and range of the server beside it."""

    MODEL: ClassVar = SETUP
    MESSAGES: ClassVar = SETUP_MESSAGES

    def __init__(self, beside: LightnessServer) -> None:
        self._beside = beside

    def handle(self, message: WireMessage, heard: Heard) -> WireMessage | None:
        match message:
            case DefaultSet(lightness) | DefaultSetUnacknowledged(lightness):
                self._beside.default = lightness
                return DefaultStatus(lightness) if isinstance(message, DefaultSet) else None
            case RangeSet(low, high) | RangeSetUnacknowledged(low, high):
                self._range(low, high)
                return RangeStatus(RANGE_SET, low, high) if isinstance(message, RangeSet) else None
        return None

    def _range(self, low: int, high: int) -> None:
        if not 0 < low <= high:
            raise Malformed("a range that is none")
        self._beside.low, self._beside.high = low, high
