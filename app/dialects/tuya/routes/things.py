"""Devices in v2.0: details, spaces, properties as they are and as they are wanted, model, actions, reset."""

import json
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from app.control.model import Kind, NewCommand
from app.devices.memory import Live
from app.devices.reset_model import Record
from app.devices.shadows import MAX_VALID_S, VALID_S
from app.dialects.tuya import codes
from app.dialects.tuya.codes import TuyaError
from app.dialects.tuya.operations import Ask, Operation, ids_of
from app.dialects.tuya.points import model_of, points_of, value_out
from app.dialects.tuya.routes.control import EXPIRES_S, by_service, product_of, properties_of, send
from app.dialects.tuya.routes.devices import live_of, remove
from app.dialects.tuya.routes.lists import all_seen
from app.dialects.tuya.routes.spaces import place
from app.dialects.tuya.views import Seen, reported
from app.homes.model import Name
from app.policy import Action
from app.store.tx import Tx

MOST_SPACES: Final = 5
PAGE: Final = 20
NAME: Final = 1


class Attribute(Struct):
    """A basic property: what it is called is the only one there is."""

    data: str = ""
    name: Name | None = None
    type: int = NAME


class Frozen(Struct):
    """1 freezes, 0 unfreezes."""

    state: Literal[0, 1]


class Target(Struct):
    """The space that a device goes to."""

    space_id: str | int


class Issued(Struct):
    """Properties by code, as an object or its text."""

    properties: str | dict[str, Any]


class Wished(Struct):
    """Properties to be set once the device is there, for so many seconds."""

    properties: str | dict[str, Any]
    duration: Annotated[int, Meta(ge=0)] = 0
    type: int = 1


class Done(Struct):
    """An action of the product's model."""

    code: str
    input_params: dict[str, Any] = {}


async def details(ask: Ask) -> dict[str, Any]:
    """One device."""
    return Seen(ask.tuya, ask.by.actor).thing(live_of(ask))


async def batch(ask: Ask) -> list[dict[str, Any]]:
    """Several."""
    seen = Seen(ask.tuya, ask.by.actor)
    return [seen.thing(live_of(ask, device_id)) for device_id in ask.ids("device_ids")]


async def all_of_key(ask: Ask) -> list[dict[str, Any]]:
    """Every device of the key's homes, a page at a time by the last id."""
    return _page(ask, list(all_seen(ask)))


async def in_spaces(ask: Ask) -> list[dict[str, Any]]:
    """The devices in some homes and rooms; a home's own are those in no room, unless it is to go deep."""
    deep = ask.query.get("is_recursion", "").lower() == "true"
    products = set(ids_of(ask.query["product_ids"], MOST_SPACES)) if ask.query.get("product_ids") else None
    categories = set(ids_of(ask.query["categories"], MOST_SPACES)) if ask.query.get("categories") else None
    found: dict[str, Live] = {}
    for space_id in ask.ids("space_ids", MOST_SPACES):
        home_id, room_id = place(ask, space_id)
        for live in ask.tuya.devices.views.page(ask.by.actor, home_id, room_id=room_id, limit=10_000):
            if room_id is not None or deep or live.device.room_id is None:
                found[live.device.id] = live
    kept = [
        live
        for live in found.values()
        if (products is None or live.device.product_id in products)
        and (categories is None or product_of(ask, live).category in categories)
    ]
    return _page(ask, sorted(kept, key=lambda live: live.device.id))


def _page(ask: Ask, found: list[Live]) -> list[dict[str, Any]]:
    last, size = ask.query.get("last_id", ""), ask.whole("page_size", PAGE, 1, PAGE)
    seen = Seen(ask.tuya, ask.by.actor)
    following = [live for live in sorted(found, key=lambda live: live.device.id) if live.device.id > last]
    return [seen.thing(live) for live in following[:size]]


async def rename(ask: Ask) -> bool:
    """Call a device something else."""
    given = ask.body(Attribute)
    if given.type != NAME:
        raise TuyaError(codes.NOT_SUPPORTED)
    name = given.name or given.data
    if not name:
        raise TuyaError(codes.EMPTY_PARAM)
    await ask.tuya.devices.registry.update(ask.by, ask.path["device_id"], name=name)
    return True


async def reset(ask: Ask) -> bool:
    """Unbind a device, and have it forget everything when it next calls."""
    await ask.tuya.devices.resets.reset(ask.by, ask.path["device_id"], Record.REMOVE)
    return True


async def freeze(ask: Ask) -> bool:
    """Keep a device out, or let it in again."""
    frozen = bool(ask.body(Frozen).state)
    freezing, device_id = ask.tuya.devices.freezing, ask.path["device_id"]
    await (freezing.freeze if frozen else freezing.unfreeze)(ask.by, device_id)
    return True


async def state(ask: Ask) -> dict[str, int]:
    """Whether it is kept out."""
    return {"state": int(live_of(ask).device.frozen_at is not None)}


