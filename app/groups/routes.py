"""Groups in the companion API."""

from typing import Annotated, TypeAlias

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from app.caller import Caller
from app.companion.conditions import Cursor, Limit, Page, answer, limit_of, page_of, place_of
from app.devices.model import Icon
from app.groups.model import GroupView
from app.groups.service import Groups
from app.homes.model import Name
from app.policy import Action, Role

Members: TypeAlias = Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=1_000)]


class NewGroup(Struct, forbid_unknown_fields=True):
    """What a group needs to begin. `least`: the least role that controls it as one."""

    name: Name
    icon: Icon = ""
    least: Role = Role.GUEST
    devices: Members = ()


class GroupChange(Struct, forbid_unknown_fields=True):
    """What changes; what is left out stays. `devices` are all of them, in their new order."""

    name: Name | UnsetType = UNSET
    icon: Icon | UnsetType = UNSET
    least: Role | UnsetType = UNSET
    devices: Members | UnsetType = UNSET


@post("/homes/{home_id:str}/groups", operation_id="createGroup", opt={"action": Action.GROUP_MANAGE})
async def create_group(
    caller: NamedDependency[Caller], groups: NamedDependency[Groups], home_id: FromPath[str], data: JSONBody[NewGroup]
) -> Response[GroupView]:
    """Make a group of devices of a home."""
    group = await groups.create(caller, home_id, **msgspec.structs.asdict(data))
    return answer(group, group.version, status=201)


@get("/homes/{home_id:str}/groups", operation_id="listGroups", opt={"action": Action.GROUP_READ})
async def list_groups(
    caller: NamedDependency[Caller],
    groups: NamedDependency[Groups],
    home_id: FromPath[str],
    cursor: Cursor = None,
    limit: Limit = None,
) -> Page[GroupView]:
    """The groups of a home the caller may see."""
    most = limit_of(limit)
    found = groups.list(caller.actor, home_id, place_of(cursor), most + 1)
    return page_of(found, most, lambda group: group.id)


@get("/groups/{group_id:str}", operation_id="getGroup", opt={"action": Action.GROUP_READ})
async def get_group(
    caller: NamedDependency[Caller], groups: NamedDependency[Groups], group_id: FromPath[str]
) -> Response[GroupView]:
    """One group."""
    group = groups.get(caller.actor, group_id)
    return answer(group, group.version)


@patch("/groups/{group_id:str}", operation_id="updateGroup", opt={"action": Action.GROUP_MANAGE})
async def update_group(
    caller: NamedDependency[Caller],
    groups: NamedDependency[Groups],
    group_id: FromPath[str],
    data: JSONBody[GroupChange],
) -> Response[GroupView]:
    """Rename a group, give it other devices or another order, or say who controls it."""
    fields = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
    group = await groups.update(caller, group_id, **fields)
    return answer(group, group.version)


@delete("/groups/{group_id:str}", operation_id="removeGroup", opt={"action": Action.GROUP_MANAGE})
async def remove_group(
    caller: NamedDependency[Caller], groups: NamedDependency[Groups], group_id: FromPath[str]
) -> None:
    """Remove a group; its devices stay."""
    await groups.remove(caller, group_id)


ROUTER = Router("/", route_handlers=[create_group, list_groups, get_group, update_group, remove_group])
