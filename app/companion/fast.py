"""A short way beside Litestar for the hottest routes: match, the service, bytes.

It holds no rule of its own. Whatever is unusual about a request (a query, a credential missing, a condition) falls
through to the ordinary way, which calls the same services; `tests/security` compares the two.
"""

from typing import Protocol

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPRequestEvent, HTTPScope, Receive, Scope, Send

from app.caller import Caller
from app.companion.conditions import once_of
from app.companion.problems import send_problem
from app.control.model import NewCommand, decode_new
from app.errors import DoorstepError
from app.policy import Actor

PREFIX = "/api/devices/"
COMMANDS = "/commands"
# As Litestar names the routes that this is a short way of.
ONE_DEVICE = "/api/devices/{device_id}"
ITS_COMMANDS = "/api/devices/{device_id}/commands"
# Larger bodies go the ordinary way, which knows the limits.
MAX_BODY_BYTES = 64 * 1024

_JSON = (b"content-type", b"application/json")
# What the ordinary way looks at and this one does not.
_UNUSUAL = frozenset({b"if-match", b"if-none-match", b"content-encoding", b"transfer-encoding", b"expect"})


class DeviceBytes(Protocol):
    """A device as encoded for its reader; raises DoorstepError."""

    def view_bytes(self, actor: Actor, device_id: str) -> tuple[bytes, int]:
        """The body and the version of its ETag."""


class Commanding(Protocol):
    """A command to a device; raises DoorstepError."""

    async def command(self, by: Caller, device_id: str, new: NewCommand) -> bytes:
        """The body of the 202, once the command is on disk."""


class FastLane:
    """GET /api/devices/{id} and POST /api/devices/{id}/commands."""

    def __init__(
        self, app: ASGIApp, devices: DeviceBytes, control: Commanding, body_bytes: int = MAX_BODY_BYTES
    ) -> None:
        """`body_bytes`: the most the hub takes of any request."""
        self._most = min(body_bytes, MAX_BODY_BYTES)
        self._app = app
        self._devices = devices
        self._control = control

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == ScopeType.HTTP and scope["path"].startswith(PREFIX) and not scope["query_string"]:
            actor: Actor | None = scope["state"]["actor"]
            rest = scope["path"][len(PREFIX) :]
            if actor is not None and rest and self._usual(scope):
                if scope["method"] == "GET" and "/" not in rest:
                    await self._device(actor, rest, scope, send)
                    return
                device_id = rest.removesuffix(COMMANDS)
                if scope["method"] == "POST" and device_id != rest and "/" not in device_id:
                    await self._command(actor, device_id, scope, receive, send)
                    return
        await self._app(scope, receive, send)

    def _usual(self, scope: HTTPScope) -> bool:
        size = 0
        for name, value in scope["headers"]:
            if name in _UNUSUAL:
                return False
            if name == b"content-length":
                size = int(value) if value.isdigit() else self._most + 1
        return size <= self._most

    async def _device(self, actor: Actor, device_id: str, scope: HTTPScope, send: Send) -> None:
        scope["path_template"] = ONE_DEVICE
        try:
            body, version = self._devices.view_bytes(actor, device_id)
        except DoorstepError as error:
            await send_problem(send, error, scope["state"]["request_id"])
            return
        await _answer(send, 200, body, (b"etag", b'"%d"' % version))

    async def _command(self, actor: Actor, device_id: str, scope: HTTPScope, receive: Receive, send: Send) -> None:
        try:
            body = await _body(receive)
        except DoorstepError as error:
            await send_problem(send, error, scope["state"]["request_id"])
            return
        try:
            new = decode_new(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            # The ordinary way says what is wrong with it.
            await self._app(scope, _again(body), send)
            return
        scope["path_template"] = ITS_COMMANDS
        try:
            answer = await self._control.command(_caller(actor, scope, body), device_id, new)
        except DoorstepError as error:
            await send_problem(send, error, scope["state"]["request_id"])
            return
        await _answer(send, 202, answer)


def _again(body: bytes) -> Receive:
    async def receive() -> HTTPRequestEvent:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")  # type: ignore[assignment]
    if not message.get("more_body"):
        return body
    parts = [body]
    while message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))  # type: ignore[arg-type]
    return b"".join(parts)


def _caller(actor: Actor, scope: HTTPScope, body: bytes) -> Caller:
    once = None
    for name, value in scope["headers"]:
        if name == b"idempotency-key" and actor.credential_id and value:
            once = once_of(actor, value.decode("latin-1"), "POST", scope["path"], body)
    client = scope.get("client")
    return Caller(actor, once, None, client[0] if client else "", scope["state"]["request_id"])


async def _answer(send: Send, status: int, body: bytes, *more: tuple[bytes, bytes]) -> None:
    headers = [_JSON, (b"content-length", b"%d" % len(body)), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