async def transfer(ask: Ask) -> bool:
    """Move a device to another home, or to a room."""
    (home_id, room_id), live = place(ask, str(ask.body(Target).space_id)), live_of(ask)
    if home_id == live.device.home_id:
        await ask.tuya.devices.registry.update(ask.by, live.device.id, room_id=room_id)
    else:
        await ask.tuya.devices.transfers.transfer(ask.by, live.device.id, home_id, room_id)
    return True


def wanted_codes(ask: Ask) -> set[str] | None:
    """The codes a query names; None: all."""
    return set(ids_of(ask.query["codes"], 100)) if ask.query.get("codes") else None


async def properties(ask: Ask) -> dict[str, Any]:
    """What a device last reported, with when (ms)."""
    live, only = live_of(ask), wanted_codes(ask)
    listed = []
    for point, value, at in reported(live, product_of(ask, live)):
        if only is None or point.code in only:
            called = live.names.get(point.service, {}).get(point.field.id, "")
            said = {"code": point.code, "custom_name": called, "dp_id": point.dp, "time": at}
            listed.append({**said, "type": point.field.__struct_config__.tag, "value": value})
    return {"properties": listed}


async def issue(ask: Ask) -> dict[str, Any]:
    """Set properties of a device that is there."""
    await send(ask, properties_of(ask.body(Issued).properties).items())
    return {}


async def desire(ask: Ask) -> dict[str, Any]:
    """Have properties set once the device is there."""
    wished, live = ask.body(Wished), live_of(ask)
    wanted = by_service(product_of(ask, live), properties_of(wished.properties).items())
    valid = float(min(wished.duration, MAX_VALID_S) or VALID_S)

    def act(tx: Tx) -> None:
        for service, values in wanted.items():
            ask.tuya.devices.shadows.desire_in(tx, ask.by, live.device.id, service, values, valid_for=valid)

    await ask.tuya.store.write(act)
    return {}


async def desired(ask: Ask) -> dict[str, Any]:
    """What is wanted of a device, and whether it has it (status 1)."""
    live, only = live_of(ask), wanted_codes(ask)
    listed = []
    for point in points_of(product_of(ask, live)).all:
        state = live.services.get(point.service)
        wish = None if state is None else state.desired.get(point.field.id)
        if state is None or wish is None or (only is not None and point.code not in only):
            continue
        held = state.reported.get(point.field.id)
        met = held is not None and held.value == wish.value
        value = value_out(point, json.loads(wish.value))
        said = {"code": point.code, "dpId": point.dp, "value": value, "time": wish.at}
        listed.append({**said, "expire_time": 0, "status": 1 if met else 0})
    return {"properties": listed}


async def model(ask: Ask) -> dict[str, str]:
    """The things data model."""
    return {"model": model_of(product_of(ask, live_of(ask)))}


async def act(ask: Ask) -> dict[str, Any]:
    """Have a device do what its model calls a command."""
    done, live = ask.body(Done), live_of(ask)
    for service in product_of(ask, live).services:
        if service.command(done.code) is not None:
            new = NewCommand(service.id, Kind.CALL, name=done.code, params=done.input_params, expires_in=EXPIRES_S)
            await ask.tuya.control.command(ask.by, live.device.id, new)
            return {}
    raise TuyaError(codes.VALUE_UNFIT)


_ONE: Final = "/v2.0/cloud/thing/{device_id}"
_SHADOW: Final = f"{_ONE}/shadow"
OPERATIONS: Final = (
    Operation("GET", _ONE, Action.DEVICE_READ, details),
    Operation("DELETE", _ONE, Action.DEVICE_REMOVE, remove),
    Operation("POST", f"{_ONE}/attribute", Action.DEVICE_UPDATE, rename),
    Operation("GET", "/v2.0/cloud/thing/batch", Action.DEVICE_READ, batch),
    Operation("GET", "/v2.0/cloud/thing/device", Action.DEVICE_READ, all_of_key),
    Operation("GET", "/v2.0/cloud/thing/space/device", Action.DEVICE_READ, in_spaces),
    Operation("POST", f"{_ONE}/reset", Action.DEVICE_REMOVE, reset),
    Operation("PUT", "/v1.0/devices/{device_id}/reset-factory", Action.DEVICE_REMOVE, reset),
    Operation("POST", "/v1.0/devices/{device_id}/reset-factory", Action.DEVICE_REMOVE, reset),
    Operation("GET", f"{_ONE}/state", Action.DEVICE_READ, state),
    Operation("POST", f"{_ONE}/freeze", Action.DEVICE_FREEZE, freeze),
    Operation("POST", f"{_ONE}/transfer", Action.DEVICE_TRANSFER, transfer),
    Operation("GET", f"{_SHADOW}/properties", Action.DEVICE_READ, properties),
    Operation("POST", f"{_SHADOW}/properties/issue", Action.DEVICE_CONTROL, issue),
    Operation("GET", f"{_SHADOW}/properties/desired", Action.DEVICE_READ, desired),
    Operation("POST", f"{_SHADOW}/properties/desired", Action.DEVICE_CONTROL, desire),
    Operation("GET", f"{_ONE}/model", Action.DEVICE_READ, model),
    Operation("POST", f"{_SHADOW}/actions", Action.DEVICE_CONTROL, act),
)
