"""Groups, v2.0 and v2.1. What is done with a group is done at once: a task has always ended."""

from typing import Any, Final

import msgspec
from msgspec import Struct

from app.dialects.tuya import codes
from app.dialects.tuya.codes import TuyaError
from app.dialects.tuya.operations import Ask, Operation, ids_of
from app.dialects.tuya.routes.control import product_of, properties_of, sets
from app.dialects.tuya.routes.devices import live_of
from app.dialects.tuya.routes.lists import AT_ONCE, homes_of
from app.dialects.tuya.routes.spaces import place
from app.dialects.tuya.views import Seen, status_of
from app.groups.model import GroupView
from app.homes.model import Name
from app.policy import Action

MOST: Final = 20
DONE: Final = "done"


class NewGroup(Struct):
    """A group and its first devices."""

    space_id: str | int
    name: Name | None = None
    group_name: Name | None = None
    product_id: str = ""
    device_ids: str | list[str] = ""


class Devices(Struct):
    """Devices of a group."""

    device_ids: str | list[str]


class Named(Struct):
    """What a group is called."""

    name: Name | None = None
    group_name: Name | None = None


class Sent(Struct):
    """What a group is told."""

    group_id: str | int
    properties: str | dict[str, Any]


def ids_in(given: str | list[str]) -> list[str]:
    """Ids as text with commas or as a list; raises TuyaError."""
    return ids_of(given if isinstance(given, str) else ",".join(given), MOST)


def shown(ask: Ask, group: GroupView) -> dict[str, Any]:
    """A group as the table has it."""
    first = ask.tuya.devices.memory.get(group.devices[0]) if group.devices else None
    return {
        "id": group.id,
        "group_id": group.id,
        "name": group.name,
        "group_name": group.name,
        "product_id": "" if first is None else first.device.product_id,
        "pv": "",
        "time": round(group.created_at.timestamp() * 1000),
        "type": 0,
        "uid": ask.by.actor.account_id or "",
        "group_type": 0,
        "icon_url": group.icon,
        "local_key": "",
        "owner_id": group.home_id or "",
    }


def _get(ask: Ask) -> GroupView:
    return ask.tuya.groups.get(ask.by.actor, ask.path["group_id"])


async def create(ask: Ask) -> dict[str, Any]:
    """A group of a home's devices."""
    new = ask.body(NewGroup)
    name = new.name or new.group_name
    if name is None:
        raise TuyaError(codes.EMPTY_PARAM)
    home_id, _ = place(ask, str(new.space_id))
    group = await ask.tuya.groups.create(ask.by, home_id, name=name, devices=tuple(ids_in(new.device_ids)))
    return shown(ask, group)


async def details(ask: Ask) -> dict[str, Any]:
    """One group."""
    return shown(ask, _get(ask))


async def of_space(ask: Ask) -> list[dict[str, Any]]:
    """The groups of a space, or of all the key's homes."""
    space = ask.query.get("space_id", "")
    homes = [place(ask, space)[0]] if space else homes_of(ask)
    return [shown(ask, it) for home_id in homes for it in ask.tuya.groups.list(ask.by.actor, home_id, "", AT_ONCE)]


async def of_device(ask: Ask) -> list[dict[str, Any]]:
    """The groups that a device is in."""
    device_id = live_of(ask).device.id
    found = [ask.tuya.groups.access.groups.get(group_id) for group_id in ask.tuya.groups.access.groups_of(device_id)]
    return [shown(ask, ask.tuya.groups.get(ask.by.actor, it.id)) for it in found if it is not None]


async def devices(ask: Ask) -> list[dict[str, Any]]:
    """The devices of a group."""
    seen = Seen(ask.tuya, ask.by.actor)
    return [seen.thing(live_of(ask, device_id)) for device_id in _get(ask).devices]


async def remove(ask: Ask) -> bool:
    """End a group; its devices stay."""
    await ask.tuya.groups.remove(ask.by, ask.path["group_id"])
    return True


async def rename(ask: Ask) -> bool:
    """Call it something else: the name is in the path, or (v2.1) in the body."""
    given = ask.path.get("name") or None
    body = ask.body(Named) if given is None else Named(given)
    name = msgspec.convert(body.name or body.group_name or "", Name)
    await ask.tuya.groups.update(ask.by, ask.path["group_id"], name=name)
    return True


async def add(ask: Ask) -> dict[str, Any]:
    """Devices come into it."""
    group, wanted = _get(ask), ids_in(ask.body(Devices).device_ids)
    return await _put(ask, group, tuple(dict.fromkeys([*group.devices, *wanted])))


