"""ASGI layers around the whole application: request id, authentication, and the declared action.

One plain layer, because each Litestar guard or middleware class costs more than the whole of it
(specs/performance, 1b).
"""

import itertools
import secrets
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, Protocol, cast, runtime_checkable

from litestar import Request, Response
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from app.clock import Clock, Moment
from app.companion.problems import send_problem
from app.companion.problems import to_response as problem_response
from app.errors import Unauthenticated
from app.logs import REQUEST_ID
from app.policy import Action, Actor


@runtime_checkable  # Litestar checks what it injects
class Authenticator(Protocol):
    """Recognises a bearer token from memory; constant time, no I/O."""

    def actor_of(self, token: bytes, now: Moment) -> Actor | None:
        """Whose token this is, or None when it is wrong, expired or revoked."""

    def holder_of(self, credential_id: str, now: Moment) -> Actor | None:
        """Who stands behind a session or key, None once it is over; a refreshed session is the same one."""


class Face(Protocol):
    """Routes below a prefix that speak another protocol: it says who asks there, and refuses in its own words."""

    @property
    def prefix(self) -> str | tuple[str, ...]:
        """Below it, or these, are its routes."""

    def actor_of(self, scope: Scope) -> Actor | None:
        """Who asks, None where nothing valid says so."""

    async def refuse(self, send: Send, error: Exception, request_id: str) -> None:
        """Answer with what went wrong."""

    def to_response(self, request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        """The same from inside Litestar, of paths without a route too."""


# What only those may who speak at a face of their own.
_SPOKEN = frozenset({Action.DEVICE_SPEAK, Action.SYNC_SPEAK})
_ANSWERED = frozenset({"http", "websocket"})
Count = Callable[[HTTPScope, int, float], None]


class FrontLayer:
    """Gives each request its id and its actor: `scope["state"]["request_id"]` and `["actor"]` (None: no valid one).

    `count` is told of each answer: its status (500 where there was none) and the seconds to its head. Below the prefix
    of one of `faces` that is `["face"]`, and who it says asks `["speaker"]`.
    """

    def __init__(
        self,
        app: ASGIApp,
        authenticator: Authenticator,
        clock: Clock,
        count: Count | None = None,
        faces: Sequence[Face] = (),
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._clock = clock
        self._count = count
        self._faces = faces
        self.new_id = request_ids()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] not in _ANSWERED:
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["request_id"] = request_id = self.new_id()
        REQUEST_ID.set(request_id)
        state["actor"] = self._actor(scope)
        for face in self._faces:
            if scope["path"].startswith(face.prefix):
                state["face"], state["speaker"] = face, face.actor_of(scope)
                # What is good at another face opens nothing there.
                state["actor"] = state["speaker"]
        marker = (b"x-request-id", request_id.encode())

        began, status, head = perf_counter(), 500, 0.0

        async def marked(message: Any) -> None:
            nonlocal status, head
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), marker]
                status, head = message["status"], perf_counter()
            await send(message)

        try:
            await self._app(scope, self._asked_again(scope, receive), marked)
        finally:
            if self._count is not None and scope["type"] == ScopeType.HTTP:
                self._count(scope, status, (head or perf_counter()) - began)

    def _asked_again(self, scope: Scope, receive: Receive) -> Receive:
        """`receive`, where at the end of a body it counts whose the credential is then: who was signed out while they
        were still sending is.
        """
        if scope["state"]["actor"] is None or scope.get("method") in ("GET", "HEAD"):
            return receive

        async def received() -> Any:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body") and self._still(scope) is None:
                raise Unauthenticated
            return message

        return received

    def _still(self, scope: Scope) -> Actor | None:
        face: Face | None = scope["state"].get("face")
        return self._actor(scope) if face is None else face.actor_of(scope)

    def _actor(self, scope: Scope) -> Actor | None:
        token = bearer_of(scope)
        return None if token is None else self.actor_of(token)

    def actor_of(self, token: bytes) -> Actor | None:
        """Whose token this is, now."""
        return self._authenticator.actor_of(token, self._clock.now())


def request_ids() -> Callable[[], str]:
    """Makes ids of requests: unique, and cheaper than random ones, which nothing needs here."""
    run, numbers = secrets.token_hex(4), itertools.count(1)
    return lambda: f"{run}{next(numbers):08x}"


def bearer_of(scope: Scope) -> bytes | None:
    """The bearer token of a request, or None when it has none."""
    return next((token_in(value) for name, value in scope["headers"] if name == b"authorization"), None)


def token_in(authorization: bytes) -> bytes | None:
    """The bearer token in a header, or None when that is of another kind."""
    scheme, _, token = authorization.partition(b" ")
    return token.strip() if token and scheme.lower() == b"bearer" else None


def to_response(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's exception handler for everything, in the words of the face that was asked."""
    face: Face | None = request.scope.get("state", {}).get("face")
    return (problem_response if face is None else face.to_response)(request, error)


def declared_action(scope: Scope) -> Action:
    """The action the matched route declares; a route without one does not get past the build (see server)."""
    return cast("Action", scope["route_handler"].opt["action"])


async def refuse(scope: Scope, send: Send, error: Exception) -> None:
    """Answer with `error` in the words of the face that was asked."""
    state = scope["state"]
    face: Face | None = state.get("face")
    await (send_problem if face is None else face.refuse)(send, error, state["request_id"])


class DeclaredLayer:
    """Inside Litestar, after routing: what is not public needs a valid credential before anything of it is parsed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == ScopeType.HTTP and scope["method"] != "OPTIONS":
            state = scope["state"]
            action = declared_action(scope)
            asker = state.get("speaker" if action in _SPOKEN else "actor")
            if asker is None and action is not Action.PUBLIC:
                await refuse(scope, send, Unauthenticated())
                return
        await self._app(scope, receive, send)
