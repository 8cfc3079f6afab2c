"""A share, as its givers and its receiver see it; and what can be wrong with it."""

from enum import StrEnum
from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from app.accounts.model import Login
from app.clock import Moment, Time, to_time
from app.errors import Conflict, Gone, NotFound
from app.homes.model import Hours, Label
from app.hours import Window
from app.policy import Level

DAY_S: Final = 24 * 3600
OFFER_S: Final = 3 * DAY_S
MOST_OFFER_S: Final = 30 * DAY_S
# As for invitations: 60 random bits against 30 tries in a quarter of an hour.
CODE_LETTERS: Final = 12
# Somebody who looks after the devices of many households.
MAX_RECEIVED: Final = 1_000

Kind = Literal["device", "group"]


class ShareUnknown(NotFound):
    """No share has this code."""

    code = "share_unknown"
    hint = "Compare the code with the one you were given, or ask for a new one."


class ShareEnded(Gone):
    """This share was refused, has ended, or was not taken up in time."""

    code = "share_ended"
    hint = "Ask for a new one."


class AlreadyShared(Conflict):
    """It is shared with them already, or offered."""

    code = "already_shared"
    hint = "Change that share, or end it first."


class ShareState(StrEnum):
    """Where a share stands; `expired` is what an offer, or a share with an end, becomes by itself."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    ENDED = "ended"
    EXPIRED = "expired"


class Share(Struct, frozen=True, gc=False):
    """A device or group lent to somebody outside its home; times in ms.

    Offered to whoever has the code (`code_hash`), or to one account (`login`; `receiver_id` when somebody has it).
    `expires_at` is the end of the offer, `until` the end of the share.
    """

    id: str
    home_id: str
    kind: Kind
    thing_id: str
    giver_id: str
    receiver_id: str | None
    login: str | None
    code_hash: bytes | None
    level: Level
    until: int | None
    hours: tuple[Window, ...]
    state: ShareState
    remark: str
    version: int
    created_at: int
    expires_at: int
    accepted_at: int | None
    ended_at: int | None

    def state_at(self, now: Moment) -> ShareState:
        """Its state, with what time has made of it."""
        past_offer = self.state is ShareState.PENDING and self.expires_at <= now.ms
        past_end = self.until is not None and self.until <= now.ms
        live = self.state in (ShareState.PENDING, ShareState.ACCEPTED)
        return ShareState.EXPIRED if past_offer or (live and past_end) else self.state


class NewShare(Struct, frozen=True, forbid_unknown_fields=True):
    """What to let somebody do with it. With `login` it is offered to that account, without it there is a code.

    `until` and `hours` (of the week, in the home's time zone) limit it; `expires_in`, in seconds, limits the offer;
    `remark` is for the givers.
    """

    level: Level = Level.CONTROL
    login: Login | None = None
    until: Time | None = None
    hours: Hours = ()
    remark: Label = ""
    expires_in: Annotated[int, Meta(ge=60, le=MOST_OFFER_S)] = OFFER_S


class ShareChange(Struct, frozen=True, forbid_unknown_fields=True):
    """What changes of a share; what is left out stays."""

    level: Level | UnsetType = UNSET
    until: Time | UnsetType | None = UNSET
    hours: Hours | UnsetType = UNSET
    remark: Label | UnsetType = UNSET


class ShareView(Struct, frozen=True):
    """A share as its givers see it. Who has it (`receiver_id`, `receiver_name`) is told once they have accepted."""

    id: str
    home_id: str
    kind: Kind
    thing_id: str
    thing_name: str
    level: Level
    login: str | None
    receiver_id: str | None
    receiver_name: str | None
    giver_id: str
    until: Time | None
    hours: tuple[Window, ...]
    remark: str
    state: ShareState
    version: int
    created_at: Time
    expires_at: Time


class ShareMade(Struct, frozen=True):
    """A new share. `code` (also in `link`, and `qr` as an SVG of it) is shown here and never again."""

    share: ShareView
    code: str | None = None
    link: str | None = None
    qr: str | None = None


class ReceivedView(Struct, frozen=True):
    """A share as its receiver sees it; `given_by` is a name, `hours` are meant in `time_zone`."""

    id: str
    kind: Kind
    thing_id: str
    thing_name: str
    given_by: str
    level: Level
    until: Time | None
    hours: tuple[Window, ...]
    time_zone: str
    state: ShareState
    version: int
    created_at: Time
    expires_at: Time


def share_view(share: Share, thing_name: str, receiver_name: str, now: Moment) -> ShareView:
    """`share` for its givers."""
    known = share.state is not ShareState.PENDING and share.accepted_at is not None
    return ShareView(
        share.id,
        share.home_id,
        share.kind,
        share.thing_id,
        thing_name,
        share.level,
        share.login,
        share.receiver_id if known else None,
        receiver_name if known else None,
        share.giver_id,
        None if share.until is None else to_time(share.until),
        share.hours,
        share.remark,
        share.state_at(now),
        share.version,
        to_time(share.created_at),
        to_time(share.expires_at),
    )


def received_view(share: Share, thing_name: str, giver_name: str, time_zone: str, now: Moment) -> ReceivedView:
    """`share` for its receiver."""
    return ReceivedView(
        share.id,
        share.kind,
        share.thing_id,
        thing_name,
        giver_name,
        share.level,
        None if share.until is None else to_time(share.until),
        share.hours,
        time_zone,
        share.state_at(now),
        share.version,
        to_time(share.created_at),
        to_time(share.expires_at),
    )
