"""Rooms in the companion API."""

from typing import Annotated

import msgspec
from litestar import Response, Router, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from app.caller import Caller
from app.companion.conditions import Page, answer
from app.homes.model import Id, Label, Name, Room
from app.homes.rooms import RoomOrder, Rooms
from app.policy import Action
from app.store.retention import KEEP


class NewRoom(Struct, forbid_unknown_fields=True):
    """What a room needs to begin; `icon` is any name the app knows a picture for."""

    name: Name
    icon: Label = ""


class RoomChange(Struct, forbid_unknown_fields=True):
    """What changes; what is left out stays."""

    name: Name | UnsetType = UNSET
    icon: Label | UnsetType = UNSET


class NewOrder(Struct, forbid_unknown_fields=True):
    """Ids of rooms, first to last."""

    rooms: Annotated[list[Id], Meta(max_length=KEEP["rooms"].most)]


@post("/homes/{home_id:str}/rooms", operation_id="createRoom", opt={"action": Action.ROOM_MANAGE})
async def create_room(
    caller: NamedDependency[Caller], rooms: NamedDependency[Rooms], home_id: FromPath[str], data: JSONBody[NewRoom]
) -> Response[Room]:
    """Add a room, last in order."""
    room = await rooms.create(caller, home_id, name=data.name, icon=data.icon)
    return answer(room, room.version, status=201)


@get("/homes/{home_id:str}/rooms", operation_id="listRooms", opt={"action": Action.ROOM_READ})
async def list_rooms(
    caller: NamedDependency[Caller], rooms: NamedDependency[Rooms], home_id: FromPath[str]
) -> Page[Room]:
    """All rooms of a home in their order; they always fit one page."""
    return Page(list(rooms.list(caller.actor, home_id)))


@put("/homes/{home_id:str}/rooms/order", operation_id="orderRooms", opt={"action": Action.ROOM_MANAGE})
async def order_rooms(
    caller: NamedDependency[Caller], rooms: NamedDependency[Rooms], home_id: FromPath[str], data: JSONBody[NewOrder]
) -> RoomOrder:
    """Set the order of rooms; those not named follow in the order they have."""
    return await rooms.order(caller, home_id, data.rooms)


@get("/homes/{home_id:str}/rooms/{room_id:str}", operation_id="getRoom", opt={"action": Action.ROOM_READ})
async def get_room(
    caller: NamedDependency[Caller], rooms: NamedDependency[Rooms], home_id: FromPath[str], room_id: FromPath[str]
) -> Response[Room]:
    """One room."""
    room = rooms.get(caller.actor, home_id, room_id)
    return answer(room, room.version)


@patch("/homes/{home_id:str}/rooms/{room_id:str}", operation_id="updateRoom", opt={"action": Action.ROOM_MANAGE})
async def update_room(
    caller: NamedDependency[Caller],
    rooms: NamedDependency[Rooms],
    home_id: FromPath[str],
    room_id: FromPath[str],
    data: JSONBody[RoomChange],
) -> Response[Room]:
    """Rename a room, or give it another icon."""
    fields = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
    room = await rooms.update(caller, home_id, room_id, **fields)
    return answer(room, room.version)


@delete("/homes/{home_id:str}/rooms/{room_id:str}", operation_id="removeRoom", opt={"action": Action.ROOM_MANAGE})
async def remove_room(
    caller: NamedDependency[Caller], rooms: NamedDependency[Rooms], home_id: FromPath[str], room_id: FromPath[str]
) -> None:
    """Remove a room; its devices stay in the home."""
    await rooms.remove(caller, home_id, room_id)


ROUTER = Router("/", route_handlers=[create_room, list_rooms, order_rooms, get_room, update_room, remove_room])
