"""Taking up invitations in the companion API."""

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from app.accounts.model import Login, Password, PersonName, TypedCode
from app.caller import Caller
from app.companion.conditions import Cursor, Limit, Page, answer, limit_of, page_of, place_of
from app.homes.invitation_model import OfferView, SignedUp
from app.homes.joining import Joining
from app.homes.model import HomeView, Name
from app.policy import Action


class InvitationCode(Struct, forbid_unknown_fields=True):
    """A code as it was typed or scanned; letter case, spaces and dashes make no difference."""

    code: TypedCode


class SignUp(Struct, forbid_unknown_fields=True):
    """An account to make, and the code that allows it; `phone` is what the session will be called."""

    code: TypedCode
    login: Login
    password: Password
    name: PersonName
    phone: Name


class AnonymousJoin(Struct, forbid_unknown_fields=True):
    """What to call somebody without a login; `phone` is what the session will be called."""

    code: TypedCode
    name: PersonName
    phone: Name


@post("/invitations/look", operation_id="lookAtInvitation", status_code=200, opt={"action": Action.PUBLIC})
async def look_at_invitation(
    caller: NamedDependency[Caller], joining: NamedDependency[Joining], data: JSONBody[InvitationCode]
) -> OfferView:
    """What a code invites to, before taking it up."""
    return await joining.look(caller, data.code)


@post("/invitations/accept", operation_id="acceptInvitationCode", status_code=200, opt={"action": Action.SELF})
async def accept_invitation_code(
    caller: NamedDependency[Caller], joining: NamedDependency[Joining], data: JSONBody[InvitationCode]
) -> Response[HomeView]:
    """Join a home by code."""
    home = await joining.accept_code(caller, data.code)
    return answer(home, home.version)


@post("/invitations/refuse", operation_id="refuseInvitationCode", status_code=204, opt={"action": Action.SELF})
async def refuse_invitation_code(
    caller: NamedDependency[Caller], joining: NamedDependency[Joining], data: JSONBody[InvitationCode]
) -> None:
    """Refuse an invitation by code; it ends."""
    await joining.refuse_code(caller, data.code)


@post("/invitations/sign-up", operation_id="signUp", status_code=201, opt={"action": Action.PUBLIC})
async def sign_up(
    caller: NamedDependency[Caller], joining: NamedDependency[Joining], data: JSONBody[SignUp]
) -> SignedUp:
    """Make an account by an invitation's code: account, membership and session at once."""
    return await joining.sign_up(
        caller, code=data.code, login=data.login, password=data.password, name=data.name, phone=data.phone
    )


@post("/invitations/anonymous", operation_id="joinAnonymously", status_code=201, opt={"action": Action.PUBLIC})
async def join_anonymously(
    caller: NamedDependency[Caller], joining: NamedDependency[Joining], data: JSONBody[AnonymousJoin]
) -> SignedUp:
    """Join without a login, where the invitation allows it; such an account ends unless it is upgraded."""
    return await joining.join_anonymously(caller, code=data.code, name=data.name, phone=data.phone)


@get("/me/invitations", operation_id="listOwnInvitations", opt={"action": Action.SELF})
async def list_own_invitations(
    caller: NamedDependency[Caller],
    joining: NamedDependency[Joining],
    cursor: Cursor = None,
    limit: Limit = None,
) -> Page[OfferView]:
    """Invitations addressed to the caller that can be taken up."""
    most = limit_of(limit)
    found = await joining.list(caller.actor, place_of(cursor), most + 1)
    return page_of(found, most, lambda item: item.id)


@post(
    "/me/invitations/{invitation_id:str}/accept",
    operation_id="acceptInvitation",
    status_code=200,
    opt={"action": Action.SELF},
)
async def accept_invitation(
    caller: NamedDependency[Caller], joining: NamedDependency[Joining], invitation_id: FromPath[str]
) -> Response[HomeView]:
    """Join a home by an invitation addressed to the caller."""
    home = await joining.accept(caller, invitation_id)
    return answer(home, home.version)


@post(
    "/me/invitations/{invitation_id:str}/refuse",
    operation_id="refuseInvitation",
    status_code=204,
    opt={"action": Action.SELF},
)
async def refuse_invitation(
    caller: NamedDependency[Caller], joining: NamedDependency[Joining], invitation_id: FromPath[str]
) -> None:
    """Refuse an invitation addressed to the caller; it ends."""
    await joining.refuse(caller, invitation_id)


ROUTER = Router(
    "/",
    route_handlers=[
        look_at_invitation,
        accept_invitation_code,
        refuse_invitation_code,
        sign_up,
        join_anonymously,
        list_own_invitations,
        accept_invitation,
        refuse_invitation,
    ],
)
