"""Members in the companion API."""

from litestar import Response, Router, delete, get, patch
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from app.caller import Caller
from app.companion.conditions import Cursor, Limit, Page, answer, limit_of, page_of, place_of
from app.homes.members import MemberChange, Members
from app.homes.model import MemberView
from app.policy import Action

_ONE = "/homes/{home_id:str}/members/{account_id:str}"


@get("/homes/{home_id:str}/members", operation_id="listMembers", opt={"action": Action.MEMBER_READ})
async def list_members(
    caller: NamedDependency[Caller],
    members: NamedDependency[Members],
    home_id: FromPath[str],
    cursor: Cursor = None,
    limit: Limit = None,
) -> Page[MemberView]:
    """Who is in a home."""
    most = limit_of(limit)
    found = await members.list(caller.actor, home_id, place_of(cursor), most + 1)
    return page_of(found, most, lambda item: item.account_id)


@get(_ONE, operation_id="getMember", opt={"action": Action.MEMBER_READ})
async def get_member(
    caller: NamedDependency[Caller],
    members: NamedDependency[Members],
    home_id: FromPath[str],
    account_id: FromPath[str],
) -> Response[MemberView]:
    """One member."""
    member = await members.get(caller.actor, home_id, account_id)
    return answer(member, member.version)


@patch(_ONE, operation_id="updateMember", opt={"action": Action.MEMBER_MANAGE})
async def update_member(
    caller: NamedDependency[Caller],
    members: NamedDependency[Members],
    home_id: FromPath[str],
    account_id: FromPath[str],
    data: JSONBody[MemberChange],
) -> Response[MemberView]:
    """Change a member's role, remark, or a guest's limits. Admins manage members and guests, the owner admins too."""
    member = await members.change(caller, home_id, account_id, data)
    return answer(member, member.version)


@delete(_ONE, operation_id="removeMember", opt={"action": Action.MEMBER_MANAGE})
async def remove_member(
    caller: NamedDependency[Caller],
    members: NamedDependency[Members],
    home_id: FromPath[str],
    account_id: FromPath[str],
) -> None:
    """Send a member away; what they could reach is closed to them at once."""
    await members.remove(caller, home_id, account_id)


ROUTER = Router("/", route_handlers=[list_members, get_member, update_member, remove_member])
