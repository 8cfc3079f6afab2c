"""Homes and the people of them as users."""

from typing import Annotated, Any, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from app.dialects.tuya import codes
from app.dialects.tuya.codes import TuyaError
from app.dialects.tuya.operations import Ask, Operation
from app.dialects.tuya.routes.lists import ALL_HOMES, homes_of
from app.homes.model import HomeView, Latitude, Longitude, Name
from app.policy import Action, Role
from app.store.tx import Tx

MAX_ROOMS: Final = 100


class HomeFields(Struct):
    """What a home is called and where it is."""

    name: Name | UnsetType = UNSET
    geo_name: Annotated[str, Meta(max_length=80)] | UnsetType = UNSET
    lat: Latitude | UnsetType | None = UNSET
    lon: Longitude | UnsetType | None = UNSET

    def ours(self) -> dict[str, Any]:
        """The same by our names; what is left out stays."""
        named = {"name": self.name, "address": self.geo_name, "latitude": self.lat, "longitude": self.lon}
        return {name: value for name, value in named.items() if value is not UNSET}


class NewHome(Struct):
    """A home and its first rooms."""

    uid: str
    home: HomeFields
    rooms: Annotated[list[Name], Meta(max_length=MAX_ROOMS)] = []


def shown(home: HomeView) -> dict[str, Any]:
    """A home as its table has it."""
    return {
        "home_id": home.id,
        "name": home.name,
        "geo_name": home.address,
        "lat": home.latitude or 0.0,
        "lon": home.longitude or 0.0,
    }


async def create(ask: Ask) -> str:
    """A home of the key's person, with its rooms, at once."""
    new = ask.body(NewHome)
    ask.same_user(new.uid)
    fields = new.home.ours()
    name = fields.pop("name", "")
    if not name:
        raise TuyaError(codes.EMPTY_PARAM)

    def act(tx: Tx) -> str:
        home = ask.tuya.homes.create_in(tx, ask.by, name=name, time_zone="UTC")
        if fields:
            ask.tuya.homes.update_in(tx, ask.by, home.id, fields)
        for room in new.rooms:
            ask.tuya.rooms.create_in(tx, ask.by, home.id, name=room, icon="")
        return home.id

    return await ask.tuya.store.write(act)


async def details(ask: Ask) -> dict[str, Any]:
    """One home."""
    return shown(ask.tuya.homes.get(ask.by.actor, ask.path["home_id"]))


async def modify(ask: Ask) -> bool:
    """Rename or locate a home."""
    await ask.tuya.homes.update(ask.by, ask.path["home_id"], **ask.body(HomeFields).ours())
    return True


async def dissolve(ask: Ask) -> bool:
    """End a home that has nothing and nobody else in it: what is in it does not go by the accident of one call."""
    home = ask.tuya.homes.get(ask.by.actor, ask.path["home_id"])
    await ask.tuya.homes.dissolve(ask.by, home.id, name=home.name, along=frozenset())
    return True


async def of_user(ask: Ask) -> list[dict[str, Any]]:
    """The homes of the key's person."""
    ask.same_user(ask.path["uid"])
    found = ask.tuya.homes.list(ask.by.actor, "", ALL_HOMES)
    return [{**shown(home), "role": home.role.value.upper()} for home in found]


async def infos(ask: Ask) -> dict[str, Any]:
    """The key's person."""
    ask.same_user(ask.path["uid"])
    account = ask.tuya.credentials.accounts.get(ask.path["uid"])
    if account is None:
        raise TuyaError(codes.DENIED)
    login = account.login or ""
    home = next(iter(ask.tuya.homes.list(ask.by.actor, "", 1)), None)
    return {
        "uid": account.id,
        "username": login,
        "nick_name": account.name,
        "country_code": "",
        "mobile": "",
        "email": login if "@" in login else "",
        "avatar": "",
        "temp_unit": 1,
        "time_zone_id": "UTC" if home is None else home.time_zone,
        "create_time": account.created_at // 1000,
        "update_time": account.created_at // 1000,
    }


async def users(ask: Ask) -> dict[str, Any]:
    """The people of the key's homes."""
    size, number = ask.whole("page_size", 20, 1, 100), ask.whole("page_no", 1, 1)
    found: dict[str, dict[str, Any]] = {}
    for home_id in homes_of(ask):
        if ask.tuya.standings.of(ask.by.actor, home_id).role is Role.GUEST:
            continue
        for member in await ask.tuya.members.list(ask.by.actor, home_id, "", 200):
            account = ask.tuya.credentials.accounts.get(member.account_id)
            at = 0 if account is None else account.created_at // 1000
            name = {"uid": member.account_id, "username": member.name, "country_code": "", "mobile": "", "email": ""}
            found[member.account_id] = {**name, "create_time": at, "update_time": at}
    listed = [found[uid] for uid in sorted(found)]
    page = listed[(number - 1) * size : number * size]
    return {"list": page, "has_more": number * size < len(listed), "total": len(listed)}


async def not_made_here(ask: Ask) -> bool:
    """People make their own accounts, by an invitation; no key runs the hub."""
    raise TuyaError(codes.NOT_SUPPORTED)


async def not_here(ask: Ask) -> bool:
    """Messages come by WebSocket, not by a broker."""
    raise TuyaError(codes.NOT_SUPPORTED)


OPERATIONS: Final = (
    Operation("POST", "/v1.0/home/create-home", Action.HOME_CREATE, create),
    Operation("GET", "/v1.0/homes/{home_id}", Action.HOME_READ, details),
    Operation("PUT", "/v1.0/homes/{home_id}", Action.HOME_UPDATE, modify),
    Operation("DELETE", "/v1.0/homes/{home_id}", Action.HOME_DISSOLVE, dissolve),
    Operation("GET", "/v1.0/users/{uid}/homes", Action.HOME_READ, of_user),
    Operation("GET", "/v1.0/users/{uid}/infos", Action.SELF, infos),
    Operation("POST", "/v1.0/apps/{schema}/user", Action.SELF, not_made_here),
    Operation("POST", "/v1.0/open-hub/access/config", Action.SELF, not_here),
    Operation("GET", "/v1.0/apps/{schema}/users", Action.MEMBER_READ, users),
    Operation("GET", "/v2.0/apps/{schema}/users", Action.MEMBER_READ, users),
)
