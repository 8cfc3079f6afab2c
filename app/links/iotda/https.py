"""The device side over HTTPS (chapter 3): a token, messages, values, and the values of devices behind a gateway.

Nothing goes down to a device here, so one that speaks only HTTPS is told nothing but, as it asks for a token, that it
was reset; it is seen whenever it speaks.
"""

from collections.abc import Collection
from typing import Any, Final

import msgspec
from litestar import MediaType, Request, Response, Router, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath
from litestar.types import Scope, Send

from app.caller import demand
from app.control.model import Command, Kind
from app.devices.model import Device
from app.devices.reset_model import Reset
from app.devices.service import Devices
from app.links.iotda import answers
from app.links.iotda.admission import Proving
from app.links.iotda.answers import ChildUnknown, TokenInvalid, TooManyValues, Unproved
from app.links.iotda.codec import payloads
from app.links.iotda.codec.errors import MalformedError
from app.links.iotda.codec.fields import decode
from app.links.iotda.codec.signing import ClientId
from app.links.iotda.codec.times import parse_hour
from app.links.iotda.codec.topics import REQUEST
from app.links.iotda.messages import Messages
from app.links.iotda.reports import Reports
from app.links.iotda.speaking import Act
from app.links.iotda.tokens import LIFE_S, Tokens
from app.policy import Action, Actor, Resource
from app.store.store import Store
from app.store.tx import Tx

LINK: Final = "https"
PREFIX: Final = "/v5/"
MAX_BODY: Final = 1 << 20
_HEADER: Final = b"access_token"


class NothingDown:
    """`app.control.link.Link` of devices that only report: what is asked of them is refused, not left to expire."""

    carries: Final[Collection[Kind]] = frozenset()

    def is_online(self, device_id: str) -> bool:
        """Never so that it could be told something."""
        return False

    def send(self, device_id: str, command: Command) -> bool:
        """Not taken."""
        return False


