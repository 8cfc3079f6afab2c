"""What homes, rooms, members and invitations are to other nodes: their fields (app/sync/PROTOCOL.md, 2). Pure."""

import math
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from app.clock import Ms
from app.homes.invitation_model import Invitation, InvitationState
from app.homes.model import AlertAfter, Home, Hours, Id, Label, Latitude, Longitude, Member, Name, Room
from app.policy import Role
from app.sync import kinds

# An Ed25519 public key: how people are named.
PersonKey = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
# Of a code that lets whoever has it in.
CodeHash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
Ids = Annotated[tuple[Id, ...], Meta(max_length=200)]
MAX_POSITION: Final = 2**31


def fitting(as_what: type[kinds.F], fields: kinds.Fields) -> kinds.F | None:
    """`app.sync.kinds.fitting`; a number that is none is as good as not there, too."""
    return kinds.fitting(as_what, {name: value for name, value in fields.items() if not _is_no_number(value)})


def plain(facts: Struct) -> dict[str, Any]:
    """JSON values, without what is as it is by default."""
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(facts))
    return found


def is_key(text: str) -> bool:
    """Whether that is how a person is named."""
    return _is(text, PersonKey)


def is_id(text: str) -> bool:
    """Whether that can be the id of anything."""
    return _is(text, Id)


def _is(text: str, what: object) -> bool:
    try:
        msgspec.convert(text, what)
    except msgspec.ValidationError:
        return False
    return True


def _is_no_number(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


class HomeFields(Struct, frozen=True, omit_defaults=True):
    """Of a home."""

    name: Name
    time_zone: Annotated[str, Meta(min_length=1, max_length=64)]
    latitude: Latitude | None = None
    longitude: Longitude | None = None
    address: Annotated[str, Meta(max_length=200)] = ""
    offline_alert_after: AlertAfter | None = None


def home_fields(home: Home) -> HomeFields:
    """`home` as others are told."""
    return HomeFields(home.name, home.time_zone, home.latitude, home.longitude, home.address, home.offline_alert_after)


class RoomFields(Struct, frozen=True, omit_defaults=True):
    """Of a room."""

    name: Name
    icon: Label = ""
    position: Annotated[int, Meta(ge=0, le=MAX_POSITION)] = 0


def room_fields(room: Room) -> RoomFields:
    """`room` as others are told."""
    return RoomFields(room.name, room.icon, room.position)


class MemberFields(Struct, frozen=True, omit_defaults=True):
    """Of a member. `only` null: every device; `anonymous`: without a login."""

    role: Role
    joined_at: Ms
    name: Label = ""
    remark: Label = ""
    until: Ms | None = None
    hours: Hours = ()
    only: Ids | None = None
    anonymous: bool = False


def member_fields(member: Member, name: str, *, anonymous: bool) -> MemberFields:
    """`member`, called `name`, as others are told."""
    return MemberFields(
        member.role,
        member.joined_at,
        name,
        member.remark,
        member.until,
        member.hours,
        None if member.only is None else tuple(sorted(member.only)),
        anonymous,
    )


class InvitationFields(Struct, frozen=True, omit_defaults=True):
    """Of an invitation. `created_by` and `taken_by` are keys; without a `code_hash` it was to a login."""

    role: Role
    state: InvitationState
    created_at: Ms
    expires_at: Ms
    until: Ms | None = None
    hours: Hours = ()
    only: Ids | None = None
    anonymous: bool = False
    created_by: PersonKey | None = None
    taken_by: PersonKey | None = None
    code_hash: CodeHash | None = None

    def __post_init__(self) -> None:
        if self.role is Role.OWNER or self.state is InvitationState.EXPIRED:
            raise ValueError("nobody is invited to own a home, and expiry is not stored")


def invitation_fields(invitation: Invitation, created_by: str | None, taken_by: str | None) -> dict[str, Any] | None:
    """`invitation` as others are told; None: it is to a login of this node, and nobody else's matter until accepted."""
    if invitation.code_hash is None and invitation.state is not InvitationState.ACCEPTED:
        return None
    return plain(
        InvitationFields(
            invitation.role,
            invitation.state,
            invitation.created_at,
            invitation.expires_at,
            invitation.until,
            invitation.hours,
            None if invitation.only is None else tuple(sorted(invitation.only)),
            invitation.anonymous,
            created_by,
            taken_by,
            None if invitation.code_hash is None else invitation.code_hash.hex(),
        )
    )
