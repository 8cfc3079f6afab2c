"""Light HSL: hue, saturation, lightness (Mesh Model 1.1, 6.2.3 and 6.3.3). Hue 0 to 65535 is once round the circle."""

from typing import ClassVar

from ble.mesh.model_id import ModelId
from ble.mesh.models.lightness import LightnessServer
from ble.mesh.models.server import AtRest, Heard
from ble.mesh.models.tid import Tids
from ble.mesh.models.transition import Course, MaybeTransition, Transition, still, towards
from ble.mesh.wire import U8, U16, MaybeU8, MaybeU16, WireMessage, table

SERVER, SETUP, CLIENT = ModelId(0x1307), ModelId(0x1308), ModelId(0x1309)
HUE, SATURATION = ModelId(0x130A), ModelId(0x130B)


class HslGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x826D


class HueGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x826E


class _One(WireMessage, frozen=True):
    value: U16
    tid: U8
    transition: MaybeTransition = None


class _OneStatus(WireMessage, frozen=True):
    value: U16
    target: MaybeU16 = None
    remaining: MaybeU8 = None


class HueSet(_One, frozen=True):
    OPCODE: ClassVar = 0x826F


class HueSetUnacknowledged(_One, frozen=True):
    OPCODE: ClassVar = 0x8270


class HueStatus(_OneStatus, frozen=True):
    OPCODE: ClassVar = 0x8271


class SaturationGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8272


class SaturationSet(_One, frozen=True):
    OPCODE: ClassVar = 0x8273


class SaturationSetUnacknowledged(_One, frozen=True):
    OPCODE: ClassVar = 0x8274


class SaturationStatus(_OneStatus, frozen=True):
    OPCODE: ClassVar = 0x8275


class _Set(WireMessage, frozen=True):
    lightness: U16
    hue: U16
    saturation: U16
    tid: U8
    transition: MaybeTransition = None


class HslSet(_Set, frozen=True):
    OPCODE: ClassVar = 0x8276


class HslSetUnacknowledged(_Set, frozen=True):
    OPCODE: ClassVar = 0x8277


class _Status(WireMessage, frozen=True):
    lightness: U16
    hue: U16
    saturation: U16
    remaining: MaybeU8 = None


class HslStatus(_Status, frozen=True):
    OPCODE: ClassVar = 0x8278


class HslTargetGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8279


class HslTargetStatus(_Status, frozen=True):
    OPCODE: ClassVar = 0x827A


class HslDefaultGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x827B


class _Default(WireMessage, frozen=True):
    lightness: U16
    hue: U16
    saturation: U16


class HslDefaultStatus(_Default, frozen=True):
    OPCODE: ClassVar = 0x827C


class HslDefaultSet(_Default, frozen=True):
    OPCODE: ClassVar = 0x827F


class HslDefaultSetUnacknowledged(_Default, frozen=True):
    OPCODE: ClassVar = 0x8280


class HslRangeGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x827D


class HslRangeStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x827E
    status: U8
    hue_low: U16
    hue_high: U16
    saturation_low: U16
    saturation_high: U16


MESSAGES = table(
    (
        HslDefaultGet,
        HslDefaultStatus,
        HslRangeGet,
        HslRangeStatus,
        HslGet,
        HslSet,
        HslSetUnacknowledged,
        HslStatus,
        HslTargetGet,
        HslTargetStatus,
    )
)
SETUP_MESSAGES = table((HslDefaultSet, HslDefaultSetUnacknowledged))
HUE_MESSAGES = table((HueGet, HueSet, HueSetUnacknowledged, HueStatus))
SATURATION_MESSAGES = table((SaturationGet, SaturationSet, SaturationSetUnacknowledged, SaturationStatus))


def set_hsl(
    lightness: int, hue: int, saturation: int, tid: int, how: Transition | None = None, *, acknowledged: bool = True
) -> WireMessage:
    """What a client says; the answer to an acknowledged one is an HslStatus."""
    return (HslSet if acknowledged else HslSetUnacknowledged)(lightness, hue, saturation, tid, how)


