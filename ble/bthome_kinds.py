"""What BTHome v2 sensors can measure, as a table (bthome.io/format): which property a reading is, and its range. Pure.

A kind is named by the lowest of the object ids that measure it in its unit; its range is that of them all.
"""

import re
from collections import Counter
from collections.abc import Iterable
from enum import Enum
from typing import Final

from msgspec import Struct

MAX_MEASURES: Final = 20


class Form(Enum):
    """What a value of a kind is."""

    NUMBER = "number"
    YES_NO = "yes or no"
    TEXT = "text"
    EVENT = "event"


class Kind(Struct, frozen=True, kw_only=True):
    """`key` is what a reading is called, `name` what its property is: a number and a yes or no may share a key."""

    code: int
    key: str
    name: str
    form: Form
    unit: str = ""
    low: float = 0.0
    high: float = 0.0
    values: tuple[str, ...] = ()


def _number(code: int, key: str, unit: str, low: float, high: float) -> Kind:
    return Kind(code=code, key=key, name=key, form=Form.NUMBER, unit=unit, low=float(low), high=float(high))


def _yes_no(code: int, key: str, name: str = "") -> Kind:
    return Kind(code=code, key=key, name=name or key, form=Form.YES_NO)


_NUMBERS: Final = (
    _number(0x01, "battery", "%", 0, 255),
    _number(0x02, "temperature", "°C", -3276.8, 3276.7),
    _number(0x03, "humidity", "%", 0, 655.35),
    _number(0x04, "pressure", "mbar", 0, 167772.15),
    _number(0x05, "illuminance", "lx", 0, 167772.15),
    _number(0x06, "mass", "kg", 0, 655.35),
    _number(0x07, "mass", "lb", 0, 655.35),
    _number(0x08, "dew_point", "°C", -327.68, 327.67),
    _number(0x09, "count", "", -2147483648, 4294967295),
    _number(0x0A, "energy", "kWh", 0, 4294967.295),
    _number(0x0B, "power", "W", -21474836.48, 21474836.47),
    _number(0x0C, "voltage", "V", 0, 6553.5),
    _number(0x0D, "pm25", "µg/m³", 0, 65535),
    _number(0x0E, "pm10", "µg/m³", 0, 65535),
    _number(0x12, "carbon_dioxide", "ppm", 0, 65535),
    _number(0x13, "volatile_organic_compounds", "µg/m³", 0, 65535),
    _number(0x14, "moisture", "%", 0, 655.35),
    _number(0x3F, "rotation", "°", -3276.8, 3276.7),
    _number(0x40, "distance", "mm", 0, 65535),
    _number(0x41, "distance", "m", 0, 6553.5),
    _number(0x42, "duration", "s", 0, 16777.215),
    _number(0x43, "current", "A", -32.768, 65.535),
    _number(0x44, "speed", "m/s", -2147.483648, 2147.483647),
    _number(0x46, "uv_index", "", 0, 25.5),
    _number(0x47, "volume", "L", 0, 4294967.295),
    _number(0x48, "volume", "mL", 0, 65535),
    _number(0x49, "volume_flow_rate", "m³/h", 0, 65.535),
    _number(0x4B, "gas", "m³", 0, 4294967.295),
    _number(0x4F, "water", "L", 0, 4294967.295),
    _number(0x50, "timestamp", "", 0, 4294967295),
    _number(0x51, "acceleration", "m/s²", -2147.483648, 2147.483647),
    _number(0x52, "gyroscope", "°/s", 0, 65.535),
    _number(0x55, "volume_storage", "L", 0, 4294967.295),
    _number(0x56, "conductivity", "µS/cm", 0, 65535),
    _number(0x5E, "direction", "°", 0, 655.35),
    _number(0x5F, "precipitation", "mm", 0, 6553.5),
    _number(0x60, "channel", "", 0, 255),
    _number(0x61, "rotational_speed", "rpm", 0, 65535),
    _number(0x64, "light_level", "", 0, 255),
    _number(0x65, "settings_revision", "", 0, 255),
)
_YES_NO: Final = (
    _yes_no(0x0F, "generic"),
    _yes_no(0x10, "power", "power_on"),
    _yes_no(0x11, "opening"),
    _yes_no(0x15, "battery", "battery_low"),
    _yes_no(0x16, "battery_charging"),
    _yes_no(0x17, "carbon_monoxide"),
    _yes_no(0x18, "cold"),
    _yes_no(0x19, "connectivity"),
    _yes_no(0x1A, "door"),
    _yes_no(0x1B, "garage_door"),
    _yes_no(0x1C, "gas", "gas_detected"),
    _yes_no(0x1D, "heat"),
    _yes_no(0x1E, "light"),
    _yes_no(0x1F, "lock"),
    _yes_no(0x20, "moisture", "wet"),
    _yes_no(0x21, "motion"),
    _yes_no(0x22, "moving"),
    _yes_no(0x23, "occupancy"),
    _yes_no(0x24, "plug"),
    _yes_no(0x25, "presence"),
    _yes_no(0x26, "problem"),
    _yes_no(0x27, "running"),
    _yes_no(0x28, "safety"),
    _yes_no(0x29, "smoke"),
    _yes_no(0x2A, "sound"),
    _yes_no(0x2B, "tamper"),
    _yes_no(0x2C, "vibration"),
    _yes_no(0x2D, "window"),
)
_PRESSES: Final = ("press", "double_press", "triple_press", "long_press", "long_double_press", "long_triple_press")
_COMMANDS: Final = ("off", "on", "toggle", "step_up", "step_down")
_OTHERS: Final = (
    Kind(code=0x53, key="text", name="text", form=Form.TEXT),
    Kind(code=0x54, key="raw", name="raw", form=Form.TEXT),
    Kind(code=0x3A, key="button", name="button", form=Form.EVENT, values=(*_PRESSES, "hold_press", "hold_release")),
    Kind(code=0x3B, key="command", name="command", form=Form.EVENT, values=_COMMANDS),
    Kind(code=0x3C, key="dimmer", name="dimmer", form=Form.EVENT, values=("rotate_left", "rotate_right")),
)
KINDS: Final = {kind.code: kind for kind in (*_NUMBERS, *_YES_NO, *_OTHERS)}
_BY_KEY: Final = {(kind.key, kind.form, kind.unit): kind for kind in KINDS.values()}
_KEY: Final = re.compile(r"(.+?)(_[0-9]+)?")


