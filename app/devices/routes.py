"""Products and devices in the companion API."""

from typing import Annotated, Any, cast

import msgspec
from litestar import MediaType, Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, Meta, Struct, UnsetType

from app.caller import Caller
from app.companion.conditions import Cursor, Limit, Page, answer, encode_cursor, limit_of, place_of
from app.devices.handing_routes import ROUTER as HANDING_ROUTES
from app.devices.model import DeviceEntry, DeviceView, Icon, Position, ServiceView
from app.devices.names_routes import ROUTER as NAME_ROUTES
from app.devices.product.model import Product
from app.devices.service import Devices
from app.devices.shadows import MAX_VALID_S, VALID_S
from app.devices.users_routes import ROUTER as USER_ROUTES
from app.errors import NotFound
from app.homes.model import AlertAfter, Name
from app.policy import Action, Actor

RoomFilter = Annotated[str | None, QueryParameter(max_length=64, description="only the devices of this room")]


class DeviceChange(Struct, forbid_unknown_fields=True):
    """What changes; what is left out stays.

    `room_id` null: in no room; `offline_alert_after` null: as its home has it.
    """

    name: Name | UnsetType = UNSET
    icon: Icon | UnsetType = UNSET
    position: Position | UnsetType = UNSET
    room_id: Annotated[str, Meta(max_length=64)] | UnsetType | None = UNSET
    offline_alert_after: AlertAfter | UnsetType | None = UNSET


class Destination(Struct, forbid_unknown_fields=True):
    """Where a device goes; `room_id` null: into no room."""

    home_id: Annotated[str, Meta(max_length=64)]
    room_id: Annotated[str, Meta(max_length=64)] | None = None


class Desired(Struct, forbid_unknown_fields=True):
    """Values by property, as the product's model has them; null: no longer wanted. `valid_for` is in seconds."""

    values: Annotated[dict[str, bool | int | float | str | None], Meta(min_length=1, max_length=64)]
    valid_for: Annotated[float, Meta(gt=0, le=MAX_VALID_S)] = VALID_S


@get("/products", operation_id="listProducts", opt={"action": Action.PUBLIC})
async def list_products(devices: NamedDependency[Devices]) -> Page[Product]:
    """Every kind of device this hub knows, with its properties and commands."""
    return Page(devices.catalogue.all())


@get("/products/{product_id:str}", operation_id="getProduct", opt={"action": Action.PUBLIC})
async def get_product(devices: NamedDependency[Devices], product_id: FromPath[str]) -> Product:
    """One kind of device."""
    product = devices.catalogue.get(product_id)
    if product is None:
        raise NotFound
    return product


def list_bytes(
    devices: Devices, actor: Actor, home_id: str, *, room_id: str | None, cursor: str | None, limit: int | None
) -> bytes:
    """JSON of a page of DeviceView: what the list answers."""
    most = limit_of(limit)
    found = devices.views.page(actor, home_id, room_id=room_id, after=place_of(cursor), limit=most + 1)
    following = encode_cursor(found[most - 1].device.id) if len(found) > most else None
    items = b",".join([live.inside() for live in found[:most]])
    return b'{"items":[' + items + b'],"next":' + msgspec.json.encode(following) + b"}"


def _ready(body: bytes, version: int | None = None) -> Response[Any]:
    """Encoded JSON, with its ETag."""
    headers = {} if version is None else {"ETag": f'"{version}"'}
    return Response(body, media_type=MediaType.JSON, headers=headers)


@get("/homes/{home_id:str}/devices", operation_id="listDevices", opt={"action": Action.DEVICE_READ})
async def list_devices(
    caller: NamedDependency[Caller],
    devices: NamedDependency[Devices],
    home_id: FromPath[str],
    *,
    room_id: RoomFilter = None,
    cursor: Cursor = None,
    limit: Limit = None,
) -> Response[Page[DeviceView]]:
    """The devices of a home the caller may see, in order of id."""
    body = list_bytes(devices, caller.actor, home_id, room_id=room_id, cursor=cursor, limit=limit)
    return cast("Response[Page[DeviceView]]", _ready(body))


@get("/devices/{device_id:str}", operation_id="getDevice", opt={"action": Action.DEVICE_READ})
async def get_device(
    caller: NamedDependency[Caller], devices: NamedDependency[Devices], device_id: FromPath[str]
) -> Response[DeviceView]:
    """One device with all its values."""
    return cast("Response[DeviceView]", _ready(*devices.view_bytes(caller.actor, device_id)))


