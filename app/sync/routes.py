"""Sync in the companion API: how a home stands to its cloud, what was lost, and phones that work offline."""

from typing import Annotated

from litestar import Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from app.caller import Caller
from app.companion.conditions import Cursor, Limit, Page, limit_of, page_of, place_of
from app.policy import Action
from app.sync.attaching import AttachedHub, HubId
from app.sync.conflicts import ConflictView, State
from app.sync.operations import Operations, TakenAll
from app.sync.phones import FactsView
from app.sync.service import Sync
from app.sync.status import SyncView

_HOME = "/homes/{home_id:str}"
_CONFLICT = _HOME + "/conflicts/{conflict_id:str}"
OfState = Annotated[State | None, QueryParameter(name="state", description="only those that are so")]
ResetDevices = Annotated[
    bool, QueryParameter(description="also where it holds devices for which no other hub stands by: they are reset")
]
Since = Annotated[int, QueryParameter(ge=0, lt=1 << 62, description="`head` of the answer before; 0 at first")]


@get(f"{_HOME}/sync", operation_id="getHomeSync", opt={"action": Action.HOME_READ})
async def get_home_sync(
    caller: NamedDependency[Caller], sync: NamedDependency[Sync], home_id: FromPath[str]
) -> SyncView:
    """How a home stands to its cloud: last contact, what is to be pushed and pulled, conflicts, progress."""
    return await sync.status(caller.actor, home_id)


@post(f"{_HOME}/sync", operation_id="giveHomeToCloud", opt={"action": Action.HOME_SYNC}, status_code=200)
async def give_home_to_cloud(
    caller: NamedDependency[Caller], sync: NamedDependency[Sync], home_id: FromPath[str]
) -> SyncView:
    """At a hub: have its cloud keep this home too, with all it holds. It goes on without the cloud as before."""
    return await sync.give(caller, home_id)


@post(f"{_HOME}/hubs", operation_id="attachHub", opt={"action": Action.HOME_SYNC})
async def attach_hub(
    caller: NamedDependency[Caller], sync: NamedDependency[Sync], home_id: FromPath[str], data: JSONBody[HubId]
) -> Response[AttachedHub]:
    """At a cloud: have a hub of yours serve this home too."""
    return Response(await sync.attaching.attach(caller, home_id, data.hub_id), status_code=201)


@delete(f"{_HOME}/hubs/{{hub_id:str}}", operation_id="detachHub", opt={"action": Action.HOME_SYNC})
async def detach_hub(
    caller: NamedDependency[Caller],
    sync: NamedDependency[Sync],
    home_id: FromPath[str],
    hub_id: FromPath[str],
    *,
    reset: ResetDevices = False,
) -> None:
    """At a cloud: a hub serves this home no more; nothing of it stays there, and its secrets are sealed anew."""
    await sync.attaching.detach(caller, home_id, hub_id, reset=reset)


@get(f"{_HOME}/conflicts", operation_id="listConflicts", opt={"action": Action.AUDIT_READ})
async def list_conflicts(
    caller: NamedDependency[Caller],
    sync: NamedDependency[Sync],
    home_id: FromPath[str],
    *,
    of_state: OfState = None,
    cursor: Cursor = None,
    limit: Limit = None,
) -> Page[ConflictView]:
    """What was lost when two edited the same without having seen each other, in the order it came about."""
    most = limit_of(limit)
    found = await sync.conflicts.list(caller.actor, home_id, of_state, place_of(cursor), most + 1)
    return page_of(found, most, lambda item: item.id)


@get(_CONFLICT, operation_id="getConflict", opt={"action": Action.AUDIT_READ})
async def get_conflict(
    caller: NamedDependency[Caller], sync: NamedDependency[Sync], home_id: FromPath[str], conflict_id: FromPath[str]
) -> ConflictView:
    """One of them."""
    return await sync.conflicts.get(caller.actor, home_id, conflict_id)


@post(f"{_CONFLICT}/undo", operation_id="undoConflict", opt={"action": Action.HOME_UPDATE}, status_code=200)
async def undo_conflict(
    caller: NamedDependency[Caller], sync: NamedDependency[Sync], home_id: FromPath[str], conflict_id: FromPath[str]
) -> ConflictView:
    """Write what was lost again, as your own act; what was deleted is made anew."""
    return await sync.conflicts.undo(caller, home_id, conflict_id)


@post(f"{_CONFLICT}/dismiss", operation_id="dismissConflict", opt={"action": Action.HOME_UPDATE}, status_code=200)
async def dismiss_conflict(
    caller: NamedDependency[Caller], sync: NamedDependency[Sync], home_id: FromPath[str], conflict_id: FromPath[str]
) -> ConflictView:
    """It is well as it is."""
    return await sync.conflicts.dismiss(caller, home_id, conflict_id)


@get(f"{_HOME}/facts", operation_id="listFacts", opt={"action": Action.MEMBER_READ})
async def list_facts(
    caller: NamedDependency[Caller], sync: NamedDependency[Sync], home_id: FromPath[str], since: Since = 0
) -> FactsView:
    """For a phone that keeps a copy: what has changed of a home, by the same numbers at hub and cloud."""
    return await sync.phones.changes(caller.actor, home_id, since)


@post(f"{_HOME}/operations", operation_id="pushOperations", opt={"action": Action.HOME_PUSH}, status_code=200)
async def push_operations(
    caller: NamedDependency[Caller], sync: NamedDependency[Sync], home_id: FromPath[str], data: JSONBody[Operations]
) -> TakenAll:
    """What a phone did while it reached nobody; the same numbers may be sent again, to hub and cloud."""
    return await sync.operations.push(caller, home_id, data)


ROUTER = Router(
    "/",
    route_handlers=[
        get_home_sync,
        give_home_to_cloud,
        attach_hub,
        detach_hub,
        list_conflicts,
        get_conflict,
        undo_conflict,
        dismiss_conflict,
        list_facts,
        push_operations,
    ],
)