class Point(Struct, frozen=True):
    """One value of what was heard: its kind, and which of several of that kind ("" or "_2")."""

    kind: Kind
    number: str
    value: float | bool | str

    @property
    def name(self) -> str:
        """Of its property."""
        return self.kind.name + self.number


def point(key: str, value: float | bool | str, unit: str = "", *, event: bool = False) -> Point | None:
    """A reading or event, by its key; None of what is not in the table."""
    form = Form.EVENT if event else _form(value)
    for base, number in ((key, ""), _split(key)):
        kind = _BY_KEY.get((base, form, unit if form is Form.NUMBER else ""))
        if kind is not None:
            return Point(kind, number, value)
    return None


def measures_of(adverts: Iterable[Iterable[Point]]) -> tuple[int, ...]:
    """What a sensor measures, by the points of some of its advertisements: codes, one for each of a kind, in order."""
    most = Counter[int]()
    for points in adverts:
        most |= Counter(each.kind.code for each in points)
    return tuple(sorted(most.elements()))[:MAX_MEASURES]


def names_of(measures: Iterable[int]) -> list[tuple[str, Kind]]:
    """The properties of a sensor that measures this, in order. Raises KeyError for a code that is not in the table."""
    named = list[tuple[str, Kind]]()
    for code, count in Counter(measures).items():
        kind = KINDS[code]
        named += [(kind.name if count == 1 else f"{kind.name}_{n}", kind) for n in range(1, count + 1)]
    return named


def _form(value: float | bool | str) -> Form:
    if isinstance(value, bool):
        return Form.YES_NO
    return Form.TEXT if isinstance(value, str) else Form.NUMBER


def _split(key: str) -> tuple[str, str]:
    found = _KEY.fullmatch(key)
    return (key, "") if found is None else (found[1], found[2] or "")
