"""Spaces: a home is one, and each of its rooms is one below it."""

from typing import Any, Final

from msgspec import Struct

from app.dialects.tuya import codes
from app.dialects.tuya.codes import TuyaError
from app.dialects.tuya.operations import Ask, Operation
from app.dialects.tuya.routes.lists import ALL_HOMES
from app.homes.model import HomeView, Name, Room
from app.policy import Action


class NewSpace(Struct):
    """A home, or with a parent that is one, a room."""

    name: Name
    parent_id: str | int = ""


class Named(Struct):
    """What a space is called."""

    name: Name


def spaces(ask: Ask) -> dict[str, HomeView | Room]:
    """Every space that the key may see, by id."""
    found: dict[str, HomeView | Room] = {}
    for home in ask.tuya.homes.list(ask.by.actor, "", ALL_HOMES):
        found[home.id] = home
        found.update((room.id, room) for room in ask.tuya.rooms.list(ask.by.actor, home.id))
    return found


def space(ask: Ask, space_id: str) -> HomeView | Room:
    """One of them; raises TuyaError."""
    found = spaces(ask).get(space_id)
    if found is None:
        raise TuyaError(codes.DENIED)
    return found


def place(ask: Ask, space_id: str) -> tuple[str, str | None]:
    """The home that a space is, or is in, and the room that it is; raises TuyaError."""
    found = space(ask, space_id)
    return (found.home_id, found.id) if isinstance(found, Room) else (found.id, None)


def shown(found: HomeView | Room) -> dict[str, Any]:
    """A space as it is told."""
    parent = found.home_id if isinstance(found, Room) else ""
    return {"id": found.id, "name": found.name, "parent_id": parent, "root_id": parent or found.id, "status": 1}


async def create(ask: Ask) -> str:
    """A home, or a room of one."""
    new = ask.body(NewSpace)
    if not (parent := str(new.parent_id)):
        return (await ask.tuya.homes.create(ask.by, name=new.name, time_zone="UTC")).id
    if isinstance(space(ask, parent), Room):
        raise TuyaError(codes.NOT_SUPPORTED)  # a room has no rooms
    return (await ask.tuya.rooms.create(ask.by, parent, name=new.name, icon="")).id


async def details(ask: Ask) -> dict[str, Any]:
    """One space."""
    return shown(space(ask, ask.path["space_id"]))


async def modify(ask: Ask) -> bool:
    """Call it something else."""
    found, name = space(ask, ask.path["space_id"]), ask.body(Named).name
    if isinstance(found, Room):
        await ask.tuya.rooms.update(ask.by, found.home_id, found.id, name=name)
    else:
        await ask.tuya.homes.update(ask.by, found.id, name=name)
    return True


async def remove(ask: Ask) -> bool:
    """Remove a room; or dissolve a home that has nothing and nobody else in it."""
    found = space(ask, ask.path["space_id"])
    if isinstance(found, Room):
        await ask.tuya.rooms.remove(ask.by, found.home_id, found.id)
    else:
        await ask.tuya.homes.dissolve(ask.by, found.id, name=found.name, along=frozenset())
    return True


async def children(ask: Ask) -> list[str]:
    """The spaces below one, or without one the homes."""
    parent = ask.query.get("space_id", "")
    if parent:
        space(ask, parent)
    return [one for one, found in spaces(ask).items() if (found.home_id if isinstance(found, Room) else "") == parent]


async def resources(ask: Ask) -> list[dict[str, Any]]:
    """The devices in a space."""
    home_id, room_id = place(ask, ask.path["space_id"])
    listed = ask.tuya.devices.views.page(ask.by.actor, home_id, room_id=room_id, limit=10_000)
    return [{"res_id": live.device.id, "res_type": 0, "space_id": live.device.room_id or home_id} for live in listed]


async def relation(ask: Ask) -> list[dict[str, str]]:
    """Which space is below which."""
    return [{"id": one["id"], "parent_id": one["parent_id"]} for one in map(shown, spaces(ask).values())]


_ONE: Final = "/v2.0/cloud/space/{space_id}"
OPERATIONS: Final = (
    Operation("POST", "/v2.0/cloud/space/creation", Action.HOME_CREATE, create),
    Operation("GET", _ONE, Action.HOME_READ, details),
    Operation("PUT", _ONE, Action.HOME_UPDATE, modify),
    Operation("DELETE", _ONE, Action.HOME_DISSOLVE, remove),
    Operation("GET", "/v2.0/cloud/space/child", Action.HOME_READ, children),
    Operation("GET", f"{_ONE}/resource", Action.DEVICE_READ, resources),
    Operation("GET", "/v2.0/cloud/space/relation", Action.HOME_READ, relation),
)
