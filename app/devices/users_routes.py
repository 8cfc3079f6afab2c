"""The people of a device in the companion API. Their birthdays are dates here."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from app.caller import Caller
from app.companion.conditions import Cursor, Limit, Page, answer, limit_of, page_of, place_of
from app.devices.service import Devices
from app.devices.user_model import (
    FIRST_MS,
    Contact,
    DeviceUser,
    DeviceUserChange,
    Height,
    NewDeviceUser,
    Sex,
    Weight,
)
from app.errors import Invalid
from app.policy import Action

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
Nick = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]*\Z")]


class NewUser(Struct, forbid_unknown_fields=True):
    """A person to a device; `height` in cm, `weight` in g."""

    nick_name: Nick
    sex: Sex
    birthday: date | None = None
    height: Height | None = None
    weight: Weight | None = None
    contact: Contact = ""


class UserChange(Struct, forbid_unknown_fields=True):
    """What changes; what is left out stays."""

    nick_name: Nick | UnsetType = UNSET
    sex: Sex | UnsetType = UNSET
    birthday: date | UnsetType | None = UNSET
    height: Height | UnsetType | None = UNSET
    weight: Weight | UnsetType | None = UNSET
    contact: Contact | UnsetType = UNSET


class DeviceUserView(Struct, frozen=True):
    """A person to a device; `height` in cm, `weight` in g."""

    id: str
    device_id: str
    nick_name: str
    sex: Sex
    birthday: date | None
    height: int | None
    weight: int | None
    contact: str
    version: int


def _fields(said: NewUser | UserChange) -> dict[str, Any]:
    fields = {name: value for name, value in msgspec.structs.asdict(said).items() if value is not UNSET}
    if isinstance(said.birthday, date):
        born = (datetime(said.birthday.year, said.birthday.month, said.birthday.day, tzinfo=UTC) - _EPOCH) // _DAY
        if born * 86_400_000 < FIRST_MS:
            raise Invalid("birthday: before 1800")
        fields["birthday"] = born * 86_400_000
    return fields


def _view(user: DeviceUser) -> DeviceUserView:
    born = None if user.birthday is None else (_EPOCH + timedelta(milliseconds=user.birthday)).date()
    return DeviceUserView(**{**msgspec.structs.asdict(user), "birthday": born})


@get("/devices/{device_id:str}/users", operation_id="listDeviceUsers", opt={"action": Action.DEVICE_USER_READ})
async def list_users(
    caller: NamedDependency[Caller],
    devices: NamedDependency[Devices],
    device_id: FromPath[str],
    *,
    cursor: Cursor = None,
    limit: Limit = None,
) -> Page[DeviceUserView]:
    """The people a device tells apart, in the order they were added."""
    most = limit_of(limit)
    found = await devices.users.page(caller.actor, device_id, place_of(cursor), most + 1)
    return page_of([_view(user) for user in found], most, lambda user: user.id)


@post("/devices/{device_id:str}/users", operation_id="addDeviceUser", opt={"action": Action.DEVICE_USER_MANAGE})
async def add_user(
    caller: NamedDependency[Caller],
    devices: NamedDependency[Devices],
    device_id: FromPath[str],
    data: JSONBody[NewUser],
) -> Response[DeviceUserView]:
    """Add somebody to a device."""
    user = await devices.users.add(caller, device_id, NewDeviceUser(**_fields(data)))
    return answer(_view(user), user.version, status=201)


@get(
    "/devices/{device_id:str}/users/{user_id:str}",
    operation_id="getDeviceUser",
    opt={"action": Action.DEVICE_USER_READ},
)
async def get_user(
    caller: NamedDependency[Caller],
    devices: NamedDependency[Devices],
    device_id: FromPath[str],
    user_id: FromPath[str],
) -> Response[DeviceUserView]:
    """One of the people of a device."""
    user = await devices.users.get(caller.actor, device_id, user_id)
    return answer(_view(user), user.version)


@patch(
    "/devices/{device_id:str}/users/{user_id:str}",
    operation_id="updateDeviceUser",
    opt={"action": Action.DEVICE_USER_MANAGE},
)
async def update_user(
    caller: NamedDependency[Caller],
    devices: NamedDependency[Devices],
    device_id: FromPath[str],
    user_id: FromPath[str],
    data: JSONBody[UserChange],
) -> Response[DeviceUserView]:
    """Change something of a person."""
    user = await devices.users.change(caller, device_id, user_id, DeviceUserChange(**_fields(data)))
    return answer(_view(user), user.version)


@delete(
    "/devices/{device_id:str}/users/{user_id:str}",
    operation_id="removeDeviceUser",
    opt={"action": Action.DEVICE_USER_MANAGE},
)
async def remove_user(
    caller: NamedDependency[Caller],
    devices: NamedDependency[Devices],
    device_id: FromPath[str],
    user_id: FromPath[str],
) -> None:
    """Forget a person: nothing of them is kept but that they were removed."""
    await devices.users.remove(caller, device_id, user_id)


ROUTER = Router("/", route_handlers=[list_users, add_user, get_user, update_user, remove_user])
