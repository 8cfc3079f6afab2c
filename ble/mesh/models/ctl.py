"""Light CTL: lightness and colour temperature (Mesh Model 1.1, 6.2.2 and 6.3.2). Temperatures in kelvin."""

from typing import Annotated, ClassVar, TypeAlias

from ble.errors import Malformed
from ble.mesh.model_id import ModelId
from ble.mesh.models.conversions import TEMPERATURE_MAX, TEMPERATURE_MIN
from ble.mesh.models.level import MaybeI16
from ble.mesh.models.lightness import LightnessServer
from ble.mesh.models.server import AtRest, Heard
from ble.mesh.models.tid import Tids
from ble.mesh.models.transition import Course, MaybeTransition, Transition, still, towards
from ble.mesh.octets import Octets
from ble.mesh.wire import I16, U8, U16, Codec, MaybeU8, MaybeU16, WireMessage, table

SERVER, SETUP, CLIENT, TEMPERATURE = ModelId(0x1303), ModelId(0x1304), ModelId(0x1305), ModelId(0x1306)


def _kelvin(octets: Octets) -> int:
    value = octets.u16()
    if not TEMPERATURE_MIN <= value <= TEMPERATURE_MAX:
        raise Malformed(f"a temperature of {value} K")
    return value


Kelvin: TypeAlias = Annotated[int, Codec[int](pack=lambda value: value.to_bytes(2, "little"), read=_kelvin)]


class CtlGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x825D


class _Set(WireMessage, frozen=True):
    lightness: U16
    temperature: Kelvin
    delta_uv: I16
    tid: U8
    transition: MaybeTransition = None


class CtlSet(_Set, frozen=True):
    OPCODE: ClassVar = 0x825E


class CtlSetUnacknowledged(_Set, frozen=True):
    OPCODE: ClassVar = 0x825F


class CtlStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8260
    lightness: U16
    temperature: U16
    target_lightness: MaybeU16 = None
    target_temperature: MaybeU16 = None
    remaining: MaybeU8 = None


class TemperatureGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8261


class TemperatureRangeGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8262


class TemperatureRangeStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8263
    status: U8
    low: U16
    high: U16


class _TemperatureSet(WireMessage, frozen=True):
    temperature: Kelvin
    delta_uv: I16
    tid: U8
    transition: MaybeTransition = None


class TemperatureSet(_TemperatureSet, frozen=True):
    OPCODE: ClassVar = 0x8264


class TemperatureSetUnacknowledged(_TemperatureSet, frozen=True):
    OPCODE: ClassVar = 0x8265


class TemperatureStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8266
    temperature: U16
    delta_uv: I16
    target_temperature: MaybeU16 = None
    target_delta_uv: MaybeI16 = None
    remaining: MaybeU8 = None


class CtlDefaultGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8267


class _Default(WireMessage, frozen=True):
    lightness: U16
    temperature: Kelvin
    delta_uv: I16


class CtlDefaultStatus(_Default, frozen=True):
    OPCODE: ClassVar = 0x8268


class CtlDefaultSet(_Default, frozen=True):
    OPCODE: ClassVar = 0x8269


class CtlDefaultSetUnacknowledged(_Default, frozen=True):
    OPCODE: ClassVar = 0x826A


class _Range(WireMessage, frozen=True):
    low: Kelvin
    high: Kelvin


class TemperatureRangeSet(_Range, frozen=True):
    OPCODE: ClassVar = 0x826B


class TemperatureRangeSetUnacknowledged(_Range, frozen=True):
    OPCODE: ClassVar = 0x826C


SETUP_MESSAGES = table(
    (CtlDefaultSet, CtlDefaultSetUnacknowledged, TemperatureRangeSet, TemperatureRangeSetUnacknowledged)
)
MESSAGES = table(
    (
        CtlDefaultGet,
        CtlDefaultStatus,
        CtlGet,
        CtlSet,
        CtlSetUnacknowledged,
        CtlStatus,
        TemperatureRangeGet,
        TemperatureRangeStatus,
    )
)
TEMPERATURE_MESSAGES = table((TemperatureGet, TemperatureSet, TemperatureSetUnacknowledged, TemperatureStatus))


def set_ctl(
    lightness: int, kelvin: int, tid: int, how: Transition | None = None, *, acknowledged: bool = True
) -> WireMessage:
    """What a client says; the answer to an acknowledged one is a CtlStatus."""
    return (CtlSet if acknowledged else CtlSetUnacknowledged)(lightness, kelvin, 0, tid, how)


