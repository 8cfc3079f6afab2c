"""Names of parts of a device in the companion API."""

from typing import Annotated

from litestar import Response, Router, get, patch
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from app.caller import Caller
from app.companion.conditions import answer
from app.devices.names import DeviceNames
from app.devices.product.model import Id
from app.devices.service import Devices
from app.homes.model import Name
from app.policy import Action

OfProperties = Annotated[dict[Id, Name | None], Meta(min_length=1, max_length=64)]


class NamesChange(Struct, forbid_unknown_fields=True):
    """Names by service and property; null: as the product has it again. What is left out stays."""

    names: Annotated[dict[Id, OfProperties], Meta(min_length=1, max_length=32)]


@get("/devices/{device_id:str}/names", operation_id="getDeviceNames", opt={"action": Action.DEVICE_READ})
async def get_names(
    caller: NamedDependency[Caller], devices: NamedDependency[Devices], device_id: FromPath[str]
) -> Response[DeviceNames]:
    """What people call parts of a device, and what each outlet of it is called."""
    names = devices.names.of(caller.actor, device_id)
    return answer(names, names.version)


@patch("/devices/{device_id:str}/names", operation_id="nameDeviceParts", opt={"action": Action.DEVICE_UPDATE})
async def give_names(
    caller: NamedDependency[Caller],
    devices: NamedDependency[Devices],
    device_id: FromPath[str],
    data: JSONBody[NamesChange],
) -> Response[DeviceNames]:
    """Name parts of a device: an outlet of a strip, a data point of a sensor."""
    names = await devices.names.give(caller, device_id, data.names)
    return answer(names, names.version)


ROUTER = Router("/", route_handlers=[get_names, give_names])
