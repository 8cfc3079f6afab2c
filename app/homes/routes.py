"""Homes in the companion API."""

from typing import Annotated

import msgspec
from litestar import Response, Router, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Struct, UnsetType

from app.caller import Caller
from app.companion.conditions import Cursor, Limit, Page, answer, decode_cursor, encode_cursor, limit_of
from app.homes.model import HomeView, Latitude, Longitude, Name
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
    after = decode_cursor(cursor, tuple[str])
    found = homes.list(caller.actor, after[0] if after else None, most + 1)
    return Page(found[:most], encode_cursor(found[most - 1].id) if len(found) > most else None)


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


ROUTER = Router("/", route_handlers=[create_home, list_homes, get_home, update_home])
