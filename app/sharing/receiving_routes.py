"""Sharing in the companion API, for those who are given something."""

from litestar import Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from app.accounts.model import TypedCode
from app.caller import Caller
from app.companion.conditions import Cursor, Limit, Page, answer, limit_of, page_of, place_of
from app.policy import Action
from app.sharing.model import ReceivedView
from app.sharing.receiving import Receiving


class ShareCode(Struct, forbid_unknown_fields=True):
    """A code as it was typed or scanned; letter case, spaces and dashes make no difference."""

    code: TypedCode


@get("/me/shares", operation_id="listReceivedShares", opt={"action": Action.SELF})
async def list_received_shares(
    caller: NamedDependency[Caller],
    receiving: NamedDependency[Receiving],
    cursor: Cursor = None,
    limit: Limit = None,
) -> Page[ReceivedView]:
    """What the caller is given by other homes, and offers they can accept."""
    most = limit_of(limit)
    found = await receiving.list(caller.actor, place_of(cursor), most + 1)
    return page_of(found, most, lambda item: item.id)


@post("/me/shares/{share_id:str}/accept", operation_id="acceptShare", status_code=200, opt={"action": Action.SELF})
async def accept_share(
    caller: NamedDependency[Caller], receiving: NamedDependency[Receiving], share_id: FromPath[str]
) -> Response[ReceivedView]:
    """Accept what was offered to the caller."""
    share = await receiving.accept(caller, share_id)
    return answer(share, share.version)


@post("/me/shares/{share_id:str}/refuse", operation_id="refuseShare", status_code=204, opt={"action": Action.SELF})
async def refuse_share(
    caller: NamedDependency[Caller], receiving: NamedDependency[Receiving], share_id: FromPath[str]
) -> None:
    """Refuse what was offered to the caller."""
    await receiving.refuse(caller, share_id)


@delete("/me/shares/{share_id:str}", operation_id="giveBackShare", opt={"action": Action.SELF})
async def give_back_share(
    caller: NamedDependency[Caller], receiving: NamedDependency[Receiving], share_id: FromPath[str]
) -> None:
    """Give back what the caller was given."""
    await receiving.give_back(caller, share_id)


@post("/shares/look", operation_id="lookAtShare", status_code=200, opt={"action": Action.SELF})
async def look_at_share(
    caller: NamedDependency[Caller], receiving: NamedDependency[Receiving], data: JSONBody[ShareCode]
) -> ReceivedView:
    """What a code offers, before accepting it."""
    return await receiving.look(caller, data.code)


@post("/shares/accept", operation_id="acceptShareCode", status_code=200, opt={"action": Action.SELF})
async def accept_share_code(
    caller: NamedDependency[Caller], receiving: NamedDependency[Receiving], data: JSONBody[ShareCode]
) -> Response[ReceivedView]:
    """Accept a share by code."""
    share = await receiving.accept_code(caller, data.code)
    return answer(share, share.version)


@post("/shares/refuse", operation_id="refuseShareCode", status_code=204, opt={"action": Action.SELF})
async def refuse_share_code(
    caller: NamedDependency[Caller], receiving: NamedDependency[Receiving], data: JSONBody[ShareCode]
) -> None:
    """Refuse a share by code; it ends."""
    await receiving.refuse_code(caller, data.code)


ROUTER = Router(
    "/",
    route_handlers=[
        list_received_shares,
        accept_share,
        refuse_share,
        give_back_share,
        look_at_share,
        accept_share_code,
        refuse_share_code,
    ],
)
