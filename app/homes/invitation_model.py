"""An invitation to a home, as its givers and its receiver see it; and what can be wrong with it."""

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct

from app.accounts.model import Login, SignedIn
from app.clock import Moment, Time, to_time
from app.errors import Conflict, Gone, NotFound
from app.homes.model import GivenRole, Home, HomeView, Hours, Person, Things
from app.hours import Window
from app.policy import Role

DAY_S: Final = 24 * 3600
# Long enough for a weekend; a code left on a table for a month is worth nothing.
EXPIRES_IN_S: Final = 3 * DAY_S
MOST_S: Final = 30 * DAY_S
# 60 random bits: at 30 tries in a quarter of an hour from one address, 10^12 years.
CODE_LETTERS: Final = 12


class InvitationUnknown(NotFound):
    """No invitation has this code."""

    code = "invitation_unknown"
    hint = "Compare the code with the one you were given, or ask for a new one."


class InvitationEnded(Gone):
    """This invitation was taken up, refused or revoked, or has expired."""

    code = "invitation_ended"
    hint = "Ask for a new one."


class LoginNeeded(Conflict):
    """This invitation is for people with a login of their own."""

    code = "login_needed"
    hint = "Sign up with it, or sign in and accept it."


class InvitationState(StrEnum):
    """Where an invitation stands; `expired` is what pending becomes by itself."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    REVOKED = "revoked"
    EXPIRED = "expired"


class Invitation(Struct, frozen=True, gc=False):
    """An invitation to be `role` in a home; times in ms.

    It goes to whoever has the code (`code_hash`), or to one account (`login` as it was written, `account_id` when
    somebody has that login). `anonymous`: it may be taken up without a login.
    """

    id: str
    home_id: str
    code_hash: bytes | None
    account_id: str | None
    login: str | None
    role: Role
    until: int | None
    hours: tuple[Window, ...]
    only: frozenset[str] | None
    anonymous: bool
    state: InvitationState
    created_by: str
    taken_by: str | None
    version: int
    created_at: int
    expires_at: int

    def state_at(self, now: Moment) -> InvitationState:
        """Its state, with what time has made of it."""
        over = self.expires_at <= now.ms or (self.until is not None and self.until <= now.ms)
        return InvitationState.EXPIRED if over and self.state is InvitationState.PENDING else self.state


class NewInvitation(Struct, frozen=True, forbid_unknown_fields=True):
    """Who is invited as what. With `login` it goes to that account, without it there is a code for whoever has it.

    `expires_in` is in seconds. `until`, `hours` and `only` limit a guest; `anonymous` lets it be taken up without a
    login, by members and guests.
    """

    role: GivenRole = "member"
    login: Login | None = None
    until: Time | None = None
    hours: Hours = ()
    only: Things | None = None
    anonymous: bool = False
    expires_in: Annotated[int, Meta(ge=60, le=MOST_S)] = EXPIRES_IN_S


class InvitationView(Struct, frozen=True):
    """An invitation as the home's admins see it. `login` null: by code."""

    id: str
    home_id: str
    login: str | None
    role: Role
    until: Time | None
    hours: tuple[Window, ...]
    only: tuple[str, ...] | None
    anonymous: bool
    state: InvitationState
    created_by: str
    taken_by: str | None
    version: int
    created_at: Time
    expires_at: Time


class InvitationMade(Struct, frozen=True):
    """A new invitation. `code` (also in `link`, and `qr` as an SVG of it) is shown here and never again."""

    invitation: InvitationView
    code: str | None = None
    link: str | None = None
    qr: str | None = None


class OfferView(Struct, frozen=True):
    """An invitation as the one invited sees it; `invited_by` is a name."""

    id: str
    home_name: str
    invited_by: str
    role: Role
    until: Time | None
    hours: tuple[Window, ...]
    anonymous: bool
    expires_at: Time


class SignedUp(Struct, frozen=True):
    """A session of the account just made, and its home; the recovery code (null: no login) is shown this once."""

    session: SignedIn
    recovery_code: str | None
    home: HomeView


def invitation_view(invitation: Invitation, now: Moment) -> InvitationView:
    """`invitation` for the home's admins."""
    return InvitationView(
        invitation.id,
        invitation.home_id,
        invitation.login,
        invitation.role,
        None if invitation.until is None else to_time(invitation.until),
        invitation.hours,
        None if invitation.only is None else tuple(sorted(invitation.only)),
        invitation.anonymous,
        invitation.state_at(now),
        invitation.created_by,
        invitation.taken_by,
        invitation.version,
        to_time(invitation.created_at),
        to_time(invitation.expires_at),
    )


def offer_view(invitation: Invitation, home: Home, inviter: Person | None) -> OfferView:
    """`invitation` for the one invited."""
    return OfferView(
        invitation.id,
        home.name,
        "" if inviter is None else inviter.name,
        invitation.role,
        None if invitation.until is None else to_time(invitation.until),
        invitation.hours,
        invitation.anonymous,
        to_time(invitation.expires_at),
    )
