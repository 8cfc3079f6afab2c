"""Between our devices and the protocol's payloads. Pure.

Products, services, properties and commands have the names that their models give them for IoTDA.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import UNSET, Struct

from app.control.model import Command, NewCommand
from app.control.model import Kind as Control
from app.control.states import State
from app.devices.model import Device, DeviceFrozen, DeviceUnbound
from app.devices.product.model import Product, Service
from app.devices.product.values import ValueUnfit
from app.devices.shadow_state import Point
from app.errors import DoorstepError, Invalid, NotFound, Refused, TooMany
from app.links.iotda.codec import event_paras as paras
from app.links.iotda.codec import names, payloads, topics
from app.links.iotda.codec.errors import IotdaError
from app.links.iotda.codec.fields import decode, encode, given
from app.links.iotda.codec.times import event_time_ms
from app.sync.iotda.model import EXPIRES_AFTER_S, Kind, Refusal, Reply, Request, Result

Values: TypeAlias = Mapping[str, Mapping[str, Point]]
"""By service and property."""

# Of one batch: any platform takes a message of so much. A device that has more to say goes alone.
MAX_OCTETS: Final = 128 * 1024
RESPONSES: Final = {
    Kind.COMMAND: topics.Kind.COMMAND_RESPONSE,
    Kind.SET: topics.Kind.SET_RESPONSE,
    Kind.GET: topics.Kind.GET_RESPONSE,
}
ASKED: Final = {topics.Kind.COMMAND: Kind.COMMAND, topics.Kind.SET: Kind.SET, topics.Kind.GET: Kind.GET}
_RESULTS: Final[tuple[tuple[type[DoorstepError], Result], ...]] = (
    (ValueUnfit, Result.UNFIT),
    (NotFound, Result.UNKNOWN),
    (Refused, Result.REFUSED),
    (DeviceFrozen, Result.REFUSED),
    (DeviceUnbound, Result.REFUSED),
    (TooMany, Result.BUSY),
    (Invalid, Result.UNFIT),
)


def remote_id(device: Device) -> str:
    """What a device is to be called there: as the platform would by itself (2.8.6), its node id being our id of it."""
    return f"{device.product_id}_{device.id}"


def newcomer(device: Device, gateway: str) -> paras.NewChild:
    """A device to be added behind `gateway`."""
    return paras.NewChild(
        parent_device_id=gateway,
        node_id=device.id,
        device_id=remote_id(device),
        name=device.name,
        product_id=device.product_id,
    )


# up


def services_of(product: Product, values: Values) -> tuple[payloads.ServiceProperty, ...]:
    """Values as the protocol has them: those of one service and one time together."""
    found: list[payloads.ServiceProperty] = []
    for service_id, points in values.items():
        if (service := product.service(service_id)) is not None:
            found += [names.said(service, together, event_time_ms(at)) for at, together in _by_time(points)]
    return tuple(found)


def _by_time(points: Mapping[str, Point]) -> list[tuple[int, dict[str, Any]]]:
    found: dict[int, dict[str, Any]] = {}
    for name, point in points.items():
        found.setdefault(point.at, {})[name] = point.decoded
    return sorted(found.items())


def batches(devices: Iterable[payloads.DeviceProperty], octets: int = MAX_OCTETS) -> Iterator[bytes]:
    """Reports of the gateway, each within what the protocol (2.7.2) and a message hold."""
    held: list[payloads.DeviceProperty] = []
    size = 0
    for device in devices:
        more = len(encode(device))
        if held and (len(held) == payloads.MAX_CHILDREN_MQTT or size + more > octets):
            yield encode(payloads.GatewayReport(devices=tuple(held)))
            held, size = [], 0
        held.append(device)
        size += more
    if held:
        yield encode(payloads.GatewayReport(devices=tuple(held)))


# down


class Wanted(Struct, frozen=True, gc=False):
    """What a platform asks: of whom (`remote_id`; "": the gateway itself), and the protocol's words."""

    kind: Kind
    request_id: str
    remote_id: str
    said: payloads.Command | payloads.SetProperties | payloads.GetProperties


def wanted(topic: topics.Topic, payload: bytes, gateway: str) -> Wanted:
    """Read a request; raises IotdaError."""
    kind = ASKED[topic.kind]
    said: payloads.Command | payloads.SetProperties | payloads.GetProperties
    match kind:
        case Kind.COMMAND:
            said = decode(payloads.command, payload)
        case Kind.SET:
            said = decode(payloads.set_properties, payload)
        case Kind.GET:
            said = decode(payloads.get_properties, payload) if payload.strip() else payloads.GetProperties()
    meant = given(said.object_device_id, "")
    return Wanted(kind, topic.rest, "" if meant == gateway else meant, said)


