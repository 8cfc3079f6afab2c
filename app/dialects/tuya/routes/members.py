"""Members of homes. Nobody is made one without saying yes: adding is inviting (README, deviations)."""

from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from app.accounts.model import Login
from app.dialects.tuya.operations import Ask, Operation
from app.homes.invitation_model import NewInvitation
from app.homes.members import MemberChange
from app.homes.model import MemberView
from app.policy import Action, Role


class NewMember(Struct):
    """Who is to be a member; a login is all this hub knows people by."""

    member_account: Login
    name: Annotated[str, Meta(max_length=80)] = ""
    country_code: str | int = ""
    admin: bool = False


class Adding(Struct):
    """A new member of an app."""

    member: NewMember
    app_schema: str = ""


class Change(Struct):
    """What changes of a member."""

    admin: bool | None = None
    name: Annotated[str, Meta(max_length=80)] | None = None


def shown(member: MemberView) -> dict[str, Any]:
    """A member as the table has it."""
    return {
        "uid": member.account_id,
        "name": member.remark or member.name,
        "country_code": "",
        "member_account": member.name,
        "admin": member.role in (Role.OWNER, Role.ADMIN),
        "owner": member.role is Role.OWNER,
        "avatar": "",
    }


async def listed(ask: Ask) -> list[dict[str, Any]]:
    """Who is in a home."""
    found = await ask.tuya.members.list(ask.by.actor, ask.path["home_id"], "", 200)
    return [shown(member) for member in found]


async def add(ask: Ask) -> bool:
    """Invite somebody, who is a member once they accept."""
    new = ask.body(Adding).member
    invitation = NewInvitation(role="admin" if new.admin else "member", login=new.member_account)
    await ask.tuya.invitations.create(ask.by, ask.path["home_id"], invitation)
    return True


async def modify(ask: Ask) -> bool:
    """Make a member an admin or no longer one; what the home calls them."""
    change = ask.body(Change)
    fields: dict[str, Any] = {}
    if change.admin is not None:
        fields["role"] = "admin" if change.admin else "member"
    if change.name is not None:
        fields["remark"] = change.name
    await ask.tuya.members.change(ask.by, ask.path["home_id"], ask.path["uid"], MemberChange(**fields))
    return True


async def remove(ask: Ask) -> bool:
    """Send a member away, or leave."""
    home_id, uid = ask.path["home_id"], ask.path["uid"]
    if uid == ask.by.actor.account_id:
        await ask.tuya.members.leave(ask.by, home_id)
    else:
        await ask.tuya.members.remove(ask.by, home_id, uid)
    return True


_ALL: Final = "/v1.0/homes/{home_id}/members"
_ONE: Final = "/v1.0/homes/{home_id}/members/{uid}"
OPERATIONS: Final = (
    Operation("GET", _ALL, Action.MEMBER_READ, listed),
    Operation("POST", _ALL, Action.MEMBER_INVITE, add),
    Operation("PUT", _ONE, Action.MEMBER_MANAGE, modify),
    Operation("DELETE", _ONE, Action.MEMBER_MANAGE, remove),
)
