"""Names of a device's parts, and the people it tells apart."""

from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from app.devices.user_model import (
    Birthday,
    Contact,
    DeviceUser,
    DeviceUserChange,
    Height,
    NewDeviceUser,
    NickName,
    Sex,
    Weight,
)
from app.dialects.tuya import codes
from app.dialects.tuya.codes import TuyaError
from app.dialects.tuya.operations import Ask, Operation
from app.dialects.tuya.routes.control import point_of, product_of
from app.dialects.tuya.routes.devices import live_of
from app.homes.model import Name
from app.policy import Action

SEXES: Final = {1: Sex.MALE, 2: Sex.FEMALE}
NUMBERS: Final = {sex: number for number, sex in SEXES.items()}
MOST_USERS: Final = 200


class PointName(Struct):
    """What a data point is called."""

    name: Name


class OutletName(Struct):
    """What an outlet is called."""

    identifier: str
    name: Name


class CustomName(Struct):
    """What a property is called."""

    code: str
    custom_name: Name


class CustomNames(Struct):
    """Several."""

    properties: list[CustomName]


class Person(Struct):
    """A person a device tells apart; `birthday` in ms, `height` in cm, `weight` in g."""

    nick_name: NickName
    sex: int
    birthday: Birthday | None = None
    height: Height | None = None
    weight: Weight | None = None
    contact: Contact = ""


class PersonChange(Struct):
    """What changes of a person; what is left out stays."""

    nick_name: NickName
    sex: int
    birthday: Birthday | UnsetType = UNSET
    height: Height | UnsetType = UNSET
    weight: Weight | UnsetType = UNSET
    contact: Contact | UnsetType = UNSET


async def _call(ask: Ask, names: dict[str, str]) -> bool:
    """Give data points names; raises TuyaError for what is none."""
    live = live_of(ask)
    given: dict[str, dict[str, str | None]] = {}
    product = product_of(ask, live)
    for code, name in names.items():
        point = point_of(product, code)
        given.setdefault(point.service, {})[point.field.id] = name
    await ask.tuya.devices.names.give(ask.by, live.device.id, given)
    return True


async def name_point(ask: Ask) -> bool:
    """Call a data point something."""
    return await _call(ask, {ask.path["function_code"]: ask.body(PointName).name})


async def name_properties(ask: Ask) -> bool:
    """Call several something."""
    return await _call(ask, {one.code: one.custom_name for one in ask.body(CustomNames).properties})


async def name_outlet(ask: Ask) -> bool:
    """Call an outlet something."""
    given = ask.body(OutletName)
    outlets = ask.tuya.devices.names.of(ask.by.actor, live_of(ask).device.id).outlets
    if given.identifier not in {outlet.identifier for outlet in outlets}:
        raise TuyaError(codes.VALUE_UNFIT)
    return await _call(ask, {given.identifier: given.name})


async def outlet_names(ask: Ask) -> list[dict[str, str]]:
    """Every outlet as it is called."""
    outlets = ask.tuya.devices.names.of(ask.by.actor, live_of(ask).device.id).outlets
    return [{"identifier": outlet.identifier, "name": outlet.name} for outlet in outlets]


def _sex(number: int) -> Sex:
    if number not in SEXES:
        raise TuyaError(codes.RANGE_INVALID)
    return SEXES[number]


def shown(person: DeviceUser) -> dict[str, Any]:
    """A person as the table has it, and besides the id, which nothing else tells."""
    return {
        "device_id": person.device_id,
        "user_id": person.id,
        "nick_name": person.nick_name,
        "sex": NUMBERS[person.sex],
        "birthday": person.birthday or 0,
        "height": person.height or 0,
        "weight": person.weight or 0,
        "contact": person.contact,
    }


async def add(ask: Ask) -> str:
    """A new person; their id."""
    given = ask.body(Person)
    fields = {**msgspec.structs.asdict(given), "sex": _sex(given.sex)}
    return (await ask.tuya.devices.users.add(ask.by, ask.path["device_id"], NewDeviceUser(**fields))).id


async def modify(ask: Ask) -> bool:
    """Change a person."""
    given = ask.body(PersonChange)
    fields = {**msgspec.structs.asdict(given), "sex": _sex(given.sex)}
    change = DeviceUserChange(**fields)
    await ask.tuya.devices.users.change(ask.by, ask.path["device_id"], ask.path["user_id"], change)
    return True


async def remove(ask: Ask) -> bool:
    """Forget a person."""
    await ask.tuya.devices.users.remove(ask.by, ask.path["device_id"], ask.path["user_id"])
    return True


async def details(ask: Ask) -> dict[str, Any]:
    """One person."""
    return shown(await ask.tuya.devices.users.get(ask.by.actor, ask.path["device_id"], ask.path["user_id"]))


async def listed(ask: Ask) -> list[dict[str, Any]]:
    """Everybody a device tells apart."""
    return [
        shown(one) for one in await ask.tuya.devices.users.page(ask.by.actor, ask.path["device_id"], None, MOST_USERS)
    ]


_DEVICE: Final = "/v1.0/devices/{device_id}"
_PERSON: Final = f"{_DEVICE}/users/{{user_id}}"
_PROPERTIES: Final = "/v2.0/cloud/thing/{device_id}/shadow/properties"
OPERATIONS: Final = (
    Operation("PUT", f"{_DEVICE}/functions/{{function_code}}", Action.DEVICE_UPDATE, name_point),
    Operation("POST", _PROPERTIES, Action.DEVICE_UPDATE, name_properties),
    Operation("PUT", f"{_DEVICE}/multiple-name", Action.DEVICE_UPDATE, name_outlet),
    Operation("GET", f"{_DEVICE}/multiple-names", Action.DEVICE_READ, outlet_names),
    Operation("POST", f"{_DEVICE}/user", Action.DEVICE_USER_MANAGE, add),
    Operation("PUT", _PERSON, Action.DEVICE_USER_MANAGE, modify),
    Operation("DELETE", _PERSON, Action.DEVICE_USER_MANAGE, remove),
    Operation("GET", _PERSON, Action.DEVICE_USER_READ, details),
    Operation("GET", f"{_DEVICE}/users", Action.DEVICE_USER_READ, listed),
)
