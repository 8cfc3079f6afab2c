"""Hubs and the codes they enrol by, as a cloud has them; and what can be wrong with either."""

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct

from app.accounts.model import MINUTE_MS
from app.clock import Time, to_time
from app.errors import Conflict, Gone, NotFound, Unauthenticated

# 60 random bits, for a quarter of an hour.
CODE_LETTERS: Final = 12
CODE_MS: Final = 15 * MINUTE_MS
NONCE_BYTES: Final = 32

HubName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$")]
HubId = Annotated[str, Meta(min_length=3, max_length=64, pattern=r"^[a-z0-9-]+$")]
NodeId = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-z0-9-]+$")]
Octets32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
# In the database and in what is signed it is 63 bits.
Incarnation = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


class NotACloud(Conflict):
    """Hubs enrol with a cloud, and this is a hub."""

    code = "not_a_cloud"
    hint = "Ask the cloud; or run this node with --role cloud."


class IsACloud(Conflict):
    """A hub joins a cloud, and this is a cloud."""

    code = "is_a_cloud"
    hint = "Ask the hub."


class EnrolmentCodeUnknown(NotFound):
    """No enrolment has this code."""

    code = "enrolment_code_unknown"
    hint = "Compare it with the one the cloud shows, or make a new one there."


class EnrolmentEnded(Gone):
    """This code was used already, or its time is over."""

    code = "enrolment_ended"
    hint = "Make a new code at the cloud."


class EnrolmentNotAsked(Conflict):
    """No hub has taken up this code yet."""

    code = "enrolment_not_asked"
    retryable = True
    hint = "Give it to the hub first: `doorstep cloud join`."


class HubTaken(Conflict):
    """This hub is enrolled here by somebody else."""

    code = "hub_taken"
    hint = "Whoever enrolled it revokes it first."


class HubUnproved(Unauthenticated):
    """No hub that is enrolled here has made this signature."""

    code = "hub_unproved"
    hint = "Enrol the hub with a new code."


class ChallengeOver(Conflict):
    """This challenge is none of this cloud's, was used already, or is too old."""

    code = "hub_challenge_over"
    retryable = True
    hint = "Ask for another."


class Superseded(Conflict):
    """A newer life of this hub, restored from a backup, has taken its place."""

    code = "superseded"
    hint = "Switch this one off; or enrol it anew, with a new code."


class Revoked(Gone):
    """This hub's enrolment was revoked at the cloud."""

    code = "hub_revoked"
    hint = "Enrol it anew, with a new code."


class EnrolmentState(StrEnum):
    """Where a code stands: `asked` once a hub has taken it up; `expired` is what open ones become by themselves."""

    OFFERED = "offered"
    ASKED = "asked"
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    EXPIRED = "expired"


OPEN: Final = frozenset({EnrolmentState.OFFERED, EnrolmentState.ASKED})


class Introduction(Struct, frozen=True, array_like=True):
    """What a hub that took up a code said of itself, with both ends' nonces; `secret_hash`: of what it polls with."""

    hub_id: str
    name: str
    public_key: bytes
    seal_key: bytes
    node: str
    incarnation: int
    nonce: bytes
    cloud_nonce: bytes
    number: str
    secret_hash: bytes


class Enrolment(Struct, frozen=True):
    """A code of somebody's (`account_id`); times in ms."""

    id: str
    code_hash: bytes
    account_id: str
    state: EnrolmentState
    hub: Introduction | None
    created_at: int
    expires_at: int

    def state_at(self, now_ms: int) -> EnrolmentState:
        """Its state, with what time has made of it."""
        return EnrolmentState.EXPIRED if self.state in OPEN and self.expires_at <= now_ms else self.state


class EnrolledHub(Struct, frozen=True):
    """A hub of somebody's (`owner_id`), and its present life (`node`). Keys of 32 octets; times in ms."""

    id: str
    public_key: bytes
    seal_key: bytes
    name: str
    owner_id: str
    node: str
    incarnation: int
    version: int
    enrolled_at: int
    heard_at: int | None
    revoked_at: int | None


class HubChange(Struct, forbid_unknown_fields=True):
    """What changes of an enrolled hub."""

    name: HubName


class EnrolmentMade(Struct, frozen=True):
    """A new code. It (also in `link`, and `qr` as an SVG of that) is shown here and never again."""

    id: str
    code: str
    link: str
    qr: str
    expires_at: Time


class EnrolmentView(Struct, frozen=True):
    """A code as who made it sees it. `number` is what the hub must show as well, before it is confirmed."""

    id: str
    state: EnrolmentState
    hub_id: str | None
    hub_name: str | None
    number: str | None
    created_at: Time
    expires_at: Time


class EnrolledHubView(Struct, frozen=True):
    """A hub as its owner sees it. `heard_at` null: never since it was enrolled; `revoked_at` null: it is not."""

    id: str
    name: str
    homes: list[str]
    version: int
    enrolled_at: Time
    heard_at: Time | None
    revoked_at: Time | None


class HomeHubView(Struct, frozen=True):
    """A hub as the people of a home it serves see it; `since` when it began to."""

    id: str
    name: str
    since: Time
    heard_at: Time | None


def enrolment_view(enrolment: Enrolment, now_ms: int) -> EnrolmentView:
    """`enrolment` for who made it."""
    hub = enrolment.hub
    return EnrolmentView(
        enrolment.id,
        enrolment.state_at(now_ms),
        None if hub is None else hub.hub_id,
        None if hub is None else hub.name,
        None if hub is None else hub.number,
        to_time(enrolment.created_at),
        to_time(enrolment.expires_at),
    )


def maybe_time(ms: int | None) -> Time | None:
    """A time that may not be."""
    return None if ms is None else to_time(ms)
