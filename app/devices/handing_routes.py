"""Which hubs hold a device, in the companion API."""

from typing import Annotated

from litestar import Response, Router, get, patch
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from app.caller import Caller
from app.companion.conditions import answer
from app.devices.handing import DeviceHubs
from app.devices.service import Devices
from app.policy import Action

HubId = Annotated[str, Meta(min_length=1, max_length=64)]
_HUBS = "/devices/{device_id:str}/hubs"


class HubsChange(Struct, forbid_unknown_fields=True):
    """What changes; what is left out stays. `standby_id` null: nobody stands by.

    As a device is handed over (`hub_id`), the hub that held it stands by.
    """

    hub_id: HubId | UnsetType = UNSET
    standby_id: HubId | UnsetType | None = UNSET


@get(_HUBS, operation_id="getDeviceHubs", opt={"action": Action.PAIR})
async def get_hubs(
    caller: NamedDependency[Caller], devices: NamedDependency[Devices], device_id: FromPath[str]
) -> Response[DeviceHubs]:
    """Which hub holds a device, which one takes it over where that is gone, and which others of the home can."""
    found = await devices.handing.hubs_of(caller.actor, device_id)
    return answer(found, found.version)


@patch(_HUBS, operation_id="updateDeviceHubs", opt={"action": Action.PAIR})
async def update_hubs(
    caller: NamedDependency[Caller],
    devices: NamedDependency[Devices],
    device_id: FromPath[str],
    data: JSONBody[HubsChange],
) -> Response[DeviceHubs]:
    """Hand a device, and those behind it, to another hub of its home; or say which one is to stand by.

    Its present hub tells it so now, or when it next comes there; nobody has to pair it anew.
    """
    changed = await devices.handing.change(caller, device_id, data.hub_id, data.standby_id)
    return answer(changed, changed.version)


ROUTER = Router("/", route_handlers=[get_hubs, update_hubs])
