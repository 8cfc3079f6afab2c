"""A short way for the hottest routes: match, the service, bytes.

It stands below ASGI, not beside Litestar as DESIGN 8 has it: a server's scope, task and messages for each request cost
more than all the rest of these two. It holds no rule of its own. Whatever is unusual about a request (a query, no
credential, a condition) goes the ordinary way, which calls the same services; `tests/security` compares the two.
"""

import re
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from time import perf_counter
from typing import Final, Protocol

import msgspec
import structlog

from app.caller import Caller
from app.companion.conditions import once_of
from app.companion.layers import FrontLayer, token_in
from app.companion.limits import LimitLayer, refusal
from app.companion.problems import CONTENT_TYPE, headers_of, problem_of
from app.control.model import NewCommand, decode_new
from app.errors import Unauthenticated
from app.logs import REQUEST_ID
from app.policy import Actor
from app.turn import Fields, Turn

# As Litestar names the routes that this is a short way of.
ONE_DEVICE: Final = "/api/devices/{device_id}"
ITS_COMMANDS: Final = "/api/devices/{device_id}/commands"
# Larger bodies go the ordinary way, which knows the limits.
MAX_BODY_BYTES: Final = 64 * 1024
ACCEPTED: Final = 202

# Ids as this hub makes them: nothing that would have to be decoded.
_TARGET = re.compile(rb"/api/devices/([0-9A-Za-z-]{1,64})(/commands)?").fullmatch
# What the ordinary way looks at and this one does not.
_UNUSUAL = frozenset({b"if-match", b"if-none-match", b"content-encoding", b"transfer-encoding", b"expect", b"upgrade"})
_log = structlog.get_logger("doorstep.api")


class DeviceBytes(Protocol):
    """A device as encoded for its reader; raises DoorstepError."""

    def view_bytes(self, actor: Actor, device_id: str) -> tuple[bytes, int]:
        """The body and the version of its ETag."""


class Commanding(Protocol):
    """A command to a device; raises DoorstepError."""

    def submit(
        self, by: Caller, device_id: str, new: NewCommand, tell: Callable[[bytes | None, Exception | None], None]
    ) -> None:
        """`tell` the body of the 202, once the command is on disk, or what went wrong."""


Counted = Callable[[str, str, int, float, str], None]


class Asked:
    """What the head of a usual request says."""

    __slots__ = ("actor", "device_id", "key", "method", "request_id", "route", "token")

    def __init__(self, found: re.Match[bytes], actor: Actor, token: bytes, key: bytes | None, request_id: str) -> None:
        self.device_id = found[1].decode()
        self.method, self.route = ("GET", ONE_DEVICE) if found[2] is None else ("POST", ITS_COMMANDS)
        self.actor = actor
        self.token = token
        self.key = key
        self.request_id = request_id

    def caller(self, address: str, body: bytes | bytearray) -> Caller:
        """Who asks for a command."""
        once = None
        if self.key:
            path = f"/api/devices/{self.device_id}/commands"
            once = once_of(self.actor, self.key.decode("latin-1"), self.method, path, bytes(body))
        return Caller(self.actor, once, None, address, self.request_id)


class FastLane:
    """GET /api/devices/{id} and POST /api/devices/{id}/commands: `app.turn.ShortWay`.

    The parts of the layers of the ordinary way are called one after the other. `body_bytes` is the most the hub takes
    of any request; `count` is told the method, route, status, seconds and id of each answer.
    """

    def __init__(
        self,
        front: FrontLayer,
        limits: LimitLayer,
        devices: DeviceBytes,
        control: Commanding,
        *,
        body_bytes: int,
        count: Counted | None = None,
    ) -> None:
        self._most = min(body_bytes, MAX_BODY_BYTES)
        self._front = front
        self._limits = limits
        self._devices = devices
        self._control = control
        self._count = count

    def look(self, method: bytes, target: bytes, fields: Fields) -> Asked | None:
        """None: something about it is unusual, the credential for instance."""
        found = _TARGET(target)
        if found is None or method != (b"GET" if found[2] is None else b"POST"):
            return None
        token = key = None
        for name, value in fields:
            if name == b"authorization":
                if token is not None or (token := token_in(value)) is None:
                    return None
            elif name == b"idempotency-key":
                if key is not None:
                    return None
                key = value
            elif name in _UNUSUAL or (name == b"content-length" and not self._small(method, value)):
                return None
        actor = None if token is None else self._front.actor_of(token)
        if actor is None or token is None or actor.credential_id is None:
            return None
        return Asked(found, actor, token, key, self._front.new_id())

    def _small(self, method: bytes, length: bytes) -> bool:
        return method == b"POST" and length.isdigit() and int(length) <= self._most

    def answer(self, asked: Asked, turn: Turn) -> bool:
        """False: the ordinary way says what is wrong with the body."""
        began = perf_counter()
        new = None
        if asked.route is ITS_COMMANDS:
            try:
                new = decode_new(turn.body)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                return False
        REQUEST_ID.set(asked.request_id)
        try:
            if (wait := self._limits.wait_of(asked.actor.credential_id or "")) > 0:
                raise refusal(wait)
            if new is None:
                self._device(asked, turn, began)
            else:
                self._command(asked, turn, new, began)
        except Exception as error:
            self._refuse(asked, turn, began, error)
        return True

    def _device(self, asked: Asked, turn: Turn, began: float) -> None:
        body, version = self._devices.view_bytes(asked.actor, asked.device_id)
        self._answered(asked, 200, began)
        fields = b'content-type: application/json\r\netag: "%d"\r\nx-request-id: %b\r\n'
        turn.answer(200, fields % (version, asked.request_id.encode()), body)

    def _command(self, asked: Asked, turn: Turn, new: NewCommand, began: float) -> None:
        # Who was signed out while they were still sending is.
        if turn.late and self._front.actor_of(asked.token) is None:
            raise Unauthenticated
        by = asked.caller(turn.address, turn.body)
        self._control.submit(by, asked.device_id, new, partial(self._commanded, asked, turn, began))

    def _commanded(self, asked: Asked, turn: Turn, began: float, shown: bytes | None, error: Exception | None) -> None:
        if shown is None:
            self._refuse(asked, turn, began, error or RuntimeError("no answer"))
            return
        self._answered(asked, ACCEPTED, began)
        fields = b"content-type: application/json\r\nx-request-id: %b\r\n"
        turn.answer(ACCEPTED, fields % asked.request_id.encode(), shown)

    def _refuse(self, asked: Asked, turn: Turn, began: float, error: Exception) -> None:
        request_id = asked.request_id
        problem = problem_of(error, request_id)
        if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            _log.error("internal error", exc_info=error, request_id=request_id)
        stated = {"content-type": CONTENT_TYPE, **headers_of(error), "x-request-id": request_id}
        lines = "".join(f"{name.lower()}: {value}\r\n" for name, value in stated.items())
        self._answered(asked, problem.status, began)
        turn.answer(problem.status, lines.encode(), msgspec.json.encode(problem))

    def _answered(self, asked: Asked, status: int, began: float) -> None:
        if self._count is not None:
            self._count(asked.method, asked.route, status, perf_counter() - began, asked.request_id)