class _OneServer:
    """A hue or a saturation."""

    UNACKNOWLEDGED: ClassVar[type[_One]]
    GET: ClassVar[type[WireMessage]]
    STATUS: ClassVar[type[_OneStatus]]

    def __init__(self, value: int = 0) -> None:
        self.course: Course[tuple[int, ...]] = still(value)
        self._tids = Tids()

    def go(self, value: int, how: Transition | None, now: float) -> None:
        self.course = towards(self.course, (value,), how, now)

    def handle(self, message: WireMessage, heard: Heard) -> WireMessage | None:
        if isinstance(message, _One):
            if not self._tids.repeated(heard.source, heard.destination, message.tid, heard.now):
                self.go(message.value, message.transition, heard.now)
        elif not isinstance(message, self.GET):
            return None
        return None if isinstance(message, self.UNACKNOWLEDGED) else self.status(heard.now)

    def status(self, now: float) -> WireMessage:
        (value,) = self.course.at(now)
        if not self.course.moving(now):
            return self.STATUS(value)
        return self.STATUS(value, self.course.target[0], self.course.remaining(now))

    def moving(self, now: float) -> bool:
        return self.course.moving(now)


class HueServer(_OneServer):
    MODEL: ClassVar = HUE
    MESSAGES: ClassVar = HUE_MESSAGES
    GET: ClassVar = HueGet
    UNACKNOWLEDGED: ClassVar = HueSetUnacknowledged
    STATUS: ClassVar = HueStatus


class SaturationServer(_OneServer):
    MODEL: ClassVar = SATURATION
    MESSAGES: ClassVar = SATURATION_MESSAGES
    GET: ClassVar = SaturationGet
    UNACKNOWLEDGED: ClassVar = SaturationSetUnacknowledged
    STATUS: ClassVar = SaturationStatus


class HslServer:
    """All three at once: it moves the servers that it was given."""

    MODEL: ClassVar = SERVER
    MESSAGES: ClassVar = MESSAGES

    def __init__(self, lightness: LightnessServer, hue: HueServer, saturation: SaturationServer) -> None:
        self.default = HslDefaultStatus(0, 0, 0)
        self._lightness = lightness
        self._hue = hue
        self._saturation = saturation
        self._tids = Tids()

    def handle(self, message: WireMessage, heard: Heard) -> WireMessage | None:
        if isinstance(message, HslTargetGet):
            lightness, hue, saturation = (course.target[0] for course in self._courses)
            return HslTargetStatus(lightness, hue, saturation, self._remaining(heard.now))
        if isinstance(message, HslDefaultGet):
            return self.default
        if isinstance(message, HslRangeGet):  # the whole of both, always: this server holds nobody back
            return HslRangeStatus(0, 0, 0xFFFF, 0, 0xFFFF)
        if isinstance(message, _Set):
            if not self._tids.repeated(heard.source, heard.destination, message.tid, heard.now):
                self._lightness.go(message.lightness, message.transition, heard.now)
                self._hue.go(message.hue, message.transition, heard.now)
                self._saturation.go(message.saturation, message.transition, heard.now)
        elif not isinstance(message, HslGet):
            return None
        return None if isinstance(message, HslSetUnacknowledged) else self.status(heard.now)

    @property
    def _courses(self) -> tuple[Course[tuple[int, ...]], ...]:
        return (self._lightness.course, self._hue.course, self._saturation.course)

    def _remaining(self, now: float) -> int | None:
        if not self.moving(now):
            return None
        return max(self._courses, key=lambda course: course.ends).remaining(now)

    def status(self, now: float) -> HslStatus:
        lightness, hue, saturation = (course.at(now)[0] for course in self._courses)
        return HslStatus(lightness, hue, saturation, self._remaining(now))

    def moving(self, now: float) -> bool:
        return any(course.moving(now) for course in self._courses)


class HslSetupServer(AtRest):
    """Changes the default of the server beside it."""

    MODEL: ClassVar = SETUP
    MESSAGES: ClassVar = SETUP_MESSAGES

    def __init__(self, beside: HslServer) -> None:
        self._beside = beside

    def handle(self, message: WireMessage, heard: Heard) -> WireMessage | None:
        if isinstance(message, HslDefaultSet | HslDefaultSetUnacknowledged):
            self._beside.default = HslDefaultStatus(message.lightness, message.hue, message.saturation)
        return self._beside.default if isinstance(message, HslDefaultSet) else None
