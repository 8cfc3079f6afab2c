"""Rooms, and which devices stand in them."""

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from app.dialects.tuya.operations import Ask, Operation, ids_of
from app.dialects.tuya.routes.devices import live_of
from app.dialects.tuya.routes.homes import shown
from app.errors import NotFound
from app.homes.model import Name
from app.policy import Action
from app.store.tx import Tx


class Named(Struct):
    """What a room is called."""

    name: Name


class Placed(Struct):
    """Devices by id."""

    device_ids: list[str] | str


async def create(ask: Ask) -> str:
    """A new room, last in order."""
    room = await ask.tuya.rooms.create(ask.by, ask.path["home_id"], name=ask.body(Named).name, icon="")
    return room.id


async def of_home(ask: Ask) -> dict[str, Any]:
    """A home with its rooms."""
    home = ask.tuya.homes.get(ask.by.actor, ask.path["home_id"])
    rooms = ask.tuya.rooms.list(ask.by.actor, home.id)
    return {**shown(home), "rooms": [{"room_id": room.id, "name": room.name} for room in rooms]}


async def rename(ask: Ask) -> bool:
    """Call a room something else."""
    await ask.tuya.rooms.update(ask.by, ask.path["home_id"], ask.path["room_id"], name=ask.body(Named).name)
    return True


async def remove(ask: Ask) -> bool:
    """Remove a room; its devices are in none then."""
    await ask.tuya.rooms.remove(ask.by, ask.path["home_id"], ask.path["room_id"])
    return True


async def add(ask: Ask) -> bool:
    """Put devices into a room besides those in it."""
    return await _place(ask, lambda wanted, _held: (wanted, set()))


async def replace(ask: Ask) -> bool:
    """Exactly these devices are in the room: those left out are in none."""
    return await _place(ask, lambda wanted, held: (wanted, held - wanted))


async def take_out(ask: Ask) -> bool:
    """These devices are in no room any more."""
    return await _place(ask, lambda wanted, held: (set(), wanted & held))


Split = Callable[[set[str], set[str]], tuple[set[str], set[str]]]


async def _place(ask: Ask, split: Split) -> bool:
    """One transaction: `split` says of (named, held) which come in and which go out."""
    home_id, room_id, wanted = ask.path["home_id"], ask.path["room_id"], _wanted(ask)
    ask.tuya.rooms.get(ask.by.actor, home_id, room_id)

    def act(tx: Tx) -> bool:
        held = {live.device.id for live in ask.tuya.devices.memory.in_place(room_id)}
        coming, going = split(wanted, held)
        for device_id in sorted(coming | going):
            if live_of(ask, device_id).device.home_id != home_id:
                raise NotFound
            room = room_id if device_id in coming else None
            ask.tuya.devices.registry.update_in(tx, ask.by, device_id, {"room_id": room})
        return True

    return await ask.tuya.store.write(act)


def _wanted(ask: Ask) -> set[str]:
    """Ids of the body, or for who cannot send one with DELETE of the query."""
    if ask.query.get("device_ids"):
        return set(ask.ids("device_ids", 200))
    listed = ask.body(Placed).device_ids
    return set(ids_of(listed, 200)) if isinstance(listed, str) else set(listed)


async def of_device(ask: Ask) -> dict[str, Any]:
    """The room a device is in; empty when it is in none."""
    device = live_of(ask).device
    room_id = device.room_id
    if room_id is None or not ask.tuya.standings.of(ask.by.actor, device.home_id).role:
        return {}
    room = ask.tuya.rooms.get(ask.by.actor, device.home_id, room_id)
    return {"id": room.id, "room_id": room.id, "name": room.name}


_ROOM: Final = "/v1.0/homes/{home_id}/rooms/{room_id}"
OPERATIONS: Final = (
    Operation("POST", "/v1.0/homes/{home_id}/room", Action.ROOM_MANAGE, create),
    Operation("GET", "/v1.0/homes/{home_id}/rooms", Action.ROOM_READ, of_home),
    Operation("PUT", _ROOM, Action.ROOM_MANAGE, rename),
    Operation("DELETE", _ROOM, Action.ROOM_MANAGE, remove),
    Operation("POST", f"{_ROOM}/devices", Action.DEVICE_UPDATE, add),
    Operation("PUT", f"{_ROOM}/devices", Action.DEVICE_UPDATE, replace),
    Operation("DELETE", f"{_ROOM}/devices", Action.DEVICE_UPDATE, take_out),
    Operation("GET", "/v1.0/devices/{device_id}/room", Action.DEVICE_READ, of_device),
)
