"""Standard instruction set: commands, what they can be, and the latest status."""

from collections.abc import Iterable
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct

from app.control.model import Kind, NewCommand
from app.devices.memory import Live
from app.devices.product.model import Product
from app.dialects.tuya import codes
from app.dialects.tuya.codes import TuyaError
from app.dialects.tuya.operations import Ask, Operation
from app.dialects.tuya.points import DataPoint, functions_of, points_of, statuses_of, value_in
from app.dialects.tuya.routes.devices import live_of
from app.dialects.tuya.views import status_of
from app.policy import Action

# Their clients give up after ten seconds; the answer says that it was sent, as theirs does.
EXPIRES_S: Final = 10.0
# Data points by code.
Wanted: TypeAlias = Iterable[tuple[str, Any]]


class Instruction(Struct):
    """A data point and what it is to be."""

    code: Annotated[str, Meta(max_length=64)]
    value: Any


class Instructions(Struct):
    """Several at once."""

    commands: Annotated[list[Instruction], Meta(min_length=1, max_length=64)]


def product_of(ask: Ask, live: Live) -> Product:
    """A device's product; raises TuyaError."""
    product = ask.tuya.devices.catalogue.get(live.device.product_id)
    if product is None:
        raise TuyaError(codes.NOT_SUPPORTED)
    return product


def properties_of(given: str | dict[str, Any]) -> dict[str, Any]:
    """Values by code, whether they came as an object or as its text; raises TuyaError."""
    if isinstance(given, dict):
        return given
    try:
        return msgspec.json.decode(given, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise TuyaError(codes.PARAM_ILLEGAL) from error


def point_of(product: Product, code: str) -> DataPoint:
    """The data point of that code; raises TuyaError where there is none."""
    point = points_of(product).by_code.get(code)
    if point is None:
        raise TuyaError(codes.VALUE_UNFIT)
    return point


def by_service(product: Product, wanted: Wanted) -> dict[str, dict[str, Any]]:
    """Data points by service and property, as our model has them; raises TuyaError, ValueUnfit."""
    found: dict[str, dict[str, Any]] = {}
    for code, value in wanted:
        point = point_of(product, code)
        found.setdefault(point.service, {})[point.field.id] = value_in(point, value)
    return found


def sets(product: Product, wanted: Wanted) -> list[NewCommand]:
    """The commands that set data points, one for each service they belong to; raises TuyaError, ValueUnfit."""
    return [
        NewCommand(service, Kind.SET, values, expires_in=EXPIRES_S)
        for service, values in by_service(product, wanted).items()
    ]


async def send(ask: Ask, wanted: Wanted) -> None:
    """Set data points of a device that is there; raises TuyaError for one that is not."""
    live = live_of(ask)
    news = sets(product_of(ask, live), wanted)
    if not live.online:
        ask.tuya.demand(ask.by.actor, Action.DEVICE_CONTROL, live.device.id)
        raise TuyaError(codes.OFFLINE)
    for new in news:
        await ask.tuya.control.command(ask.by, live.device.id, new)


async def command(ask: Ask) -> bool:
    """Set data points of a device."""
    await send(ask, [(one.code, one.value) for one in ask.body(Instructions).commands])
    return True


async def functions(ask: Ask) -> dict[str, Any]:
    """What can be told to a device."""
    product = product_of(ask, live_of(ask))
    return {"category": product.category, "functions": list(functions_of(product))}


async def specifications(ask: Ask) -> dict[str, Any]:
    """What can be told to it, and what it reports."""
    product = product_of(ask, live_of(ask))
    return {
        "category": product.category,
        "functions": list(functions_of(product)),
        "status": list(statuses_of(product)),
    }


def _of_category(ask: Ask) -> Product:
    category = ask.path["category"]
    found = next((one for one in ask.tuya.devices.catalogue.all() if one.category == category), None)
    if found is None:
        raise TuyaError(codes.NOT_SUPPORTED)
    return found


async def functions_of_category(ask: Ask) -> dict[str, Any]:
    """What can be told to devices of a category."""
    return {"category": ask.path["category"], "functions": list(functions_of(_of_category(ask)))}


async def statuses_of_category(ask: Ask) -> dict[str, Any]:
    """What devices of a category report."""
    return {"category": ask.path["category"], "status": list(statuses_of(_of_category(ask)))}


async def status(ask: Ask) -> list[dict[str, Any]]:
    """The latest values of a device."""
    live = live_of(ask)
    return status_of(live, product_of(ask, live))


async def status_of_many(ask: Ask) -> list[dict[str, Any]]:
    """The latest values of several; raises for one that the asker may not see, as there."""
    found = [live_of(ask, device_id) for device_id in ask.ids("device_ids")]
    return [{"id": live.device.id, "status": status_of(live, product_of(ask, live))} for live in found]


OPERATIONS: Final = (
    Operation("POST", "/v1.0/devices/{device_id}/commands", Action.DEVICE_CONTROL, command),
    Operation("POST", "/v1.0/iot-03/devices/{device_id}/commands", Action.DEVICE_CONTROL, command),
    Operation("GET", "/v1.0/devices/{device_id}/functions", Action.DEVICE_READ, functions),
    Operation("GET", "/v1.0/iot-03/devices/{device_id}/functions", Action.DEVICE_READ, functions),
    Operation("GET", "/v1.0/devices/{device_id}/specifications", Action.DEVICE_READ, specifications),
    Operation("GET", "/v1.1/devices/{device_id}/specifications", Action.DEVICE_READ, specifications),
    Operation("GET", "/v1.0/iot-03/devices/{device_id}/specification", Action.DEVICE_READ, specifications),
    Operation("GET", "/v1.0/functions/{category}", Action.SELF, functions_of_category),
    Operation("GET", "/v1.0/iot-03/categories/{category}/functions", Action.SELF, functions_of_category),
    Operation("GET", "/v1.0/iot-03/categories/{category}/status", Action.SELF, statuses_of_category),
    Operation("GET", "/v1.0/devices/{device_id}/status", Action.DEVICE_READ, status),
    Operation("GET", "/v1.0/iot-03/devices/{device_id}/status", Action.DEVICE_READ, status),
    Operation("GET", "/v1.0/devices/status", Action.DEVICE_READ, status_of_many),
    Operation("GET", "/v1.0/iot-03/devices/status", Action.DEVICE_READ, status_of_many),
)
