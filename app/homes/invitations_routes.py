"""Invitations in the companion API, for the admins of a home."""

from litestar import Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from app.caller import Caller
from app.companion.conditions import Cursor, Limit, Page, answer, limit_of, page_of, place_of
from app.homes.invitation_model import InvitationMade, InvitationView, NewInvitation
from app.homes.invitations import Invitations
from app.policy import Action

_ALL = "/homes/{home_id:str}/invitations"
_ONE = "/homes/{home_id:str}/invitations/{invitation_id:str}"


@post(_ALL, operation_id="createInvitation", opt={"action": Action.MEMBER_INVITE})
async def create_invitation(
    caller: NamedDependency[Caller],
    invitations: NamedDependency[Invitations],
    home_id: FromPath[str],
    data: JSONBody[NewInvitation],
) -> Response[InvitationMade]:
    """Invite somebody by login, or whoever gets the code: read aloud, as a link, or scanned."""
    made = await invitations.create(caller, home_id, data)
    return answer(made, made.invitation.version, status=201)


@get(_ALL, operation_id="listInvitations", opt={"action": Action.MEMBER_INVITE})
async def list_invitations(
    caller: NamedDependency[Caller],
    invitations: NamedDependency[Invitations],
    home_id: FromPath[str],
    cursor: Cursor = None,
    limit: Limit = None,
) -> Page[InvitationView]:
    """Who was invited to a home, and what became of it."""
    most = limit_of(limit)
    found = await invitations.list(caller.actor, home_id, place_of(cursor), most + 1)
    return page_of(found, most, lambda item: item.id)


@get(_ONE, operation_id="getInvitation", opt={"action": Action.MEMBER_INVITE})
async def get_invitation(
    caller: NamedDependency[Caller],
    invitations: NamedDependency[Invitations],
    home_id: FromPath[str],
    invitation_id: FromPath[str],
) -> Response[InvitationView]:
    """One invitation."""
    invitation = await invitations.get(caller.actor, home_id, invitation_id)
    return answer(invitation, invitation.version)


@delete(_ONE, operation_id="revokeInvitation", opt={"action": Action.MEMBER_INVITE})
async def revoke_invitation(
    caller: NamedDependency[Caller],
    invitations: NamedDependency[Invitations],
    home_id: FromPath[str],
    invitation_id: FromPath[str],
) -> None:
    """Revoke an invitation; who joined by it stays."""
    await invitations.revoke(caller, home_id, invitation_id)


ROUTER = Router("/", route_handlers=[create_invitation, list_invitations, get_invitation, revoke_invitation])