class HttpsSide:
    """What the routes do. `actor_of` and `refuse` are what the layers around them ask (app.companion.layers.Face)."""

    prefix = PREFIX

    def __init__(self, store: Store, devices: Devices, proving: Proving, reports: Reports, messages: Messages) -> None:
        self._store = store
        self._devices = devices
        self._proving = proving
        self._reports = reports
        self._messages = messages
        self.tokens = Tokens(store.vault, proving)
        devices.on_left.append(lambda device: self.tokens.forget(device.id))

    # as a face

    def actor_of(self, scope: Scope) -> Actor | None:
        """The device whose token a request carries."""
        shown = next((value for name, value in scope["headers"] if name == _HEADER), None)
        if shown is None:
            return None
        token = shown.decode("latin-1")
        if (device := self.tokens.device_of(token, self._store.clock.now().ms)) is not None:
            return Actor(None, f"device/{device.id}", frozenset(), device_id=device.id)
        reset = self.tokens.reset_of(token)
        return None if reset is None else _as_reset(reset)

    def to_response(self, request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        """`app.companion.layers.Face`."""
        return answers.to_response(request, error)

    async def refuse(self, send: Send, error: Exception, request_id: str) -> None:
        """In this protocol's words."""
        await answers.send_refusal(send, error, request_id)

    # what devices ask

    def authenticate(self, asked: payloads.DeviceAuth, address: str) -> payloads.DeviceToken:
        """A token for who has the secret; raises Unproved, MalformedError, TooManyAttempts."""
        if parse_hour(asked.timestamp) is None:
            raise MalformedError("timestamp: YYYYMMDDHH")
        self._proving.take(asked.device_id, address)
        claimed = ClientId(asked.device_id, asked.sign_type, asked.timestamp)
        device = self._proving.by_secret(claimed, asked.password.encode())
        if device is None:
            return self._farewell(claimed, asked.password.encode(), address)
        self._proving.right(asked.device_id, address)
        if self._proving.is_frozen(device.id):
            raise Unproved
        token = self.tokens.make(device, self._store.clock.now().ms)
        return payloads.DeviceToken(access_token=token, expires_in=LIFE_S - 1)

    def _farewell(self, claimed: ClientId, password: bytes, address: str) -> payloads.DeviceToken:
        """For who was reset: that, and a token to acknowledge it with."""
        reset = self._proving.departed_by_secret(claimed, password)
        if reset is None:
            raise Unproved
        self._proving.right(claimed.device_id, address)
        self._devices.resets.delivered(reset.hardware_id)
        token = self.tokens.make_last(reset)
        return payloads.DeviceToken(access_token=token, expires_in=LIFE_S - 1, factory_reset=reset.id)

    async def acknowledge(self, actor: Actor | None, device_id: str, request: str, body: bytes) -> None:
        """The device says that it has forgotten; raises TokenInvalid, MalformedError."""
        found = self._proving.departing(device_id)
        if actor is None or found is None:
            raise TokenInvalid
        about = Resource(things=(_as_reset(found.reset).device_id or "",))
        demand(actor, Action.DEVICE_SPEAK, about, self._store.clock.now())
        said = decode(payloads.command_response, body)
        if request != f"{REQUEST}{found.reset.id}":
            raise TokenInvalid
        if said.ok:
            await self._devices.resets.confirmed(found.reset.hardware_id, found.reset.id)

    def speaker(self, actor: Actor | None, device_id: str) -> Device:
        """The device a request is of; raises TokenInvalid or NotFound where its token is another's."""
        if actor is None:
            raise TokenInvalid
        device = self._devices.of_hardware(device_id)
        things = () if device is None else (device.id,)
        demand(actor, Action.DEVICE_SPEAK, Resource(things=things), self._store.clock.now())
        if device is None:
            raise TokenInvalid
        return device

    async def message(self, device: Device, body: bytes) -> None:
        """3.4.1: whatever it is."""
        read = payloads.decode_message(body)
        await self._do(device, self._messages.act(device, body, self._store.clock.now().ms, content=read))

    async def report(self, device: Device, body: bytes) -> None:
        """3.5.1."""
        services = decode(payloads.report, body).services
        await self._do(device, self._reports.of_device(device, services, None))

    async def gateway_report(self, device: Device, body: bytes) -> None:
        """3.5.2: all of it, or nothing where one is not behind this gateway."""
        report = payloads.decode_gateway_report(body, len(body))
        if len(report.devices) > payloads.MAX_CHILDREN_HTTPS:
            raise TooManyValues
        act, strange = self._reports.of_gateway(device, report, None)
        if strange:
            raise ChildUnknown
        await self._do(device, act)

    async def _do(self, device: Device, act: Act) -> None:
        def kept(tx: Tx) -> None:
            self._devices.registry.demand_current_in(tx, device)
            self._devices.demand_unfrozen_in(tx, device.id)
            act(tx)

        await self._store.write(kept)
        self._devices.presence.seen(device.id)


def _speaker(
    request: Request[Any, Any, Any], iotda_https: NamedDependency[HttpsSide], device_id: FromPath[str]
) -> Device:
    return iotda_https.speaker(request.scope["state"].get("speaker"), device_id)


def _as_reset(reset: Reset) -> Actor:
    name = f"reset/{reset.id}"
    return Actor(None, name, frozenset(), device_id=name)


def _nothing() -> Response[bytes]:
    return Response(b"", status_code=200, media_type=MediaType.JSON)


@post("/device-auth", opt={"action": Action.PUBLIC}, status_code=200)
async def authenticate(request: Request[Any, Any, Any], iotda_https: NamedDependency[HttpsSide]) -> Response[bytes]:
    """3.3.1."""
    asked = decode(payloads.device_auth, await request.body())
    client = request.scope.get("client")
    made = iotda_https.authenticate(asked, client[0] if client else "")
    headers = {"Cache-Control": "no-store"}
    return Response(msgspec.json.encode(made), media_type=MediaType.JSON, headers=headers)


@post("/devices/{device_id:str}/sys/messages/up", opt={"action": Action.DEVICE_SPEAK}, status_code=200)
async def message_up(
    request: Request[Any, Any, Any], iotda_https: NamedDependency[HttpsSide], speaker: NamedDependency[Device]
) -> Response[bytes]:
    """3.4.1."""
    await iotda_https.message(speaker, await request.body())
    return _nothing()


@post("/devices/{device_id:str}/sys/properties/report", opt={"action": Action.DEVICE_SPEAK}, status_code=200)
async def report_properties(
    request: Request[Any, Any, Any], iotda_https: NamedDependency[HttpsSide], speaker: NamedDependency[Device]
) -> Response[bytes]:
    """3.5.1."""
    await iotda_https.report(speaker, await request.body())
    return _nothing()


@post(
    "/devices/{device_id:str}/sys/gateway/sub-devices/properties/report",
    opt={"action": Action.DEVICE_SPEAK},
    status_code=200,
)
async def report_children(
    request: Request[Any, Any, Any], iotda_https: NamedDependency[HttpsSide], speaker: NamedDependency[Device]
) -> Response[bytes]:
    """3.5.2."""
    await iotda_https.gateway_report(speaker, await request.body())
    return _nothing()


@post(
    "/devices/{device_id:str}/sys/commands/response/{request_id:str}",
    opt={"action": Action.DEVICE_SPEAK},
    status_code=200,
)
async def respond(
    request: Request[Any, Any, Any],
    iotda_https: NamedDependency[HttpsSide],
    device_id: FromPath[str],
    request_id: FromPath[str],
) -> Response[bytes]:
    """To the one command there is over HTTPS, the reset; as its topic is over MQTT (2.5.1)."""
    actor = request.scope["state"].get("speaker")
    await iotda_https.acknowledge(actor, device_id, request_id, await request.body())
    return _nothing()


ROUTER = Router(
    PREFIX,
    route_handlers=[authenticate, message_up, report_properties, report_children, respond],
    dependencies={"speaker": Provide(_speaker, sync_to_thread=False)},
    exception_handlers={Exception: answers.to_response},
    request_max_body_size=MAX_BODY,
    include_in_schema=False,
)
