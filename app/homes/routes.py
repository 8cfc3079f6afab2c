"""Homes in the companion API."""

from typing import Annotated, Literal

import msgspec
from litestar import Response, Router, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Struct, UnsetType

from app.caller import Caller
from app.companion.conditions import Cursor, Limit, Page, answer, limit_of, page_of, place_of
from app.homes.members import Members
from app.homes.model import AlertAfter, HomeView, Id, Latitude, Longitude, MemberView, Name
from app.homes.service import Homes
from app.policy import Action


class NewHome(Struct, forbid_unknown_fields=True):
    """What a home needs to begin."""

    name: Name
    time_zone: str


class HomeChange(Struct, forbid_unknown_fields=True):
    """What changes; what is left out stays."""

    name: Name | UnsetType = UNSET
    time_zone: str | UnsetType = UNSET
    latitude: Latitude | UnsetType | None = UNSET
    longitude: Longitude | UnsetType | None = UNSET
    address: Annotated[str, msgspec.Meta(max_length=200)] | UnsetType = UNSET
    offline_alert_after: AlertAfter | UnsetType | None = UNSET


class Dissolution(Struct, forbid_unknown_fields=True):
    """That it is meant: the home's name, and what goes with it; what is left out and still there keeps the home."""

    name: Name
    devices: Literal["remove"] | None = None
    members: Literal["remove"] | None = None


class Heir(Struct, forbid_unknown_fields=True):
    """The member who becomes the owner."""

    account_id: Id


@post("/homes", operation_id="createHome", opt={"action": Action.HOME_CREATE})
async def create_home(
    caller: NamedDependency[Caller], homes: NamedDependency[Homes], data: JSONBody[NewHome]
) -> Response[HomeView]:
    """Create a home; the caller becomes its owner."""
    home = await homes.create(caller, name=data.name, time_zone=data.time_zone)
    return answer(home, home.version, status=201)


@get("/homes", operation_id="listHomes", opt={"action": Action.HOME_READ})
async def list_homes(
    caller: NamedDependency[Caller],
    homes: NamedDependency[Homes],
    cursor: Cursor = None,
    limit: Limit = None,
) -> Page[HomeView]:
    """The caller's homes."""
    most = limit_of(limit)
    found = homes.list(caller.actor, place_of(cursor), most + 1)
    return page_of(found, most, lambda item: item.id)


@get("/homes/{home_id:str}", operation_id="getHome", opt={"action": Action.HOME_READ})
async def get_home(
    caller: NamedDependency[Caller], homes: NamedDependency[Homes], home_id: FromPath[str]
) -> Response[HomeView]:
    """One home."""
    home = homes.get(caller.actor, home_id)
    return answer(home, home.version)


@patch("/homes/{home_id:str}", operation_id="updateHome", opt={"action": Action.HOME_UPDATE})
async def update_home(
    caller: NamedDependency[Caller], homes: NamedDependency[Homes], home_id: FromPath[str], data: JSONBody[HomeChange]
) -> Response[HomeView]:
    """Rename a home, or say where it is."""
    fields = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
    home = await homes.update(caller, home_id, **fields)
    return answer(home, home.version)


@post(
    "/homes/{home_id:str}/dissolve", operation_id="dissolveHome", status_code=204, opt={"action": Action.HOME_DISSOLVE}
)
async def dissolve_home(
    caller: NamedDependency[Caller], homes: NamedDependency[Homes], home_id: FromPath[str], data: JSONBody[Dissolution]
) -> None:
    """End a home for everybody in it. What is still there is counted in the refusal's facts."""
    along = frozenset(kind for kind in ("devices", "members") if getattr(data, kind) == "remove")
    await homes.dissolve(caller, home_id, name=data.name, along=along)


@post(
    "/homes/{home_id:str}/hand-over",
    operation_id="handOverHome",
    status_code=200,
    opt={"action": Action.HOME_HAND_OVER},
)
async def hand_over_home(
    caller: NamedDependency[Caller], members: NamedDependency[Members], home_id: FromPath[str], data: JSONBody[Heir]
) -> Response[HomeView]:
    """Make another full member the owner; the caller stays as an admin."""
    home = await members.hand_over(caller, home_id, data.account_id)
    return answer(home, home.version)


@post("/homes/{home_id:str}/leave", operation_id="leaveHome", status_code=204, opt={"action": Action.HOME_LEAVE})
async def leave_home(
    caller: NamedDependency[Caller], members: NamedDependency[Members], home_id: FromPath[str]
) -> None:
    """Leave a home. Its owner hands it over or dissolves it instead."""
    await members.leave(caller, home_id)


@get("/homes/{home_id:str}/membership", operation_id="getOwnMembership", opt={"action": Action.HOME_READ})
async def get_own_membership(
    caller: NamedDependency[Caller], members: NamedDependency[Members], home_id: FromPath[str]
) -> Response[MemberView]:
    """What the caller is in this home, and within which limits."""
    member = await members.own(caller.actor, home_id)
    return answer(member, member.version)


ROUTER = Router(
    "/",
    route_handlers=[
        create_home,
        list_homes,
        get_home,
        update_home,
        dissolve_home,
        hand_over_home,
        leave_home,
        get_own_membership,
    ],
)
