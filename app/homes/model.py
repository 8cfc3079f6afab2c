"""A home and what is in it, as structs; and what can be wrong with them."""

from typing import Annotated
from zoneinfo import available_timezones

from msgspec import Meta, Struct

from app.clock import Time
from app.errors import Invalid
from app.policy import Role, Window

Name = Annotated[str, Meta(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$")]
Latitude = Annotated[float, Meta(ge=-90, le=90)]
Longitude = Annotated[float, Meta(ge=-180, le=180)]
_ZONES = frozenset(available_timezones())


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


class HomeView(Struct, frozen=True, gc=False):
    """A home as one of its members sees it, with their own role."""

    id: str
    name: str
    time_zone: str
    latitude: float | None
    longitude: float | None
    address: str
    role: Role
    version: int
    created_at: Time


def check_time_zone(name: str) -> str:
    """`name` itself; raises Invalid when it is no IANA time zone."""
    if name not in _ZONES:
        raise Invalid("time_zone: not an IANA time zone name (such as Europe/Berlin)")
    return name


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