class TemperatureServer:
    """Colour temperature and delta UV, on an element of its own where there is a level as well."""

    MODEL: ClassVar = TEMPERATURE
    MESSAGES: ClassVar = TEMPERATURE_MESSAGES

    def __init__(self, kelvin: int = 4000, *, low: int = 2700, high: int = 6500) -> None:
        self.course: Course[tuple[int, ...]] = still(kelvin, 0)
        self.low, self.high = low, high
        self._tids = Tids()

    def go(self, kelvin: int, delta_uv: int, how: Transition | None, now: float) -> None:
        held = min(self.high, max(self.low, kelvin))
        self.course = towards(self.course, (held, delta_uv), how, now)

    def handle(self, message: WireMessage, heard: Heard) -> WireMessage | None:
        if isinstance(message, _TemperatureSet):
            if not self._tids.repeated(heard.source, heard.destination, message.tid, heard.now):
                self.go(message.temperature, message.delta_uv, message.transition, heard.now)
        elif not isinstance(message, TemperatureGet):
            return None
        return None if isinstance(message, TemperatureSetUnacknowledged) else self.status(heard.now)

    def status(self, now: float) -> TemperatureStatus:
        kelvin, delta_uv = self.course.at(now)
        if not self.course.moving(now):
            return TemperatureStatus(kelvin, delta_uv)
        target_kelvin, target_uv = self.course.target
        return TemperatureStatus(kelvin, delta_uv, target_kelvin, target_uv, self.course.remaining(now))

    def moving(self, now: float) -> bool:
        return self.course.moving(now)


class CtlServer:
    """Both at once: it moves the lightness and the temperature server that it was given."""

    MODEL: ClassVar = SERVER
    MESSAGES: ClassVar = MESSAGES

    def __init__(self, lightness: LightnessServer, temperature: TemperatureServer) -> None:
        self.default = CtlDefaultStatus(0, temperature.course.target[0], 0)
        self._lightness = lightness
        self._temperature = temperature
        self._tids = Tids()

    @property
    def range(self) -> TemperatureRangeStatus:
        return TemperatureRangeStatus(0, self._temperature.low, self._temperature.high)

    def hold(self, low: int, high: int) -> None:
        """Temperatures from now on. Raises Malformed where they are no range."""
        if low > high:
            raise Malformed("a range that is none")
        self._temperature.low, self._temperature.high = low, high

    def handle(self, message: WireMessage, heard: Heard) -> WireMessage | None:
        if isinstance(message, TemperatureRangeGet):
            return self.range
        if isinstance(message, CtlDefaultGet):
            return self.default
        if isinstance(message, _Set):
            if not self._tids.repeated(heard.source, heard.destination, message.tid, heard.now):
                self._lightness.go(message.lightness, message.transition, heard.now)
                self._temperature.go(message.temperature, message.delta_uv, message.transition, heard.now)
        elif not isinstance(message, CtlGet):
            return None
        return None if isinstance(message, CtlSetUnacknowledged) else self.status(heard.now)

    def status(self, now: float) -> CtlStatus:
        light, warmth = self._lightness.course, self._temperature.course
        present = (light.at(now)[0], warmth.at(now)[0])
        if not self.moving(now):
            return CtlStatus(*present)
        remaining = max((light, warmth), key=lambda course: course.ends).remaining(now)
        return CtlStatus(*present, light.target[0], warmth.target[0], remaining)

    def moving(self, now: float) -> bool:
        return self._lightness.moving(now) or self._temperature.moving(now)


class CtlSetupServer(AtRest):
    """Changes default and range of the server beside it."""

    MODEL: ClassVar = SETUP
    MESSAGES: ClassVar = SETUP_MESSAGES

    def __init__(self, beside: CtlServer) -> None:
        self._beside = beside

    def handle(self, message: WireMessage, heard: Heard) -> WireMessage | None:
        match message:
            case CtlDefaultSet(lightness, kelvin, delta_uv) | CtlDefaultSetUnacknowledged(lightness, kelvin, delta_uv):
                self._beside.default = CtlDefaultStatus(lightness, kelvin, delta_uv)
                return self._beside.default if isinstance(message, CtlDefaultSet) else None
            case TemperatureRangeSet(low, high) | TemperatureRangeSetUnacknowledged(low, high):
                self._beside.hold(low, high)
                return self._beside.range if isinstance(message, TemperatureRangeSet) else None
        return None