@patch("/devices/{device_id:str}", operation_id="updateDevice", opt={"action": Action.DEVICE_UPDATE})
async def update_device(
    caller: NamedDependency[Caller],
    devices: NamedDependency[Devices],
    device_id: FromPath[str],
    data: JSONBody[DeviceChange],
) -> Response[DeviceEntry]:
    """Rename a device, give it an icon or a place in the order, move it to a room of its home."""
    fields = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
    entry = await devices.registry.update(caller, device_id, **fields)
    return answer(entry, entry.version)


@post(
    "/devices/{device_id:str}/freeze",
    operation_id="freezeDevice",
    opt={"action": Action.DEVICE_FREEZE},
    status_code=200,
)
async def freeze_device(
    caller: NamedDependency[Caller], devices: NamedDependency[Devices], device_id: FromPath[str]
) -> Response[DeviceEntry]:
    """Keep a device out: its links end, and nothing can be asked of it. What it was still to do has failed."""
    entry = await devices.freezing.freeze(caller, device_id)
    return answer(entry, entry.version)


@post(
    "/devices/{device_id:str}/unfreeze",
    operation_id="unfreezeDevice",
    opt={"action": Action.DEVICE_FREEZE},
    status_code=200,
)
async def unfreeze_device(
    caller: NamedDependency[Caller], devices: NamedDependency[Devices], device_id: FromPath[str]
) -> Response[DeviceEntry]:
    """Let a frozen device in again, when it next comes."""
    entry = await devices.freezing.unfreeze(caller, device_id)
    return answer(entry, entry.version)


@post(
    "/devices/{device_id:str}/transfer",
    operation_id="transferDevice",
    opt={"action": Action.DEVICE_TRANSFER},
    status_code=200,
)
async def transfer_device(
    caller: NamedDependency[Caller],
    devices: NamedDependency[Devices],
    device_id: FromPath[str],
    data: JSONBody[Destination],
) -> Response[DeviceEntry]:
    """Move a device, and those behind it, to another home whose devices the caller runs, without pairing it anew."""
    entry = await devices.transfers.transfer(caller, device_id, data.home_id, data.room_id)
    return answer(entry, entry.version)


@delete("/devices/{device_id:str}", operation_id="removeDevice", opt={"action": Action.DEVICE_REMOVE})
async def remove_device(
    caller: NamedDependency[Caller], devices: NamedDependency[Devices], device_id: FromPath[str]
) -> None:
    """Let a device go, and the devices behind it. It forgets this hub now, or at its next link."""
    await devices.registry.remove(caller, device_id)


@get(
    "/devices/{device_id:str}/services/{service:str}",
    operation_id="getDeviceService",
    opt={"action": Action.DEVICE_READ},
)
async def get_service(
    caller: NamedDependency[Caller],
    devices: NamedDependency[Devices],
    device_id: FromPath[str],
    service: FromPath[str],
) -> Response[ServiceView]:
    """The shadow of one service: reported and desired values, and their version."""
    view = devices.shadows.service(caller.actor, device_id, service)
    return answer(view, view.version)


@patch(
    "/devices/{device_id:str}/services/{service:str}/desired",
    operation_id="desireDeviceValues",
    opt={"action": Action.DEVICE_CONTROL},
)
async def desire_values(
    caller: NamedDependency[Caller],
    devices: NamedDependency[Devices],
    device_id: FromPath[str],
    service: FromPath[str],
    data: JSONBody[Desired],
) -> Response[ServiceView]:
    """Want values of a device: set at once if it is there, else when it comes back. If-Match is the service's ETag.

    A wish ends when the device has done it, or says that it is so already; or when its time is over, and it leaves the
    shadow.
    """
    view = await devices.shadows.desire(caller, device_id, service, data.values, valid_for=data.valid_for)
    return answer(view, view.version)


ROUTER = Router(
    "/",
    route_handlers=[
        list_products,
        get_product,
        list_devices,
        get_device,
        update_device,
        freeze_device,
        unfreeze_device,
        transfer_device,
        remove_device,
        get_service,
        desire_values,
        HANDING_ROUTES,
        NAME_ROUTES,
        USER_ROUTES,
    ],
)
