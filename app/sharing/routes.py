"""Sharing in the companion API, for the admins of a home."""

from litestar import Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from app.caller import Caller
from app.companion.conditions import Cursor, Limit, Page, answer, limit_of, page_of, place_of
from app.policy import Action
from app.sharing.model import NewShare, ShareChange, ShareMade, ShareView
from app.sharing.service import Sharing

_ONE = "/homes/{home_id:str}/shares/{share_id:str}"


@post("/devices/{device_id:str}/shares", operation_id="shareDevice", opt={"action": Action.SHARE_MANAGE})
async def share_device(
    caller: NamedDependency[Caller],
    sharing: NamedDependency[Sharing],
    device_id: FromPath[str],
    data: JSONBody[NewShare],
) -> Response[ShareMade]:
    """Offer a device to somebody outside the home, by login or to whoever gets the code."""
    made = await sharing.offer(caller, "device", device_id, data)
    return answer(made, made.share.version, status=201)


@post("/groups/{group_id:str}/shares", operation_id="shareGroup", opt={"action": Action.SHARE_MANAGE})
async def share_group(
    caller: NamedDependency[Caller],
    sharing: NamedDependency[Sharing],
    group_id: FromPath[str],
    data: JSONBody[NewShare],
) -> Response[ShareMade]:
    """Offer a group and the devices in it to somebody outside the home."""
    made = await sharing.offer(caller, "group", group_id, data)
    return answer(made, made.share.version, status=201)


@get("/devices/{device_id:str}/shares", operation_id="listSharesOfDevice", opt={"action": Action.SHARE_READ})
async def list_shares_of_device(
    caller: NamedDependency[Caller],
    sharing: NamedDependency[Sharing],
    device_id: FromPath[str],
    cursor: Cursor = None,
    limit: Limit = None,
) -> Page[ShareView]:
    """Whom a device was shared with, and what became of it."""
    most = limit_of(limit)
    found = await sharing.list_of(caller.actor, "device", device_id, place_of(cursor), most + 1)
    return page_of(found, most, lambda share: share.id)


@get("/groups/{group_id:str}/shares", operation_id="listSharesOfGroup", opt={"action": Action.SHARE_READ})
async def list_shares_of_group(
    caller: NamedDependency[Caller],
    sharing: NamedDependency[Sharing],
    group_id: FromPath[str],
    cursor: Cursor = None,
    limit: Limit = None,
) -> Page[ShareView]:
    """Whom a group was shared with, and what became of it."""
    most = limit_of(limit)
    found = await sharing.list_of(caller.actor, "group", group_id, place_of(cursor), most + 1)
    return page_of(found, most, lambda share: share.id)


@get("/homes/{home_id:str}/shares", operation_id="listShares", opt={"action": Action.SHARE_READ})
async def list_shares(
    caller: NamedDependency[Caller],
    sharing: NamedDependency[Sharing],
    home_id: FromPath[str],
    cursor: Cursor = None,
    limit: Limit = None,
) -> Page[ShareView]:
    """Everything a home shares and shared."""
    most = limit_of(limit)
    found = await sharing.list(caller.actor, home_id, place_of(cursor), most + 1)
    return page_of(found, most, lambda share: share.id)


@get(_ONE, operation_id="getShare", opt={"action": Action.SHARE_READ})
async def get_share(
    caller: NamedDependency[Caller],
    sharing: NamedDependency[Sharing],
    home_id: FromPath[str],
    share_id: FromPath[str],
) -> Response[ShareView]:
    """One share."""
    share = await sharing.get(caller.actor, home_id, share_id)
    return answer(share, share.version)


@patch(_ONE, operation_id="updateShare", opt={"action": Action.SHARE_MANAGE})
async def update_share(
    caller: NamedDependency[Caller],
    sharing: NamedDependency[Sharing],
    home_id: FromPath[str],
    share_id: FromPath[str],
    data: JSONBody[ShareChange],
) -> Response[ShareView]:
    """Change what a share allows, until when and in which hours."""
    share = await sharing.change(caller, home_id, share_id, data)
    return answer(share, share.version)


@delete(_ONE, operation_id="endShare", opt={"action": Action.SHARE_MANAGE})
async def end_share(
    caller: NamedDependency[Caller],
    sharing: NamedDependency[Sharing],
    home_id: FromPath[str],
    share_id: FromPath[str],
) -> None:
    """End a share or take back an offer; its receiver is out at once."""
    await sharing.end(caller, home_id, share_id)


ROUTER = Router(
    "/",
    route_handlers=[
        share_device,
        share_group,
        list_shares_of_device,
        list_shares_of_group,
        list_shares,
        get_share,
        update_share,
        end_share,
    ],
)
