"""The payloads of the system topics but events (2.5 to 2.7), and the bodies of the device side over HTTPS (3.3 to 3.5).

Each struct is read by `decoder`s below and written by `encode`; what was left out stays left out.
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from app.links.iotda.codec.errors import MalformedError
from app.links.iotda.codec.fields import DeviceId, Name, Object, Text, Values, Whole, decode, given
from app.links.iotda.codec.signing import PASSWORD_LENGTH

# Of a gateway's report (2.7.2, 3.1).
MAX_CHILDREN_MQTT: Final = 100
MAX_CHILDREN_HTTPS: Final = 50
# The service and the name of our own command to forget everything, which the protocol has none for.
RESET: Final = ("$device", "factory_reset")


class Message(Struct, frozen=True, kw_only=True):
    """A message, up or down (2.6.1, 2.6.2)."""

    object_device_id: Text = UNSET
    name: Text = UNSET
    id: Text = UNSET
    content: Any


class Command(Struct, frozen=True, kw_only=True):
    """A command to a device (2.5.1)."""

    object_device_id: Text = UNSET
    command_name: Text = UNSET
    service_id: Text = UNSET
    paras: dict[str, Any] | None


class CommandResponse(Struct, frozen=True, kw_only=True):
    """Its answer (2.5.1); no result code is success."""

    result_code: Whole = UNSET
    response_name: Text = UNSET
    paras: Object = UNSET

    @property
    def ok(self) -> bool:
        return given(self.result_code, 0) == 0


class ServiceProperty(Struct, frozen=True, kw_only=True):
    """Values of a service (2.7.1). `event_time` of whatever form, or none: `times.parse_event_time` judges it."""

    service_id: Name
    properties: Values
    event_time: Any | UnsetType = UNSET


Services = Annotated[tuple[ServiceProperty, ...], Meta(max_length=500)]


class Report(Struct, frozen=True, kw_only=True):
    """A device's own values (2.7.1, 3.5.1)."""

    services: Services


class DeviceProperty(Struct, frozen=True, kw_only=True):
    """Those of a device behind a gateway."""

    device_id: DeviceId
    services: Services


class GatewayReport(Struct, frozen=True, kw_only=True):
    """Many devices' values, from their gateway (2.7.2, 3.5.2)."""

    devices: tuple[DeviceProperty, ...]


class SetProperties(Struct, frozen=True, kw_only=True):
    """Values to be set (2.7.3)."""

    object_device_id: Text = UNSET
    services: Services


class SetResponse(Struct, frozen=True, kw_only=True):
    """What came of it (2.7.3); no result code is success."""

    result_code: Whole = UNSET
    result_desc: Text = UNSET

    @property
    def ok(self) -> bool:
        return given(self.result_code, 0) == 0


class GetProperties(Struct, frozen=True, kw_only=True):
    """A question for values (2.7.4), or for the shadow's (2.7.5); no service means all."""

    object_device_id: Text = UNSET
    service_id: Text = UNSET


class GetResponse(Struct, frozen=True, kw_only=True):
    """The values (2.7.4)."""

    services: Services | UnsetType | None = UNSET


class PropertiesData(Struct, frozen=True, kw_only=True):
    """One side of a service's shadow."""

    properties: dict[str, Any]
    event_time: Text = UNSET


class ShadowData(Struct, frozen=True, kw_only=True):
    """A service's shadow."""

    service_id: str
    desired: PropertiesData | UnsetType | None = UNSET
    reported: PropertiesData | UnsetType | None = UNSET
    version: Whole = UNSET


class ShadowResponse(Struct, frozen=True, kw_only=True):
    """A device's shadow (2.7.5)."""

    object_device_id: str
    shadow: tuple[ShadowData, ...] | UnsetType | None = UNSET


class DeviceAuth(Struct, frozen=True, kw_only=True):
    """A device asks for a token (3.3.1)."""

    device_id: Annotated[str, Meta(min_length=1, max_length=128)]
    sign_type: Annotated[int, Meta(ge=0, le=1)]
    timestamp: Annotated[str, Meta(min_length=10, max_length=10)]
    password: Annotated[str, Meta(min_length=PASSWORD_LENGTH, max_length=PASSWORD_LENGTH)]

    def __repr__(self) -> str:
        return f"DeviceAuth(device_id={self.device_id!r})"


class DeviceToken(Struct, frozen=True, kw_only=True):
    """The token; `expires_in` in seconds.

    `factory_reset` is ours: the device was reset, and this token is good for acknowledging that one.
    """

    access_token: str
    expires_in: int
    factory_reset: str | UnsetType = UNSET

    def __repr__(self) -> str:
        return "DeviceToken(...)"


_message = msgspec.json.Decoder(Message)
command = msgspec.json.Decoder(Command)
command_response = msgspec.json.Decoder(CommandResponse)
report = msgspec.json.Decoder(Report)
_gateway_report = msgspec.json.Decoder(GatewayReport)
set_properties = msgspec.json.Decoder(SetProperties)
set_response = msgspec.json.Decoder(SetResponse)
get_properties = msgspec.json.Decoder(GetProperties)
get_response = msgspec.json.Decoder(GetResponse)
shadow_response = msgspec.json.Decoder(ShadowResponse)
device_auth = msgspec.json.Decoder(DeviceAuth)
device_token = msgspec.json.Decoder(DeviceToken)


def decode_message(payload: bytes) -> Message | None:
    """A message in its envelope; None for any other octets, which are a message as they are (2.6.1)."""
    try:
        return decode(_message, payload)
    except MalformedError:
        return None


def decode_gateway_report(payload: bytes, most: int) -> GatewayReport:
    """Raises MalformedError, also for more than `most` devices."""
    found = decode(_gateway_report, payload)
    if len(found.devices) > most:
        raise MalformedError(f"more than {most} devices in one report")
    return found
