"""A product's names in IoTDA and here, and values as each writes them."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from app.devices.product.model import Bool, CommandModel, Field, Json, Product, Service
from app.links.iotda.codec.payloads import ServiceProperty


def service_of(product: Product | None, name: str) -> Service | None:
    """The service that IoTDA calls `name`; its own id is understood as well."""
    if product is None:
        return None
    return next((each for each in product.services if each.iotda == name), None) or product.service(name)


def service_name(product: Product | None, service_id: str) -> str:
    """What IoTDA calls a service."""
    service = None if product is None else product.service(service_id)
    return service_id if service is None else service.iotda or service_id


def command_name(service: Service, command: CommandModel | None, name: str) -> str:
    """What IoTDA calls a command of a service."""
    return name if command is None else command.iotda or command.id


def command_of(service: Service, name: str) -> CommandModel | None:
    """The command of a service that IoTDA calls `name`; its own id is understood as well."""
    return next((each for each in service.commands if each.iotda == name), None) or service.command(name)


def values_in(service: Service, said: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a service as its model has them; what it does not know stays under the name it came with."""
    return fields_in(service.properties, said)


def fields_in(fields: tuple[Any, ...], said: Mapping[str, Any]) -> dict[str, Any]:
    """`values_in` for any fields: a service's properties, or the parameters of a command."""
    known: dict[str, Field] = {field.iotda or field.id: field for field in fields}
    known |= {field.id: field for field in fields if field.id not in known}
    return {known[name].id if name in known else name: _in(known.get(name), value) for name, value in said.items()}


def values_out(fields: tuple[Any, ...], values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of these fields (properties, or parameters of a command) as IoTDA has them."""
    known: dict[str, Field] = {field.id: field for field in fields}
    return {
        (known[name].iotda or name) if name in known else name: _out(known.get(name), value)
        for name, value in values.items()
    }


def said(service: Service, values: Mapping[str, Any], event_time: str | UnsetType = UNSET) -> ServiceProperty:
    """Values of a service as a payload has them."""
    shown = values_out(service.properties, values)
    return ServiceProperty(service_id=service.iotda or service.id, properties=shown, event_time=event_time)


def _in(field: Field | None, value: Any) -> Any:
    """Its booleans may be 0 and 1 (data_type boolean, 1.4.1.1); its jsonObject is one, our Json is its text."""
    if isinstance(field, Bool) and type(value) is int and value in (0, 1):
        return bool(value)
    if isinstance(field, Json) and isinstance(value, dict | list):
        return msgspec.json.encode(value).decode()
    return value


def _out(field: Field | None, value: Any) -> Any:
    if isinstance(field, Json) and isinstance(value, str):
        return msgspec.json.decode(value)
    return value
