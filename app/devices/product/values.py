"""Whether a value fits a product model. Pure."""

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from app.devices.product.model import Bool, Enum, Float, Int, Json, Property, Service, String
from app.errors import Invalid

Value: TypeAlias = bool | int | float | str
Values: TypeAlias = dict[str, Value]

# Of a step: what a decimal fraction loses on its way through binary ones.
_STEP_TOLERANCE = 1e-6


class ValueUnfit(Invalid):
    """A value does not fit the device's product model."""

    code = "value_unfit"
    hint = "Compare it with the product's model at /api/products."


def check(field: Property, value: object, *, on_step: bool = True) -> Value:
    """`value` as the model has it (5.0 is a whole number); raises ValueUnfit.

    `on_step` False lets a number lie between steps: what a device reports is so, whatever its model says.
    """
    match field:
        case Bool():
            return _bool(field, value)
        case Int():
            return _int(field, value, on_step=on_step)
        case Float():
            return _float(field, value, on_step=on_step)
        case Enum():
            return _enum(field, value)
        case String():
            return _text(field, value, field.max_length)
        case Json():
            return _json(field, value)


def _unfit(field: Property, wanted: str) -> ValueUnfit:
    return ValueUnfit(f"{field.id}: {wanted}", property=field.id)


def _bool(field: Bool, value: object) -> bool:
    if not isinstance(value, bool):
        raise _unfit(field, "true or false")
    return value


def _int(field: Int, value: object, *, on_step: bool) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _unfit(field, "a whole number")
    if not field.min <= value <= field.max:
        raise _unfit(field, f"from {field.min} to {field.max}")
    if on_step and (value - field.min) % field.step:
        raise _unfit(field, f"in steps of {field.step} from {field.min}")
    return value


def _float(field: Float, value: object, *, on_step: bool) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _unfit(field, "a number")
    # Compared as it is: an int too large for a float is out of range, not an error of its own.
    if not field.min <= value <= field.max:
        raise _unfit(field, f"from {field.min:g} to {field.max:g}")
    number = float(value)
    if on_step and field.step:
        steps = (number - field.min) / field.step
        if abs(steps - round(steps)) > _STEP_TOLERANCE * max(1.0, abs(steps)):
            raise _unfit(field, f"in steps of {field.step:g} from {field.min:g}")
    return number


def _enum(field: Enum, value: object) -> str:
    if not isinstance(value, str) or value not in field.values:
        raise _unfit(field, "one of " + ", ".join(field.values))
    return value


def _text(field: String | Json, value: object, most: int) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise _unfit(field, f"text of at most {most} characters")
    return value


def _json(field: Json, value: object) -> str:
    text = _text(field, value, field.max_length)
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        raise _unfit(field, "text that holds a JSON document") from None
    return text


def check_set(service: Service, values: Mapping[str, Any]) -> Values:
    """What may be set on `service`; raises ValueUnfit for what is unknown, read-only or does not fit."""
    if not values:
        raise ValueUnfit(f"{service.id}: nothing to set")
    return {property_id: check(_writable(service, property_id), value) for property_id, value in values.items()}


def _writable(service: Service, property_id: str) -> Property:
    field = service.property(property_id)
    if field is None or not field.access.writable:
        raise ValueUnfit(f"{service.id} has no property {property_id!r} that can be set")
    return field


def check_call(service: Service, command_id: str, params: Mapping[str, Any]) -> Values:
    """The parameters of a command of `service`; raises ValueUnfit for an unknown command or what does not fit."""
    model = service.command(command_id)
    if model is None:
        raise ValueUnfit(f"{service.id} has no command {command_id!r}")
    if {field.id for field in model.params} != set(params):
        raise ValueUnfit(f"{command_id} takes " + (", ".join(field.id for field in model.params) or "no parameters"))
    return {field.id: check(field, params[field.id]) for field in model.params}


def sort_report(service: Service, values: Mapping[str, Any]) -> tuple[Values, dict[str, str]]:
    """What of a report fits the model, and for the rest why not. A null says nothing and is left out of both."""
    fitting: Values = {}
    unfit: dict[str, str] = {}
    for property_id, value in values.items():
        field = service.property(property_id)
        if field is None or not field.access.readable:
            unfit[property_id] = "not a property that is reported"
        elif value is not None:
            try:
                fitting[property_id] = check(field, value, on_step=False)
            except ValueUnfit as error:
                unfit[property_id] = str(error)
    return fitting, unfit


def is_finite(field: Int | Float) -> bool:
    """Whether the range of a number is one."""
    return math.isfinite(field.min) and math.isfinite(field.max) and field.min <= field.max
