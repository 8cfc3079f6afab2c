"""The event stream in the companion API."""

from typing import Annotated, Any

from litestar import Request, Router, get
from litestar.di import NamedDependency
from litestar.params import HeaderParameter
from litestar.types import ASGIApp

from app.clock import Moment
from app.companion.layers import Authenticator
from app.events.bus import Bus
from app.events.model import EventView, place_of
from app.events.stream import EventStream
from app.policy import Action, Actor

LastEventId = Annotated[
    str | None, HeaderParameter(name="Last-Event-ID", description="the id of the last event the client has")
]


@get(
    "/events",
    operation_id="listenToEvents",
    opt={"action": Action.SELF, "tells": EventView},
    media_type="text/event-stream",
)
async def listen_to_events(
    request: Request[Any, Any, Any],
    bus: NamedDependency[Bus],
    authenticator: NamedDependency[Authenticator],
    last_event_id: LastEventId = None,
) -> ASGIApp:
    """Everything that happens and that the caller may see, as server-sent events, as it happens.

    Each event has an id and the type of what happened (`home.updated`). Besides, the hub says `ready` at the start,
    `reset` when it cannot go on from the Last-Event-ID that was sent (older than seven days or 100,000 events, or of a
    hub since restored: read everything anew), and as the last event `closing` or `lagging` with its reason. With a
    Last-Event-ID the stream goes on from there. It ends with the session or key (a refresh in time keeps it open), with
    rights that are taken away, and when a grant or its hours end: whoever may come back does so with the last id it
    has.
    """
    credential_id = request.scope["state"]["actor"].credential_id

    def who(now: Moment) -> Actor | None:
        return authenticator.holder_of(credential_id, now)

    place = place_of(last_event_id) if last_event_id else None
    return EventStream(bus, who, place, replays=bool(last_event_id))


ROUTER = Router("/", route_handlers=[listen_to_events])
