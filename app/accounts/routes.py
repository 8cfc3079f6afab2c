"""The hub, its claim, and signing in, in the companion API."""

from typing import Annotated, TypeVar

from litestar import Response, Router, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct

from app.accounts.hub import ClockView, Hub, HubView
from app.accounts.model import (
    Login,
    Password,
    PersonName,
    Recoverable,
    SignedIn,
    Token,
    TypedCode,
    TypedPassword,
)
from app.accounts.sessions import Sessions
from app.accounts.signing_in import SigningIn
from app.caller import Caller
from app.clock import Time
from app.policy import Action

T = TypeVar("T")
HubName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$")]


class Claim(Struct, forbid_unknown_fields=True):
    """The code the hub shows, and who its owner will be. `phone` names the session, `time` the phone's clock."""

    code: TypedCode
    login: Login
    password: Password
    name: PersonName
    phone: PersonName
    time: Time | None = None


class HubChange(Struct, forbid_unknown_fields=True):
    """What changes of a hub."""

    name: HubName


class ClockSet(Struct, forbid_unknown_fields=True):
    """The present, as the owner's phone has it."""

    time: Time


class SignInRequest(Struct, forbid_unknown_fields=True):
    """A login and its password. `phone` names the session in the list of sessions."""

    login: Login
    password: TypedPassword
    phone: PersonName


class Refresh(Struct, forbid_unknown_fields=True):
    """A refresh token; it is spent by this."""

    refresh_token: Token


class Recovery(Struct, forbid_unknown_fields=True):
    """A login, its recovery code, and the new password."""

    login: Login
    recovery_code: TypedCode
    password: Password
    phone: PersonName


@get("/hub", operation_id="getHub", opt={"action": Action.PUBLIC})
async def get_hub(hub: NamedDependency[Hub]) -> HubView:
    """Which hub this is, whether it has an owner, and what time it has."""
    return hub.view()


@patch("/hub", operation_id="updateHub", opt={"action": Action.HUB_MANAGE})
async def update_hub(caller: NamedDependency[Caller], hub: NamedDependency[Hub], data: JSONBody[HubChange]) -> HubView:
    """Rename the hub."""
    return await hub.rename(caller, data.name)


@put("/hub/clock", operation_id="setHubClock", opt={"action": Action.HUB_MANAGE, "keyed": False})
async def set_hub_clock(
    caller: NamedDependency[Caller], hub: NamedDependency[Hub], data: JSONBody[ClockSet]
) -> ClockView:
    """Tell the hub the time, which it takes where it has nothing better (no internet, no clock battery)."""
    return await hub.set_clock(caller, data.time)


@post("/hub/claim", operation_id="claimHub", opt={"action": Action.PUBLIC}, status_code=201)
async def claim_hub(
    caller: NamedDependency[Caller], hub: NamedDependency[Hub], data: JSONBody[Claim]
) -> Response[Recoverable]:
    """Become the owner of a hub nobody owns, by the code it shows. The recovery code is shown this once."""
    made = await hub.claim(
        code=data.code,
        login=data.login,
        password=data.password,
        name=data.name,
        phone=data.phone,
        address=caller.address,
        time=data.time,
    )
    return secret(made, 201)


@post("/sign-in", operation_id="signIn", opt={"action": Action.PUBLIC}, status_code=200)
async def sign_in(
    caller: NamedDependency[Caller], signing_in: NamedDependency[SigningIn], data: JSONBody[SignInRequest]
) -> Response[SignedIn]:
    """Sign in with a login and password: a new session."""
    session = await signing_in.sign_in(
        login=data.login, password=data.password, name=data.phone, address=caller.address
    )
    return secret(session)


@post("/sign-in/refresh", operation_id="refreshSession", opt={"action": Action.PUBLIC}, status_code=200)
async def refresh_session(
    caller: NamedDependency[Caller], sessions: NamedDependency[Sessions], data: JSONBody[Refresh]
) -> Response[SignedIn]:
    """Trade a refresh token for new tokens. The old ones are void at once.

    Asked again within 30 seconds, the same token gets the same answer, for a phone that lost the first. Later it means
    that a copy exists, and the session ends.
    """
    return secret(await sessions.refresh(data.refresh_token, address=caller.address))


@post("/sign-in/recover", operation_id="recoverAccount", opt={"action": Action.PUBLIC}, status_code=200)
async def recover_account(
    caller: NamedDependency[Caller], signing_in: NamedDependency[SigningIn], data: JSONBody[Recovery]
) -> Response[Recoverable]:
    """Set a new password by the recovery code. Every session and key ends; the new recovery code is shown this once."""
    recovered = await signing_in.recover(
        login=data.login,
        code=data.recovery_code,
        password=data.password,
        name=data.phone,
        address=caller.address,
    )
    return secret(recovered)


def secret(value: T, status: int = 200) -> Response[T]:
    """An answer nothing on the way may keep."""
    return Response(value, status_code=status, headers={"Cache-Control": "no-store"})


ROUTER = Router(
    "/", route_handlers=[get_hub, update_hub, set_hub_clock, claim_hub, sign_in, refresh_session, recover_account]
)
