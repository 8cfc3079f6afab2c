"""Accounts, sessions and keys as structs; and what can be wrong with them."""

import unicodedata
from typing import Annotated, Final

from msgspec import Meta, Struct

from app.clock import Time
from app.errors import Conflict, Refused, TooMany, Unauthenticated
from app.policy import Scope

MINUTE_MS: Final = 60_000
DAY_MS: Final = 24 * 60 * MINUTE_MS
# A lost access token is worth a quarter of an hour; a phone in a drawer for two months signs in again.
ACCESS_MS: Final = 15 * MINUTE_MS
REFRESH_MS: Final = 60 * DAY_MS
# A guest who never made an account of it is forgotten after a month.
ANONYMOUS_MS: Final = 30 * DAY_MS
# Visitors of one household at a time; each is made by an invitation, this bounds what a leaked one can do.
MAX_ANONYMOUS: Final = 100

PersonName = Annotated[str, Meta(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$")]
Login = Annotated[str, Meta(min_length=2, max_length=100, pattern=r"^[^\s\x00-\x1f\x7f]+$")]
# NIST SP 800-63B-4, 3.1.1.2: length is what counts; no rules of composition.
Password = Annotated[str, Meta(min_length=8, max_length=256)]
TypedPassword = Annotated[str, Meta(min_length=1, max_length=256)]
TypedCode = Annotated[str, Meta(min_length=1, max_length=100)]
Token = Annotated[str, Meta(min_length=1, max_length=200)]


class SignInFailed(Unauthenticated):
    """The login or the password is wrong."""

    code = "sign_in_failed"
    hint = "Check both; the recovery code sets a new password."


class TooManyAttempts(TooMany):
    """Too many wrong attempts."""

    code = "too_many_attempts"
    hint = "Wait until the time given has passed."


class RefreshFailed(Unauthenticated):
    """This refresh token opens nothing any more."""

    code = "refresh_failed"


class RefreshReused(RefreshFailed):
    """This refresh token was traded in before, so somebody else may hold a copy: the session has ended."""

    code = "refresh_reused"
    hint = "Sign in again, and look through your sessions for one you do not know."


class LoginTaken(Conflict):
    """Somebody has this login already."""

    code = "login_taken"
    hint = "Choose another."


class PasswordWrong(Refused):
    """The current password is wrong."""

    code = "password_wrong"
    hint = "The recovery code sets a new password."


class RecoveryFailed(Refused):
    """The login or the recovery code is wrong."""

    code = "recovery_failed"
    hint = "On the hub itself, `doorstep account recover` sets a new password without the code."


class PersonOnly(Refused):
    """A key cannot do this, only a person who is signed in."""

    code = "person_only"
    hint = "Sign in with the login and password."


class NotAnonymous(Conflict):
    """This account has a login already."""

    code = "not_anonymous"


class StillNeeded(Conflict):
    """The account cannot be deleted while things depend on it; `facts['reasons']` say which."""

    code = "account_still_needed"
    hint = "Hand over or dissolve the homes it owns first; the owner of the hub stays as long as the hub does."


class HubClaimed(Conflict):
    """This hub has an owner."""

    code = "hub_claimed"
    hint = "Ask its owner for an invitation."


class ClaimCodeWrong(Refused):
    """This is not the code the hub shows."""

    code = "claim_code_wrong"
    hint = "The hub prints its code when it starts; after twenty wrong ones it prints a new one."


class Account(Struct, frozen=True, gc=False):
    """Somebody who can sign in. `login` None: anonymous, until `expires_at`. `verifier` is argon2id.

    `elsewhere`: known from another node, by a key; nobody signs in here until they have proved it.
    """

    id: str
    login: str | None
    name: str
    verifier: str | None
    public_key: bytes
    recovery_hash: bytes | None
    hub_owner: bool
    version: int
    created_at: int
    expires_at: int | None
    elsewhere: bool = False

    @property
    def anonymous(self) -> bool:
        """Whether nobody can sign in to it again once its session ended."""
        return self.login is None and (not self.elsewhere or self.expires_at is not None)

    def over(self, now: int) -> bool:
        """Whether it has ended at `now` (ms)."""
        return self.expires_at is not None and self.expires_at <= now


class Session(Struct, frozen=True, gc=False):
    """One phone, browser or screen of an account. `used_at` is the last sign-in or refresh."""

    id: str
    account_id: str
    name: str
    access_hash: bytes
    access_until: int
    refresh_hash: bytes
    refresh_until: int
    address: str
    created_at: int
    used_at: int


class Key(Struct, frozen=True, gc=False):
    """A program's credential, acting for an account within `scopes`; `home_id` None: in all its homes."""

    id: str
    account_id: str
    home_id: str | None
    name: str
    dialect: str
    scopes: frozenset[Scope]
    secret_hash: bytes
    created_at: int
    expires_at: int | None


class AccountView(Struct, frozen=True):
    """An account as its owner sees it. `public_key` is Ed25519, hexadecimal."""

    id: str
    login: str | None
    name: str
    anonymous: bool
    hub_owner: bool
    public_key: str
    version: int
    created_at: Time
    expires_at: Time | None


class SessionView(Struct, frozen=True):
    """A session as its owner sees it."""

    id: str
    name: str
    address: str
    current: bool
    created_at: Time
    used_at: Time
    expires_at: Time


class SignedIn(Struct, frozen=True):
    """A session's tokens, shown here and never again. `expires_in` is the access token's life in seconds."""

    account_id: str
    session_id: str
    access_token: str
    refresh_token: str
    expires_in: int


class Recoverable(Struct, frozen=True):
    """A session, and the recovery code to write down: it is shown this once."""

    session: SignedIn
    recovery_code: str


def normal_login(login: str) -> str:
    """A login as it is kept and compared: compatibility forms and letter case make no difference."""
    return unicodedata.normalize("NFKC", login).casefold()


def normal_password(password: str) -> bytes:
    """A password as it is hashed: the same however a keyboard composes its characters."""
    return unicodedata.normalize("NFKC", password).encode()
