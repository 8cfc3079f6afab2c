"""What a node is to a home: which of its elements are devices of which product. Pure.

An element with a lamp's, a switch's or a level's models is one device; elements that only carry a lamp's temperature,
hue or saturation belong to the lamp before them. What an element measures, its battery with it, is a device of its own.
"""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from ble.mesh.config.composition import Composition
from ble.mesh.model_id import ModelId
from ble.mesh.models import battery, ctl, hsl, level, lightness, onoff, sensor
from pairing.methods.mesh import ID, candidate_id

_CARRIED: Final = frozenset((ctl.TEMPERATURE, hsl.HUE, hsl.SATURATION))
MEASURES: Final = "m"


class Part(Struct, frozen=True, kw_only=True):
    """A device of a node: `element` counts from 0; `temperature` is that of the element with a lamp's whites."""

    element: int
    product: str
    measures: bool = False
    temperature: int | None = None

    def hardware_id(self, uuid: bytes) -> str:
        """What the registry knows it by; the same whenever it is paired anew."""
        return f"{prefix(uuid)}{self.element}{MEASURES * self.measures}"

    @property
    def models(self) -> dict[str, tuple[int, ModelId]]:
        """By property that can be set: the element and the model that take it."""
        here = self.element
        return {
            name: (here if self.temperature is None or name != "temperature" else self.temperature, model)
            for name, model in _MODELS[self.product].items()
        }


_LAMP = {"on": onoff.SERVER, "brightness": lightness.SERVER}
_WHITE, _COLOUR = {"temperature": ctl.TEMPERATURE}, {"colour": hsl.SERVER}
_MODELS: Final[dict[str, dict[str, ModelId]]] = {
    "mesh_lamp": _LAMP,
    "mesh_white_lamp": _LAMP | _WHITE,
    "mesh_colour_lamp": _LAMP | _COLOUR,
    "mesh_full_lamp": _LAMP | _WHITE | _COLOUR,
    "mesh_switch": {"on": onoff.SERVER},
    "mesh_level": {"level": level.SERVER},
    "mesh_sensor": {},
}


def prefix(uuid: bytes) -> str:
    """What the hardware ids of all devices of a node begin with."""
    return f"{candidate_id(uuid)}-"


def uuid_of(hardware_id: str) -> bytes:
    """The node's; empty where that is no device of a mesh."""
    if not hardware_id.startswith(ID):
        return b""
    try:
        return bytes.fromhex(hardware_id.removeprefix(ID).partition("-")[0])
    except ValueError:
        return b""


def numbered(name: str, place: int) -> str:
    """The name of a node's device, counted from 1: the first has the node's own."""
    return name if place == 1 or not name else f"{name} {place}"


def parts_of(made: Composition) -> list[Part]:
    """Its devices, in the order of their elements; none where it has nothing that the hub can use."""
    return [part for index in range(len(made.elements)) for part in _of_element(made, index)]


def _of_element(made: Composition, index: int) -> Iterator[Part]:
    models = made.elements[index].models
    white = _white_of(made, index) if ctl.SERVER in models else None
    product = _product(frozenset(models), white=white is not None)
    if product:
        yield Part(element=index, product=product, temperature=white)
    if sensor.SERVER in models or battery.SERVER in models:
        yield Part(element=index, product="mesh_sensor", measures=True)


def _product(models: frozenset[ModelId], *, white: bool) -> str:
    if lightness.SERVER in models:
        coloured = hsl.SERVER in models
        return {(0, 0): "mesh_lamp", (1, 0): "mesh_white_lamp", (0, 1): "mesh_colour_lamp"}.get(
            (white, coloured), "mesh_full_lamp"
        )
    if onoff.SERVER in models:
        return "mesh_switch"
    return "mesh_level" if level.SERVER in models and not models & _CARRIED else ""


def _white_of(made: Composition, index: int) -> int | None:
    """The element with the temperature of the lamp at `index`: its own, or one that follows and carries for it."""
    for at in range(index, len(made.elements)):
        models = made.elements[at].models
        if ctl.TEMPERATURE in models:
            return at
        if at > index and not set(models) & _CARRIED:
            return None
    return None