async def take_out(ask: Ask) -> dict[str, Any]:
    """Devices leave it."""
    group, wanted = _get(ask), set(ids_in(ask.body(Devices).device_ids))
    return await _put(ask, group, tuple(one for one in group.devices if one not in wanted))


async def _put(ask: Ask, group: GroupView, listed: tuple[str, ...]) -> dict[str, Any]:
    changed = await ask.tuya.groups.update(ask.by, group.id, devices=listed)
    return {"group_id": group.id, "group_name": changed.name, "task_id": f"{DONE}-{changed.version}"}


async def task(ask: Ask) -> dict[str, Any]:
    """How far a task is: what was asked was done before it was answered."""
    group = _get(ask)
    if not ask.path["task_id"].startswith(DONE):
        raise TuyaError(codes.DENIED)
    return {"group_id": group.id, "task_id": ask.path["task_id"], "status": 1, "progress": 100}


async def send(ask: Ask) -> bool:
    """Set properties of all devices of a group as one act."""
    sent = ask.body(Sent)
    return await _send(ask, str(sent.group_id), sent.properties)


async def _send(ask: Ask, group_id: str, properties: str | dict[str, Any]) -> bool:
    group = ask.tuya.groups.get(ask.by.actor, group_id)
    if not group.devices:
        raise TuyaError(codes.NOT_SUPPORTED)
    wanted = properties_of(properties)
    for new in sets(product_of(ask, live_of(ask, group.devices[0])), wanted.items()):
        await ask.tuya.control.group_command(ask.by, group.id, new)
    return True


async def values(ask: Ask) -> list[dict[str, Any]]:
    """What the first device of a group last reported stands for it, as in their app."""
    group = _get(ask)
    if not group.devices:
        return []
    live = live_of(ask, group.devices[0])
    return status_of(live, product_of(ask, live))


async def candidates(ask: Ask) -> list[dict[str, Any]]:
    """The devices of a home that could be grouped with others of a product, and whether one is in any group."""
    (home_id, _), product_id = place(ask, ask.query.get("owner_id", "")), ask.query.get("pid", "")
    found = ask.tuya.devices.views.page(ask.by.actor, home_id, limit=AT_ONCE)
    return [
        {
            "device_id": live.device.id,
            "device_name": live.device.name,
            "online": live.online,
            "check": bool(ask.tuya.groups.access.groups_of(live.device.id)),
        }
        for live in found
        if live.device.product_id == product_id
    ]


_V20: Final = "/v2.0/cloud/thing/group"
_V21: Final = "/v2.1/cloud/thing/group"
OPERATIONS: Final = (
    Operation("POST", _V20, Action.GROUP_MANAGE, create),
    Operation("GET", _V20, Action.GROUP_READ, of_space),
    Operation("GET", f"{_V20}/{{group_id}}", Action.GROUP_READ, details),
    Operation("DELETE", f"{_V20}/{{group_id}}", Action.GROUP_MANAGE, remove),
    Operation("PUT", f"{_V20}/{{group_id}}/{{name}}", Action.GROUP_MANAGE, rename),
    Operation("POST", f"{_V20}/properties", Action.GROUP_CONTROL, send),
    Operation("GET", f"{_V20}/{{group_id}}/properties", Action.GROUP_READ, values),
    Operation("GET", f"{_V20}/{{group_id}}/devices", Action.GROUP_READ, devices),
    Operation("PUT", f"{_V20}/{{group_id}}/devices", Action.GROUP_MANAGE, add),
    Operation("DELETE", f"{_V20}/{{group_id}}/devices", Action.GROUP_MANAGE, take_out),
    Operation("GET", f"{_V20}/device/{{device_id}}", Action.GROUP_READ, of_device),
    Operation("GET", "/v1.0/device-groups", Action.GROUP_READ, candidates),
    Operation("POST", _V21, Action.GROUP_MANAGE, create),
    Operation("GET", f"{_V21}/{{group_id}}", Action.GROUP_READ, details),
    Operation("PUT", f"{_V21}/{{group_id}}", Action.GROUP_MANAGE, rename),
    Operation("DELETE", f"{_V21}/{{group_id}}", Action.GROUP_MANAGE, remove),
    Operation("GET", f"{_V21}/{{group_id}}/devices", Action.GROUP_READ, devices),
    Operation("PUT", f"{_V21}/{{group_id}}/devices", Action.GROUP_MANAGE, add),
    Operation("DELETE", f"{_V21}/{{group_id}}/devices", Action.GROUP_MANAGE, take_out),
    Operation("GET", f"{_V21}/{{group_id}}/status-set", Action.GROUP_READ, values),
    Operation("GET", f"{_V21}/task/{{group_id}}/{{task_id}}", Action.GROUP_READ, task),
)
