"""A short way beside Litestar for the hottest routes: match, the service, bytes.

It holds no rule of its own. Whatever is unusual about a request (a query, a credential missing, a condition) falls
through to the ordinary way, which calls the same services; `tests/security` compares the two.
"""

from time import perf_counter
from typing import Any, Protocol

import msgspec
from litestar.enums import ScopeType
from litestar.types import HTTPScope, Receive, Scope, Send

from app.caller import Caller
from app.companion.conditions import once_of
from app.companion.layers import FrontLayer, token_in
from app.companion.limits import LimitLayer, refusal
from app.companion.problems import send_problem, status_of
from app.control.model import NewCommand, decode_new
from app.errors import DoorstepError, Unauthenticated
from app.logs import REQUEST_ID
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


class _Asked:
    """What the headers of a usual request say."""

    __slots__ = ("actor", "key", "request_id", "token")

    def __init__(self, actor: Actor, token: bytes, key: bytes | None, request_id: str) -> None:
        self.actor = actor
        self.token = token
        self.key = key
        self.request_id = request_id


class FastLane:
    """GET /api/devices/{id} and POST /api/devices/{id}/commands, in front of the layers of the ordinary way.

    Those would wrap every message of an answer; here their parts are called one after the other.
    """

    def __init__(
        self, front: FrontLayer, limits: LimitLayer, devices: DeviceBytes, control: Commanding, body_bytes: int
    ) -> None:
        """`body_bytes`: the most the hub takes of any request."""
        self._most = min(body_bytes, MAX_BODY_BYTES)
        self._front = front
        self._limits = limits
        self._devices = devices
        self._control = control

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == ScopeType.HTTP and scope["path"].startswith(PREFIX) and not scope["query_string"]:
            rest, method = scope["path"][len(PREFIX) :], scope["method"]
            if method == "GET" and rest and "/" not in rest:
                if (asked := self._look(scope)) is not None:
                    await self._device(asked, rest, scope, send)
                    return
            elif method == "POST" and rest.endswith(COMMANDS):
                device_id = rest[: -len(COMMANDS)]
                if device_id and "/" not in device_id and (asked := self._look(scope)) is not None:
                    await self._command(asked, device_id, scope, receive, send)
                    return
        await self._front(scope, receive, send)

    def _look(self, scope: HTTPScope) -> _Asked | None:
        """None: something about it is unusual, the credential for instance."""
        token = key = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                if token is not None or (token := token_in(value)) is None:
                    return None
            elif name == b"idempotency-key":
                if key is not None:
                    return None
                key = value
            elif name in _UNUSUAL or (name == b"content-length" and not self._small(value)):
                return None
        actor = None if token is None else self._front.actor_of(token)
        if actor is None or token is None or actor.credential_id is None:
            return None
        return _Asked(actor, token, key, self._front.new_id())

    def _small(self, length: bytes) -> bool:
        return length.isdigit() and int(length) <= self._most

    async def _device(self, asked: _Asked, device_id: str, scope: HTTPScope, send: Send) -> None:
        began = perf_counter()
        try:
            self._admit(asked, scope, ONE_DEVICE)
            body, version = self._devices.view_bytes(asked.actor, device_id)
        except DoorstepError as error:
            await self._refuse(asked, scope, send, error, began)
            return
        self._front.counted(scope, 200, perf_counter() - began)
        await _answer(send, 200, body, asked.request_id, (b"etag", b'"%d"' % version))

    async def _command(self, asked: _Asked, device_id: str, scope: HTTPScope, receive: Receive, send: Send) -> None:
        began = perf_counter()
        body, whole = await _body(receive)
        try:
            new = decode_new(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            new = None
        if new is None or not whole:
            # The ordinary way says what is wrong with it.
            await self._front(scope, _again(body, whole), send)
            return
        try:
            self._admit(asked, scope, ITS_COMMANDS)
            # Who was signed out while they were still sending is.
            if self._front.actor_of(asked.token) is None:
                raise Unauthenticated
            answer = await self._control.command(_caller(asked, scope, body), device_id, new)
        except DoorstepError as error:
            await self._refuse(asked, scope, send, error, began)
            return
        self._front.counted(scope, 202, perf_counter() - began)
        await _answer(send, 202, answer, asked.request_id)

    def _admit(self, asked: _Asked, scope: HTTPScope, template: str) -> None:
        REQUEST_ID.set(asked.request_id)
        scope["path_template"] = template
        if (wait := self._limits.wait_of(asked.actor.credential_id or "")) > 0:
            raise refusal(wait)

    async def _refuse(self, asked: _Asked, scope: HTTPScope, send: Send, error: DoorstepError, began: float) -> None:
        self._front.counted(scope, status_of(type(error)), perf_counter() - began)

        async def marked(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", asked.request_id.encode())]
            await send(message)

        await send_problem(marked, error, asked.request_id)


def _again(body: bytes, whole: bool) -> Receive:
    async def receive() -> Any:
        if not whole:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _body(receive: Receive) -> tuple[bytes, bool]:
    """The body, and whether it came to its end."""
    parts: list[bytes] = []
    while True:
        message: Any = await receive()
        if message["type"] != "http.request":
            return b"".join(parts), False
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts), True


def _caller(asked: _Asked, scope: HTTPScope, body: bytes) -> Caller:
    once = None
    if asked.key:
        once = once_of(asked.actor, asked.key.decode("latin-1"), "POST", scope["path"], body)
    client = scope.get("client")
    return Caller(asked.actor, once, None, client[0] if client else "", asked.request_id)


async def _answer(send: Send, status: int, body: bytes, request_id: str, *more: tuple[bytes, bytes]) -> None:
    mark = (b"x-request-id", request_id.encode())
    headers = [_JSON, (b"content-length", b"%d" % len(body)), *more, mark]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
