"""A device's properties as mesh messages, and what nodes say as properties. Pure."""

import colorsys
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from app.links.mesh.kinds import Part
from ble.errors import Malformed
from ble.mesh.access import Message
from ble.mesh.models import battery, ctl, hsl, level, lightness, onoff, sensor
from ble.mesh.models.conversions import degrees, hue_of
from ble.mesh.models.known import read
from ble.mesh.wire import WireMessage

FULL: Final = 1000
LIGHTNESS: Final = 0xFFFF
KELVIN: Final = (2700, 6500)
"""The whites of a lamp that did not say which it has."""
Range = tuple[int, int]

_SERVICES = {"mesh_switch": "outlet", "mesh_level": "dimmer", "mesh_sensor": "measured"}
# Brightness switches on by itself: whether it is to be on comes last.
_ORDER = ("colour", "temperature", "brightness", "level", "on")


class Asking(Struct, frozen=True):
    """A message to an element (counted from the node's first), and the opcode that answers it."""

    element: int
    message: WireMessage
    answer: int


class Told(Struct, frozen=True):
    """What a status says of a service."""

    service: str
    values: dict[str, Any]


def service_of(part: Part) -> str:
    """The service that a device of this kind is controlled by."""
    return _SERVICES.get(part.product, "light")


def setting(part: Part, values: Mapping[str, Any], tid: int, kelvin: Range = KELVIN) -> list[Asking]:
    """What sets these values, which fit the product's model; each is acknowledged by its status."""
    return [_set(part, name, values[name], tid, kelvin) for name in _ORDER if name in values]


def asking(part: Part) -> list[Asking]:
    """What a device is polled by."""
    here = part.element
    if part.measures:
        return [
            Asking(here, sensor.SensorGet(), sensor.SensorStatus.OPCODE),
            Asking(here, battery.BatteryGet(), battery.BatteryStatus.OPCODE),
        ]
    gets = {
        "on": Asking(here, onoff.OnOffGet(), onoff.OnOffStatus.OPCODE),
        "level": Asking(here, level.LevelGet(), level.LevelStatus.OPCODE),
        "brightness": Asking(here, lightness.LightnessGet(), lightness.LightnessStatus.OPCODE),
        "temperature": Asking(_whites(part), ctl.TemperatureGet(), ctl.TemperatureStatus.OPCODE),
        "colour": Asking(here, hsl.HslGet(), hsl.HslStatus.OPCODE),
    }
    return [gets[name] for name in part.models]


def _whites(part: Part) -> int:
    return part.element if part.temperature is None else part.temperature


def _set(part: Part, name: str, value: Any, tid: int, kelvin: Range) -> Asking:
    here = part.element
    match name:
        case "on":
            return Asking(here, onoff.OnOffSet(int(value), tid), onoff.OnOffStatus.OPCODE)
        case "level":
            raw = round(value * 0xFFFF / FULL) - 0x8000
            return Asking(here, level.LevelSet(raw, tid), level.LevelStatus.OPCODE)
        case "brightness":
            raw = round(value * LIGHTNESS / FULL)
            return Asking(here, lightness.LightnessSet(raw, tid), lightness.LightnessStatus.OPCODE)
        case "temperature":
            low, high = kelvin
            raw = low + round(value * (high - low) / FULL)
            return Asking(_whites(part), ctl.TemperatureSet(raw, 0, tid), ctl.TemperatureStatus.OPCODE)
        case _:
            return Asking(here, hsl.HslSet(*_hsl(value), tid), hsl.HslStatus.OPCODE)


def _hsl(colour: str) -> tuple[int, int, int]:
    """Lightness, hue and saturation of a colour as data points write it. Raises Malformed."""
    try:
        said = json.loads(colour)
        h, s, v = (float(said[key]) for key in "hsv")
    except (ValueError, KeyError, TypeError) as error:
        raise Malformed('a colour is {"h": 0-360, "s": 0-1000, "v": 0-1000}') from error
    if not (0 <= h <= 360 and 0 <= s <= FULL and 0 <= v <= FULL):
        raise Malformed("a colour out of range")
    red, green, blue = colorsys.hsv_to_rgb(h / 360, s / FULL, v / FULL)
    _, light, saturation = colorsys.rgb_to_hls(red, green, blue)
    return round(light * LIGHTNESS), hue_of(round(h)), round(saturation * LIGHTNESS)


def _colour(light: int, hue: int, saturation: int) -> str:
    red, green, blue = colorsys.hls_to_rgb(hue / 0x10000, light / LIGHTNESS, saturation / LIGHTNESS)
    _, s, v = colorsys.rgb_to_hsv(red, green, blue)
    return json.dumps({"h": degrees(hue), "s": round(s * FULL), "v": round(v * FULL)}, separators=(",", ":"))


def telling(part: Part, message: Message, kelvin: Range = KELVIN) -> Iterator[Told]:
    """What it says of a device of this kind. Raises Malformed; of a change under way it says how that ends."""
    said = read(message)
    if said is None:
        return
    if part.measures:
        yield from _measured(said)
        return
    values = _state(said, kelvin)
    fitting = {name: value for name, value in values.items() if name in part.models}
    if fitting:
        yield Told(service_of(part), fitting)


def _state(said: WireMessage, kelvin: Range) -> dict[str, Any]:
    match said:
        case onoff.OnOffStatus():
            return {"on": onoff.reported(said)}
        case level.LevelStatus(now, target):
            raw = now if target is None else target
            return {"level": round((raw + 0x8000) * FULL / 0xFFFF)}
        case lightness.LightnessStatus(now, target):
            return _brightness(now if target is None else target)
        case ctl.TemperatureStatus():
            raw = said.temperature if said.target_temperature is None else said.target_temperature
            low, high = kelvin
            return {"temperature": min(FULL, max(0, round((raw - low) * FULL / max(high - low, 1))))}
        case hsl.HslStatus(light, hue, saturation):
            return _brightness(light) | {"colour": _colour(light, hue, saturation)}
        case _:
            return {}


def _brightness(raw: int) -> dict[str, Any]:
    """Off has no brightness: the lamp keeps the one it will have again."""
    return {"brightness": max(10, round(raw * FULL / LIGHTNESS)), "on": True} if raw else {"on": False}


_MEASURED: Final[dict[int, str]] = {
    0x004F: "temperature",
    0x0056: "temperature",
    0x005B: "temperature",
    0x0075: "temperature",
    0x0076: "humidity",
    0x00A7: "humidity",
    0x00A8: "humidity",
    0x004E: "illuminance",
    0x0055: "illuminance",
    0x0077: "co2",
    0x0078: "voc",
    0x0079: "noise",
    0x004D: "presence",
    0x0042: "presence",
    0x0052: "power",
    0x006A: "energy",
    0x0072: "energy",
}
_WHOLE = frozenset(("co2", "voc", "noise"))


def _measured(said: WireMessage) -> Iterator[Told]:
    if isinstance(said, sensor.SensorStatus):
        known = ((_MEASURED.get(one.property_id, ""), one) for one in said.values)
        readings = {name: _reading(name, one) for name, one in known if name}
        if values := {name: value for name, value in readings.items() if value is not None}:
            yield Told("measured", values)
    elif isinstance(said, battery.BatteryStatus) and said.battery.level is not None:
        yield Told("battery", {"level": said.battery.level})


def _reading(name: str, one: sensor.Value) -> float | int | bool | None:
    reading = one.reading
    if reading is None:
        return None
    if name == "presence":
        return reading > 0
    return round(reading) if name in _WHOLE else round(reading, 3)
