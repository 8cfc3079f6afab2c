"""Registering devices by hand, and their secrets, in the companion API."""

from litestar import Response, Router, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from app.accounts.routes import secret
from app.caller import Caller
from app.devices.credential_model import NewRegistration, NewSecret, Registered, SecretMade
from app.devices.service import Devices
from app.policy import Action


@post("/homes/{home_id:str}/devices", operation_id="registerDevice", opt={"action": Action.PAIR}, status_code=201)
async def register_device(
    caller: NamedDependency[Caller],
    devices: NamedDependency[Devices],
    home_id: FromPath[str],
    data: JSONBody[NewRegistration],
) -> Response[Registered]:
    """Let a device in that speaks MQTT or HTTPS and cannot be paired. Its secret is shown this once."""
    return secret(await devices.credentials.register(caller, home_id, data), 201)


@post(
    "/devices/{device_id:str}/secret",
    operation_id="renewDeviceSecret",
    opt={"action": Action.DEVICE_UPDATE},
    status_code=200,
)
async def renew_secret(
    caller: NamedDependency[Caller],
    devices: NamedDependency[Devices],
    device_id: FromPath[str],
    data: JSONBody[NewSecret],
) -> Response[SecretMade]:
    """Give a device another secret or certificate. The secret is shown this once."""
    return secret(await devices.credentials.renew(caller, device_id, data), 200)


ROUTER = Router("/", route_handlers=[register_device, renew_secret])
