"""The caller's own account and sessions in the companion API."""

from typing import Annotated

from litestar import Response, Router, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from app.accounts.digests import DigestLogins
from app.accounts.model import AccountView, Login, Password, PersonName, SessionView
from app.accounts.routes import secret
from app.accounts.service import Accounts
from app.accounts.sessions import Sessions
from app.accounts.signing_in import SigningIn
from app.caller import Caller
from app.companion.conditions import Page, answer
from app.policy import Action


class AccountChange(Struct, forbid_unknown_fields=True):
    """What changes of an account."""

    name: PersonName


class PasswordChange(Struct, forbid_unknown_fields=True):
    """The password that is, and the one to be."""

    old: Annotated[str, Meta(min_length=1, max_length=256)]
    new: Password


class Confirmation(Struct, forbid_unknown_fields=True):
    """The password once more, for what cannot be undone. An account without a login has none: leave it out."""

    password: Annotated[str, Meta(max_length=256)] = ""


class Upgrade(Struct, forbid_unknown_fields=True):
    """What an account without a login needs to have one."""

    login: Login
    password: Password


class SessionChange(Struct, forbid_unknown_fields=True):
    """What changes of a session."""

    name: PersonName


class RecoveryCode(Struct, frozen=True):
    """A recovery code to write down: it is shown this once."""

    recovery_code: str


class Ended(Struct, frozen=True):
    """How many sessions were ended."""

    ended: int


@get("/me", operation_id="getMe", opt={"action": Action.SELF})
async def get_me(caller: NamedDependency[Caller], accounts: NamedDependency[Accounts]) -> Response[AccountView]:
    """The caller's account."""
    account = await accounts.me(caller.actor)
    return answer(account, account.version)


@patch("/me", operation_id="updateMe", opt={"action": Action.SELF})
async def update_me(
    caller: NamedDependency[Caller], accounts: NamedDependency[Accounts], data: JSONBody[AccountChange]
) -> Response[AccountView]:
    """Rename the caller's account."""
    account = await accounts.rename(caller, data.name)
    return answer(account, account.version)


@post("/me/delete", operation_id="deleteMe", opt={"action": Action.SELF, "keyed": False}, status_code=204)
async def delete_me(
    caller: NamedDependency[Caller], signing_in: NamedDependency[SigningIn], data: JSONBody[Confirmation]
) -> None:
    """Delete the caller's account. Refused, with the reasons, while it owns homes or the hub."""
    await signing_in.delete_account(caller, password=data.password)


@post("/me/upgrade", operation_id="upgradeMe", opt={"action": Action.SELF}, status_code=200)
async def upgrade_me(
    caller: NamedDependency[Caller], signing_in: NamedDependency[SigningIn], data: JSONBody[Upgrade]
) -> Response[RecoveryCode]:
    """Give an account without a login one. Its homes and shares stay; the recovery code is shown this once."""
    return secret(RecoveryCode(await signing_in.upgrade(caller, login=data.login, password=data.password)))


@put("/me/password", operation_id="changePassword", opt={"action": Action.SELF}, status_code=204)
async def change_password(
    caller: NamedDependency[Caller], signing_in: NamedDependency[SigningIn], data: JSONBody[PasswordChange]
) -> None:
    """Change the caller's password. Every other session ends."""
    await signing_in.change_password(caller, old=data.old, new=data.new)


@post("/me/recovery-code", operation_id="renewRecoveryCode", opt={"action": Action.SELF}, status_code=200)
async def renew_recovery_code(
    caller: NamedDependency[Caller], signing_in: NamedDependency[SigningIn], data: JSONBody[Confirmation]
) -> Response[RecoveryCode]:
    """A new recovery code in the place of the old one. It is shown this once."""
    return secret(RecoveryCode(await signing_in.renew_recovery_code(caller, password=data.password)))


@post("/sign-out", operation_id="signOut", opt={"action": Action.SELF}, status_code=204)
async def sign_out(caller: NamedDependency[Caller], sessions: NamedDependency[Sessions]) -> None:
    """End the session this request came with."""
    await sessions.sign_out(caller)


@get("/me/sessions", operation_id="listSessions", opt={"action": Action.SELF})
async def list_sessions(caller: NamedDependency[Caller], sessions: NamedDependency[Sessions]) -> Page[SessionView]:
    """The caller's sessions, the newest first: all of them, there are at most 50."""
    return Page(sessions.list_mine(caller.actor))


@patch("/me/sessions/{session_id:str}", operation_id="renameSession", opt={"action": Action.SELF})
async def rename_session(
    caller: NamedDependency[Caller],
    sessions: NamedDependency[Sessions],
    session_id: FromPath[str],
    data: JSONBody[SessionChange],
) -> SessionView:
    """Rename a session."""
    return await sessions.rename(caller, session_id, data.name)


@delete("/me/sessions/{session_id:str}", operation_id="revokeSession", opt={"action": Action.SELF})
async def revoke_session(
    caller: NamedDependency[Caller], sessions: NamedDependency[Sessions], session_id: FromPath[str]
) -> None:
    """End a session. Its tokens open nothing from then on, and its event streams close."""
    await sessions.revoke(caller, session_id)


@post("/me/sessions/revoke-others", operation_id="revokeOtherSessions", opt={"action": Action.SELF}, status_code=200)
async def revoke_other_sessions(caller: NamedDependency[Caller], sessions: NamedDependency[Sessions]) -> Ended:
    """End every session of the caller but this one."""
    return Ended(await sessions.revoke_others(caller))


@put("/me/digest-login", operation_id="turnDigestLoginOn", opt={"action": Action.SELF, "keyed": False}, status_code=204)
async def turn_digest_login_on(
    caller: NamedDependency[Caller], digests: NamedDependency[DigestLogins], data: JSONBody[Confirmation]
) -> None:
    """Let the caller sign in with a digest of their password, as clients of other APIs do. A new password ends it."""
    await digests.turn_on(caller, data.password)


@delete("/me/digest-login", operation_id="turnDigestLoginOff", opt={"action": Action.SELF, "keyed": False})
async def turn_digest_login_off(caller: NamedDependency[Caller], digests: NamedDependency[DigestLogins]) -> None:
    """No longer let them."""
    await digests.turn_off(caller)


ROUTER = Router(
    "/",
    route_handlers=[
        get_me,
        update_me,
        delete_me,
        upgrade_me,
        change_password,
        renew_recovery_code,
        sign_out,
        list_sessions,
        rename_session,
        revoke_session,
        revoke_other_sessions,
        turn_digest_login_on,
        turn_digest_login_off,
    ],
)
