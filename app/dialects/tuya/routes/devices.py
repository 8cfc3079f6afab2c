"""One device: its details, name, children, factory data; removing it."""

from typing import Any, Final

from msgspec import Struct

from app.devices.memory import Live
from app.dialects.tuya import codes
from app.dialects.tuya.codes import TuyaError
from app.dialects.tuya.operations import Ask, Operation
from app.dialects.tuya.views import Seen
from app.homes.model import Name
from app.policy import Action

MOST_INFOS: Final = 50


class Renamed(Struct):
    """A device's new name."""

    name: Name


def live_of(ask: Ask, device_id: str = "") -> Live:
    """The device of the path, or `device_id`; raises TuyaError for what the asker may not see."""
    wanted = device_id or ask.path["device_id"]
    live = ask.tuya.devices.memory.get(wanted)
    if live is None or not ask.tuya.may(ask.by.actor, Action.DEVICE_READ, wanted):
        raise TuyaError(codes.DENIED)
    return live


async def details(ask: Ask) -> dict[str, Any]:
    """Everything of one device, with its latest status."""
    return Seen(ask.tuya, ask.by.actor).device(live_of(ask))


async def rename(ask: Ask) -> bool:
    """Call a device something else."""
    await ask.tuya.devices.registry.update(ask.by, ask.path["device_id"], name=ask.body(Renamed).name)
    return True


async def remove(ask: Ask) -> bool:
    """Have a device leave its home."""
    await ask.tuya.devices.registry.remove(ask.by, ask.path["device_id"])
    return True


async def children(ask: Ask) -> list[dict[str, Any]]:
    """The devices behind a gateway."""
    gateway = live_of(ask)
    seen = Seen(ask.tuya, ask.by.actor)
    behind = ask.tuya.devices.memory.in_place(gateway.device.id)
    return [seen.child(live) for live in behind if ask.tuya.may(ask.by.actor, Action.DEVICE_READ, live.device.id)]


async def factory_infos(ask: Ask) -> list[dict[str, Any]]:
    """Numbers of the hardware; a device the asker may not see is left out, as there."""
    found = []
    for device_id in ask.ids("device_ids", MOST_INFOS):
        if ask.tuya.may(ask.by.actor, Action.DEVICE_JOURNAL, device_id):
            device = live_of(ask, device_id).device
            info = {"id": device.id, "uuid": device.hardware_id, "mac": ""}
            found.append({**info, "sn": device.serial} if device.serial else info)
    return found


async def serial(ask: Ask) -> dict[str, str]:
    """The serial number that a device was bound with."""
    device = live_of(ask).device
    inside = ask.tuya.may(ask.by.actor, Action.DEVICE_JOURNAL, device.id)
    return {"sn": device.serial if inside else ""}


OPERATIONS: Final = (
    Operation("GET", "/v1.0/devices/{device_id}", Action.DEVICE_READ, details),
    Operation("PUT", "/v1.0/devices/{device_id}", Action.DEVICE_UPDATE, rename),
    Operation("DELETE", "/v1.0/devices/{device_id}", Action.DEVICE_REMOVE, remove),
    Operation("GET", "/v1.0/devices/{device_id}/sub-devices", Action.DEVICE_READ, children),
    Operation("GET", "/v1.0/devices/factory-infos", Action.DEVICE_JOURNAL, factory_infos),
    Operation("GET", "/v1.0/devices/{device_id}/sn", Action.DEVICE_READ, serial),
)
