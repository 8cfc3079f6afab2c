"""Factory resets in the companion API."""

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from app.caller import Caller
from app.companion.conditions import Cursor, Limit, Page, limit_of, page_of, place_of
from app.devices.reset_model import NewReset, ResetView
from app.devices.service import Devices
from app.policy import Action


@post(
    "/devices/{device_id:str}/reset",
    operation_id="resetDevice",
    opt={"action": Action.DEVICE_REMOVE},
    status_code=200,
)
async def reset_device(
    caller: NamedDependency[Caller],
    devices: NamedDependency[Devices],
    device_id: FromPath[str],
    data: JSONBody[NewReset],
) -> ResetView:
    """Reset a device to factory settings: unbound and locked out at once, wiped now or when it is next heard of."""
    return await devices.resets.reset(caller, device_id, data.record)


@get("/devices/{device_id:str}/reset", operation_id="getDeviceReset", opt={"action": Action.DEVICE_JOURNAL})
async def get_device_reset(
    caller: NamedDependency[Caller], devices: NamedDependency[Devices], device_id: FromPath[str]
) -> ResetView:
    """The newest reset of a device that is in its home still, and how far it has come."""
    return await devices.resets.of_device(caller.actor, device_id)


@get("/homes/{home_id:str}/resets", operation_id="listResets", opt={"action": Action.AUDIT_READ})
async def list_resets(
    caller: NamedDependency[Caller],
    devices: NamedDependency[Devices],
    home_id: FromPath[str],
    *,
    cursor: Cursor = None,
    limit: Limit = None,
) -> Page[ResetView]:
    """The resets of a home's devices, also of those that have left it, newest first."""
    most = limit_of(limit)
    found = await devices.resets.in_home(caller.actor, home_id, place_of(cursor) or None, most + 1)
    return page_of(found, most, lambda reset: reset.id)


ROUTER = Router("/", route_handlers=[reset_device, get_device_reset, list_resets])
