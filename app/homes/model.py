"""A home and who and what is in it, as structs; and what can be wrong with them."""

from typing import Annotated, Literal
from zoneinfo import available_timezones

from msgspec import Meta, Struct

from app.clock import Moment, Time, to_time
from app.errors import Conflict, Invalid, Refused
from app.hours import Window
from app.policy import Role

# In Python `$` also matches before a last newline, which no name ends in.
Name = Annotated[str, Meta(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$(?!\n)")]
# Text that may be empty: a remark, the name of an icon.
Label = Annotated[str, Meta(max_length=80, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]
Id = Annotated[str, Meta(min_length=1, max_length=64)]
Latitude = Annotated[float, Meta(ge=-90, le=90)]
Longitude = Annotated[float, Meta(ge=-180, le=180)]
# Seconds after which somebody is told that a device is gone, at most 30 days; 0: nobody is.
AlertAfter = Annotated[int, Meta(ge=0, le=2_592_000)]
# Three windows for each day of the week.
Hours = Annotated[tuple[Window, ...], Meta(max_length=21)]
Things = Annotated[frozenset[Id], Meta(max_length=200)]
# What somebody can be made; a home's owner is only ever made by handing it over.
GivenRole = Literal["admin", "member", "guest"]
_ZONES = frozenset(available_timezones())

MAX_HOMES_PER_ACCOUNT = 50


class TooManyHomes(Conflict):
    """This account is in as many homes as an account can be."""

    code = "too_many_homes"
    hint = f"An account is in at most {MAX_HOMES_PER_ACCOUNT} homes: leave or dissolve one first."


class AlreadyMember(Conflict):
    """They are a member of this home already."""

    code = "already_member"
    hint = "Change their role instead."


class HomeNotEmpty(Conflict):
    """Devices or other members are still in this home; the facts say how many."""

    code = "home_not_empty"
    hint = "Remove them first, or state that they go with it: devices and members as 'remove'."


class NameDiffers(Conflict):
    """The name stated is not this home's name, so it stays."""

    code = "name_differs"
    hint = "State the home's name exactly as it is."


class OwnerStays(Refused):
    """A home's owner cannot leave it."""

    code = "owner_stays"
    hint = "Hand the home over to another member, or dissolve it."


class NotFullMember(Conflict):
    """Only a full member with an account of their own can be this."""

    code = "not_full_member"
    hint = "Guests are made members first; who came without a login signs up first."


class Home(Struct, frozen=True, gc=False):
    """A home. `time_zone` is an IANA name; `latitude` and `longitude` in degrees, WGS 84."""

    id: str
    name: str
    time_zone: str
    latitude: float | None
    longitude: float | None
    address: str
    epoch: int
    version: int
    created_at: int
    # Seconds; 0: nobody is told; None: as the program has it.
    offline_alert_after: int | None = None


class HomeView(Struct, frozen=True, gc=False):
    """A home as one of its members sees it, with their own role.

    `offline_alert_after` is after how many seconds somebody is told that a device is gone (0: nobody is; null: 1800).
    """

    id: str
    name: str
    time_zone: str
    latitude: float | None
    longitude: float | None
    address: str
    role: Role
    version: int
    created_at: Time
    offline_alert_after: int | None


def home_view(home: Home, role: Role) -> HomeView:
    """`home` as somebody who is `role` in it sees it."""
    return HomeView(
        home.id,
        home.name,
        home.time_zone,
        home.latitude,
        home.longitude,
        home.address,
        role,
        home.version,
        to_time(home.created_at),
        home.offline_alert_after,
    )


def check_time_zone(name: str) -> str:
    """`name` itself; raises Invalid when it is no IANA time zone."""
    if name not in _ZONES:
        raise Invalid("time_zone: not an IANA time zone name (such as Europe/Berlin)")
    return name


class Room(Struct, frozen=True, gc=False):
    """A room; `position` orders the rooms of a home. It is what members see, too."""

    id: str
    home_id: str
    name: str
    icon: str
    position: int
    version: int


class Member(Struct, frozen=True, gc=False):
    """An account in a home. For guests `until` (ms), `hours` and `only` (device and group ids; None: all) limit it."""

    home_id: str
    account_id: str
    role: Role
    remark: str
    until: int | None
    hours: tuple[Window, ...]
    only: frozenset[str] | None
    version: int
    joined_at: int


class Person(Struct, frozen=True, gc=False):
    """An account as its fellow members know it; `anonymous`: without a login of its own."""

    account_id: str
    name: str
    anonymous: bool


class MemberView(Struct, frozen=True, gc=False):
    """A member as the others see them; `only` null: every device."""

    account_id: str
    name: str
    anonymous: bool
    role: Role
    remark: str
    until: Time | None
    hours: tuple[Window, ...]
    only: tuple[str, ...] | None
    version: int
    joined_at: Time


def member_view(member: Member, person: Person) -> MemberView:
    """`member` by the name `person` has."""
    return MemberView(
        person.account_id,
        person.name,
        person.anonymous,
        member.role,
        member.remark,
        None if member.until is None else to_time(member.until),
        member.hours,
        None if member.only is None else tuple(sorted(member.only)),
        member.version,
        to_time(member.joined_at),
    )


class Limits(Struct, frozen=True, gc=False):
    """What limits a guest: until a time (ms), within hours of the week, only some devices and groups (None: all)."""

    until: int | None = None
    hours: tuple[Window, ...] = ()
    only: frozenset[str] | None = None


UNLIMITED = Limits()


def check_limits(role: Role, limits: Limits, now: Moment) -> Limits:
    """`limits` themselves; raises Invalid when nobody could be `role` under them."""
    if role is not Role.GUEST and limits != UNLIMITED:
        raise Invalid("until, hours, only: these limit guests alone")
    if limits.until is not None and now.trusted and limits.until <= now.ms:
        raise Invalid("until: already past")
    return limits
