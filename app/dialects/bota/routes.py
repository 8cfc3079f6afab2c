"""Bota's two operations on a device."""

import msgspec
from litestar import MediaType, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from app.caller import Caller
from app.dialects.bota import errors
from app.dialects.bota.model import BotaDevice
from app.dialects.bota.service import Bota
from app.policy import Action


@get("/{device_id:str}", opt={"action": Action.DEVICE_READ})
async def get_device(
    caller: NamedDependency[Caller], bota: NamedDependency[Bota], device_id: FromPath[str]
) -> Response[bytes]:
    """The device as it is."""
    return _bare(await bota.get(caller.actor, device_id))


@post("/{device_id:str}/reset", opt={"action": Action.DEVICE_REMOVE}, status_code=200)
async def reset_device(
    caller: NamedDependency[Caller], bota: NamedDependency[Bota], device_id: FromPath[str]
) -> Response[bytes]:
    """Schedule a factory reset; the device as it is from now on."""
    return _bare(await bota.reset(caller, device_id))


def _bare(device: BotaDevice) -> Response[bytes]:
    return Response(msgspec.json.encode(device), media_type=MediaType.JSON)


ROUTER = Router(
    Bota.prefix,
    route_handlers=[get_device, reset_device],
    exception_handlers={Exception: errors.to_response},
    include_in_schema=False,
)
