"""Products of sensors that only advertise: made of what they measure, which their id says. Pure.

So a sensor of any maker has a model, and the same one after a restart and at every hub, without a file.
"""

from functools import lru_cache
from typing import Final

from app.devices.product.model import Access, Bool, Enum, Float, Product, Property, Service, String
from ble.bthome_kinds import Form, Kind, names_of

PREFIX: Final = "bthome_"
SERVICE: Final = "sensor"
MAX_KEPT: Final = 256


def product_id_of(measures: tuple[int, ...]) -> str:
    """The product of a BTHome sensor that measures this (`ble.bthome_kinds.measures_of`)."""
    return PREFIX + bytes(measures).hex()


@lru_cache(MAX_KEPT)
def sensor_product(product_id: str) -> Product | None:
    """The product of that id; None where it is no sensor's."""
    if not product_id.startswith(PREFIX):
        return None
    try:
        measures = bytes.fromhex(product_id.removeprefix(PREFIX))
        named = names_of(measures)
    except (ValueError, KeyError):
        return None
    if not named or product_id != product_id_of(tuple(sorted(measures))):
        return None
    service = Service(id=SERVICE, name="Sensor", properties=tuple(_property(name, kind) for name, kind in named))
    name = ", ".join(dict.fromkeys(_label(kind.name) for _, kind in named))
    return Product(id=product_id, name=f"Sensor: {name}"[:64], icon=SERVICE, category="qt", services=(service,))


def _property(name: str, kind: Kind) -> Property:
    label = _label(name)
    match kind.form:
        case Form.NUMBER:
            low, high = kind.low, kind.high
            return Float(id=name, name=label, access=Access.READ, min=low, max=high, unit=kind.unit)
        case Form.YES_NO:
            return Bool(id=name, name=label, access=Access.READ)
        case Form.EVENT:
            return Enum(id=name, name=label, access=Access.READ, values=kind.values)
        case Form.TEXT:
            return String(id=name, name=label, access=Access.READ)


def _label(name: str) -> str:
    return name.replace("_", " ").capitalize()
