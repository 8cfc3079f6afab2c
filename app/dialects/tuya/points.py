"""Data points: a product's properties as this API names and numbers them, and their values both ways. Pure."""

import json
import math
from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from app.devices.product.model import Access, Bool, Enum, Float, Int, Json, Product, Property, String
from app.devices.product.values import ValueUnfit

# Numbers of points that a product does not number itself begin here, where custom ones do on that platform.
FIRST_FREE_DP: Final = 101


class DataPoint(Struct, frozen=True):
    """A property of a service under its code and number; whole numbers are the value times ten to the `scale`."""

    code: str
    dp: int
    scale: int
    service: str
    field: Property


class Points:
    """Every property of a product, in the order of its model: none is left out for having no code of its own."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.all = tuple(_numbered(product))
        self.by_code = {point.code: point for point in self.all}
        self.by_property = {(point.service, point.field.id): point for point in self.all}


# One for each product that was asked about; a product is kept by its catalogue as long as there is one.
_KNOWN: Final[dict[str, Points]] = {}


def points_of(product: Product) -> Points:
    """The data points of a product."""
    known = _KNOWN.get(product.id)
    if known is None or known.product is not product:
        known = _KNOWN[product.id] = Points(product)
    return known


def _numbered(product: Product) -> Iterator[DataPoint]:
    named = [field.tuya for service in product.services for field in service.properties if field.tuya is not None]
    used, codes = {name.dp for name in named}, {name.code for name in named}
    free = (dp for dp in range(FIRST_FREE_DP, 1 << 16) if dp not in used)
    for service in product.services:
        for field in service.properties:
            if field.tuya is not None:
                yield DataPoint(field.tuya.code, field.tuya.dp, field.tuya.scale, service.id, field)
                continue
            code = field.id if field.id not in codes else f"{service.id}_{field.id}"
            codes.add(code)
            yield DataPoint(code, next(free), 0, service.id, field)


def value_out(point: DataPoint, value: Any) -> Any:
    """A value as this API has it."""
    if isinstance(point.field, Int | Float) and isinstance(value, int | float) and not isinstance(value, bool):
        return round(value * 10**point.scale) if point.scale or isinstance(point.field, Int) else value
    return value


def value_in(point: DataPoint, value: Any) -> Any:
    """What a client gave as our model has it; raises ValueUnfit."""
    match point.field:
        case Int() | Float() if isinstance(value, int | float) and not isinstance(value, bool):
            if not math.isfinite(value):
                raise ValueUnfit(f"{point.code}: a number")
            return value / 10**point.scale if point.scale else value
        case Json() | String() if isinstance(value, dict | list):
            # JSON points are documented as text; clients send the document itself as often.
            return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return value


def type_of(point: DataPoint) -> str:
    """Its type in an instruction set."""
    match point.field:
        case Bool():
            return "Boolean"
        case Int():
            return "Integer"
        case Float():
            return "Integer" if point.scale else "Float"
        case Enum():
            return "Enum"
        case Json():
            return "Json"
        case String():
            return "String"


def values_of(point: DataPoint) -> dict[str, Any]:
    """What its values may be."""
    match point.field:
        case Int() | Float() as number:
            bounds = {"min": number.min, "max": number.max, "step": number.step or 1}
            scaled = {name: value_out(point, bound) for name, bound in bounds.items()}
            return {"unit": number.unit, **scaled, "scale": point.scale}
        case Enum(values=names):
            return {"range": list(names)}
        case String(max_length=most):
            return {"maxlen": most}
        case _:
            return {}


def functions_of(product: Product) -> Iterator[dict[str, Any]]:
    """The instruction set: what can be told to a device."""
    return (_described(point) for point in points_of(product).all if point.field.access.writable)


def statuses_of(product: Product) -> Iterator[dict[str, Any]]:
    """The status set: what it reports."""
    return (_described(point) for point in points_of(product).all if point.field.access.readable)


def _described(point: DataPoint) -> dict[str, Any]:
    return {
        "code": point.code,
        "dp_id": point.dp,
        "type": type_of(point),
        "values": json.dumps(values_of(point), separators=(",", ":"), ensure_ascii=False),
        "name": point.field.name,
        "desc": point.field.name,
    }


_MODES: Final = {Access.BOTH: "rw", Access.READ: "ro", Access.WRITE: "wr"}
_SPECS: Final[dict[str, str]] = {
    "Boolean": "bool",
    "Integer": "value",
    "Float": "float",
    "Enum": "enum",
    "Json": "string",
    "String": "string",
}


def model_of(product: Product) -> str:
    """The things data model, as the JSON text it is given in."""
    services = [_service(product, service.id, service.name) for service in product.services]
    return json.dumps({"modelId": product.id, "services": services}, separators=(",", ":"), ensure_ascii=False)


def _service(product: Product, service_id: str, name: str) -> dict[str, Any]:
    service = product.service(service_id)
    actions = () if service is None else service.commands
    return {
        "code": service_id,
        "name": name,
        "description": "",
        "properties": [_modelled(point) for point in points_of(product).all if point.service == service_id],
        "actions": [{"code": one.id, "name": one.name, "description": ""} for one in actions],
        "events": [],
    }


def _modelled(point: DataPoint) -> dict[str, Any]:
    return {
        "abilityId": point.dp,
        "code": point.code,
        "accessMode": _MODES[point.field.access],
        "name": point.field.name,
        "description": "",
        "typeSpec": {"type": _SPECS[type_of(point)], **values_of(point)},
    }
