"""What hubs ask of their cloud below /sync/ to enrol and to prove themselves; MessagePack both ways.

Refusals are problem+json, as in the companion API: a hub reads their `code`.
"""

from typing import Any, Final

from litestar import Request, Response, Router, post
from litestar.di import NamedDependency
from litestar.types import Scope, Send
from msgspec import Struct

from app.caller import Caller
from app.clock import Clock
from app.companion.layers import bearer_of
from app.companion.problems import send_problem, to_response
from app.policy import Action, Actor
from app.sync.enrolment import wire
from app.sync.enrolment.cloud_end import CloudEnd
from app.sync.enrolment.hubs import Hubs
from app.sync.enrolment.sessions import HubSessions
from app.sync.enrolment.tokens import HubTokens

PREFIX: Final = "/sync/"
# Keys, names and nonces: some hundred octets.
MAX_BODY: Final = 16 * 1024


class SyncFace:
    """`app.companion.layers.Face`: a hub's token opens what is below /sync/, and nothing else does."""

    prefix = PREFIX

    def __init__(self, hubs: Hubs, tokens: HubTokens, clock: Clock) -> None:
        self._hubs = hubs
        self._tokens = tokens
        self._clock = clock

    def actor_of(self, scope: Scope) -> Actor | None:
        """The hub whose token a request carries."""
        token = bearer_of(scope)
        actor = None if token is None else self._tokens.actor_of(token, self._clock.now())
        if actor is not None:
            self._hubs.heard(actor.hub_id or "")
        return actor

    async def refuse(self, send: Send, error: Exception, request_id: str) -> None:
        """Answer with what went wrong."""
        await send_problem(send, error, request_id)

    def to_response(self, request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        """The same from inside Litestar."""
        return to_response(request, error)


def packed(body: Struct) -> Response[bytes]:
    """An answer, which nobody on the way may keep."""
    return Response(wire.encode(body), media_type=wire.MEDIA_TYPE, headers={"Cache-Control": "no-store"})


@post("/enrol", opt={"action": Action.PUBLIC}, status_code=200)
async def enrol(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], cloud_end: NamedDependency[CloudEnd]
) -> Response[bytes]:
    """A hub introduces itself with the code it was told."""
    return packed(await cloud_end.take_up(caller, wire.decode(await request.body(), wire.Enrol)))


@post("/enrol/state", opt={"action": Action.PUBLIC}, status_code=200)
async def enrolment_state(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], cloud_end: NamedDependency[CloudEnd]
) -> Response[bytes]:
    """What became of that."""
    return packed(await cloud_end.state(caller, wire.decode(await request.body(), wire.AskState)))


@post("/challenges", opt={"action": Action.PUBLIC}, status_code=200)
async def challenge(hub_sessions: NamedDependency[HubSessions]) -> Response[bytes]:
    """What a hub is to sign."""
    return packed(hub_sessions.challenge())


@post("/sessions", opt={"action": Action.PUBLIC}, status_code=200)
async def open_session(request: Request[Any, Any, Any], hub_sessions: NamedDependency[HubSessions]) -> Response[bytes]:
    """A token, for who has signed it."""
    return packed(await hub_sessions.open(wire.decode(await request.body(), wire.Prove)))


@post("/leave", opt={"action": Action.SYNC_SPEAK}, status_code=204)
async def leave(caller: NamedDependency[Caller], hub_sessions: NamedDependency[HubSessions]) -> None:
    """The hub that speaks ends its enrolment."""
    await hub_sessions.leave(caller)


ROUTER = Router(
    PREFIX,
    route_handlers=[enrol, enrolment_state, challenge, open_session, leave],
    request_max_body_size=MAX_BODY,
    include_in_schema=False,
)
