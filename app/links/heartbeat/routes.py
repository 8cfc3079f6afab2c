"""The one route of devices that call home, and who they are there; and the companion API's view of it."""

from typing import Any, Final

from litestar import MediaType, Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.types import Scope, Send

from app.caller import Caller
from app.companion.layers import bearer_of
from app.companion.problems import send_problem, to_response
from app.errors import Invalid, Unauthenticated
from app.links.heartbeat.codec import HeartbeatError, decode_beat, encode
from app.links.heartbeat.queries import HeartbeatView
from app.links.heartbeat.service import Heartbeats
from app.policy import Action, Actor

PATH: Final = "/v1/heartbeat"


class HeartbeatFace:
    """`app.companion.layers.Face`: a device's token opens this path and no other, and nothing else opens this path."""

    prefix = PATH

    def __init__(self, heartbeats: Heartbeats) -> None:
        self.heartbeats = heartbeats

    def actor_of(self, scope: Scope) -> Actor | None:
        """The device whose token a request carries; one that was reset speaks as its reset."""
        token = token_of(scope)
        if (device := self.heartbeats.device_of(token)) is not None:
            return Actor(None, f"device/{device.id}", frozenset(), device_id=device.id)
        if (departing := self.heartbeats.departing_of(token)) is not None:
            name = f"reset/{departing.reset.id}"
            return Actor(None, name, frozenset(), device_id=name)
        return None

    async def refuse(self, send: Send, error: Exception, request_id: str) -> None:
        """As everywhere where the protocol is ours."""
        await send_problem(send, error, request_id)

    def to_response(self, request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        """The same from inside Litestar."""
        return to_response(request, error)


def token_of(scope: Scope) -> str:
    """The bearer token of a request; empty where there is none."""
    return (bearer_of(scope) or b"").decode("latin-1")


@post(PATH, opt={"action": Action.DEVICE_SPEAK}, status_code=200, include_in_schema=False)
async def heartbeat(request: Request[Any, Any, Any], heartbeats: NamedDependency[Heartbeats]) -> Response[bytes]:
    """What the device says, and what it is to do."""
    heartbeats.take(str(request.scope["state"]["speaker"].device_id))
    try:
        beat = decode_beat(await request.body())
    except HeartbeatError as error:
        raise Invalid(str(error)) from error
    # Asked after the body was read: a token may have ended meanwhile.
    token = token_of(request.scope)
    if (device := heartbeats.device_of(token)) is not None:
        heard = await heartbeats.beat(device, beat)
    elif (departing := heartbeats.departing_of(token)) is not None:
        heard = await heartbeats.last_words(departing, beat)
    else:
        raise Unauthenticated
    return Response(encode(heard), media_type=MediaType.JSON, headers={"Cache-Control": "no-store"})


@get("/devices/{device_id:str}/heartbeat", operation_id="getDeviceHeartbeat", opt={"action": Action.DEVICE_READ})
async def get_heartbeat(
    caller: NamedDependency[Caller], heartbeats: NamedDependency[Heartbeats], device_id: FromPath[str]
) -> HeartbeatView:
    """The newest heartbeat of a device that calls home."""
    return await heartbeats.last(caller.actor, device_id)


API_ROUTER = Router("/", route_handlers=[get_heartbeat])
ROUTER = Router("/", route_handlers=[heartbeat])