def commands_of(product: Product | None, asked: Wanted) -> list[NewCommand]:
    """What the device is to be told; raises ValueUnfit for what its product does not have."""
    match asked.said:
        case payloads.SetProperties(services=services):
            if not services:
                raise ValueUnfit("no values")
            return [_set(_service(product, each.service_id), each.properties) for each in services]
        case payloads.Command() as command:
            return [_call(_service(product, given(command.service_id, "")), command)]
        case payloads.GetProperties() as question:
            name = given(question.service_id, "")
            services_asked = (_service(product, name),) if name else () if product is None else product.services
            return [NewCommand(each.id, Control.GET, expires_in=EXPIRES_AFTER_S) for each in services_asked]


def _service(product: Product | None, name: str) -> Service:
    if (service := names.service_of(product, name)) is None:
        raise NotFound(f"no service {name[:64]!r}")
    return service


def _set(service: Service, said: Mapping[str, Any]) -> NewCommand:
    values = names.values_in(service, said)
    return NewCommand(service.id, values=values, expires_in=EXPIRES_AFTER_S)


def _call(service: Service, said: payloads.Command) -> NewCommand:
    name = given(said.command_name, "")
    command = names.command_of(service, name)
    if command is None:
        raise NotFound(f"no command {name[:64]!r}")
    params = names.fields_in(command.params, said.paras or {})
    return NewCommand(service.id, Control.CALL, name=command.id, params=params, expires_in=EXPIRES_AFTER_S)


def refusal_of(error: DoorstepError | IotdaError) -> Refusal:
    """As the platform is told."""
    found = next((result for kind, result in _RESULTS if isinstance(error, kind)), Result.FAILED)
    return Refusal(found, f"{error.code}: {error}"[:200])


# answers


def reply(request: Request, product: Product | None, ended: Mapping[str, Command]) -> Reply:
    """The answer to a request whose commands are all in `ended`, or there no more."""
    refusal = request.asked.refusal or _first_refusal(request, ended)
    if request.kind is Kind.GET:
        payload: Struct = _values(request, product, ended)
    elif request.kind is Kind.SET:
        payload = payloads.SetResponse(
            result_code=Result.OK if refusal is None else refusal.result,
            result_desc="success" if refusal is None else refusal.text,
        )
    else:
        payload = _response(request, ended, refusal)
    return Reply(request.kind, request.request_id, payload)


def _first_refusal(request: Request, ended: Mapping[str, Command]) -> Refusal | None:
    for _, command_id in request.asked.commands:
        command = ended.get(command_id)
        if command is None:
            return Refusal(Result.UNKNOWN, "device_removed")
        if command.state is State.EXPIRED:
            return Refusal(Result.NO_ANSWER, "expired: the device did not answer in time")
        if command.state is not State.ANSWERED:
            outcome = command.outcome
            return Refusal(Result.FAILED, ((outcome.error if outcome else None) or "failed")[:200])
    return None


def _response(request: Request, ended: Mapping[str, Command], refusal: Refusal | None) -> payloads.CommandResponse:
    if refusal is not None:
        return payloads.CommandResponse(
            result_code=refusal.result, response_name="COMMAND_RESPONSE", paras={"error": refusal.text}
        )
    values: dict[str, Any] = {}
    for _, command_id in request.asked.commands:
        outcome = ended[command_id].outcome
        values |= {} if outcome is None else outcome.values
    return payloads.CommandResponse(result_code=Result.OK, response_name="COMMAND_RESPONSE", paras=values)


def _values(request: Request, product: Product | None, ended: Mapping[str, Command]) -> payloads.GetResponse:
    """2.7.4 has no room for a refusal: who did not answer is left out."""
    found: list[payloads.ServiceProperty] = []
    for service_id, command_id in request.asked.commands:
        command, service = ended.get(command_id), None if product is None else product.service(service_id)
        if command is None or service is None or command.state is not State.ANSWERED or command.outcome is None:
            continue
        found.append(names.said(service, command.outcome.values))
    return payloads.GetResponse(services=tuple(found))


# the shadow


def mark(data: payloads.ShadowData) -> str:
    """What a platform's desired values of a service are recognised by."""
    said = data.desired
    if said is None or said is UNSET:
        return ""
    return hashlib.sha256(msgspec.json.encode([given(said.event_time, ""), said.properties])).hexdigest()[:16]


def wished(service: Service, data: payloads.ShadowData, reported: Mapping[str, Point]) -> dict[str, Any]:
    """What of a platform's desired values is not so already, by our names."""
    said = data.desired
    if said is None or said is UNSET:
        return {}
    values = names.values_in(service, said.properties)
    return {
        name: value
        for name, value in values.items()
        if value is not None and ((point := reported.get(name)) is None or point.decoded != value)
    }
