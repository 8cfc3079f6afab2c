"""Devices, many at once: of a user, of the key's homes, of a home, shared, by id."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from app.devices.memory import Live
from app.dialects.tuya import codes
from app.dialects.tuya.codes import TuyaError
from app.dialects.tuya.model import MS
from app.dialects.tuya.operations import Ask, Operation
from app.dialects.tuya.views import Seen, updated
from app.policy import Action

PAGE: Final = 20
MOST: Final = 100
# A client may ask for the ids of a whole home in one call.
MOST_IDS: Final = 100
SPANS: Final = 30 * 24 * 3600
ALL_HOMES: Final = 1_000
AT_ONCE: Final = 10_000


def homes_of(ask: Ask) -> list[str]:
    """The homes that the key may read, in order of id."""
    return [home.id for home in ask.tuya.homes.list(ask.by.actor, "", ALL_HOMES)]


def all_seen(ask: Ask) -> Iterator[Live]:
    """Every device of those homes that the asker may see, in order of home and id."""
    for home_id in homes_of(ask):
        yield from ask.tuya.devices.views.page(ask.by.actor, home_id, limit=AT_ONCE)


def shared(ask: Ask) -> list[Live]:
    """Devices that others share with the key's person, each once."""
    found: dict[str, Live] = {}
    for share in ask.tuya.shares.of_account(ask.by.actor.account_id or ""):
        for device_id in devices_of(ask, share.kind, share.thing_id):
            if (live := ask.tuya.devices.memory.get(device_id)) is not None and can_see(ask, device_id):
                found[device_id] = live
    return list(found.values())


def devices_of(ask: Ask, kind: str, thing_id: str) -> tuple[str, ...]:
    """What is shared: a device, or those of a group."""
    group = ask.tuya.groups.access.groups.get(thing_id)
    return (thing_id,) if kind == "device" else () if group is None else group.devices


def can_see(ask: Ask, device_id: str) -> bool:
    """Whether the asker may read a device now."""
    return ask.tuya.may(ask.by.actor, Action.DEVICE_READ, device_id)


class Page(NamedTuple):
    """Part of a list: its last id (of the page before, where it is empty), and whether more follow."""

    items: list[Live]
    last: str
    more: bool


def paged(ask: Ask, found: list[Live]) -> Page:
    """The page after the last id of the one before, or where none is named the one of a number."""
    size, last = ask.whole("page_size", PAGE, 1, MOST), ask.query.get("last_id", "")
    return _page(found, _after(found, last) if last else (ask.whole("page_no", 1, 1) - 1) * size, size, last)


def _by_row(ask: Ask, found: list[Live], size: str) -> Page:
    """The page after a row; `size` is what the query calls its length."""
    last = ask.query.get("last_row_key", "")
    return _page(found, _after(found, last) if last else 0, ask.whole(size, PAGE, 1, MOST), last)


def _after(found: list[Live], last: str) -> int:
    """The place after a device; the end where it is not there."""
    return next((n + 1 for n, live in enumerate(found) if live.device.id == last), len(found))


def _page(found: list[Live], begin: int, size: int, last: str) -> Page:
    items = found[begin : begin + size]
    return Page(items, items[-1].device.id if items else last, begin + size < len(found))


async def of_filter(ask: Ask) -> dict[str, Any]:
    """Filtered by product, ids and time of the last news; by page number or last id."""
    begin, end = ask.time_ms("start_time") // MS, ask.time_ms("end_time") // MS
    if begin and end and end - begin > SPANS:
        raise TuyaError(codes.RANGE_INVALID)
    ids, product = _ids(ask), ask.query.get("product_id")
    found = [
        live
        for live in all_seen(ask)
        if (ids is None or live.device.id in ids)
        and (not product or live.device.product_id == product)
        and (not begin or updated(live) // MS >= begin)
        and (not end or updated(live) // MS <= end)
    ]
    page, seen = paged(ask, found), Seen(ask.tuya, ask.by.actor)
    return {
        "total": len(found),
        "devices": [seen.device(live) for live in page.items],
        "last_id": page.last,
        "has_more": page.more,
    }


def _ids(ask: Ask) -> set[str] | None:
    """The ids that a list is limited to; None: it is not."""
    return set(ask.ids("device_ids", MOST_IDS)) if ask.query.get("device_ids") else None


async def of_user(ask: Ask) -> list[dict[str, Any]]:
    """A user's devices: of their homes, shared with them, or (neither said) both."""
    ask.same_user(ask.path["uid"])
    where = ask.query.get("from", "")
    if where not in ("", "home", "sharing"):
        raise TuyaError(codes.RANGE_INVALID)
    found = [] if where == "sharing" else list(all_seen(ask))
    found += [] if where == "home" else shared(ask)
    seen = Seen(ask.tuya, ask.by.actor)
    # Without a page asked for, everything: no client goes on by itself here.
    paging = "page_no" in ask.query or "page_size" in ask.query
    return [seen.device(live) for live in (paged(ask, found).items if paging else found)]


async def of_home(ask: Ask) -> list[dict[str, Any]]:
    """A home's devices."""
    seen = Seen(ask.tuya, ask.by.actor)
    found = ask.tuya.devices.views.page(ask.by.actor, ask.path["home_id"], limit=AT_ONCE)
    return [seen.device(live) for live in found]


async def of_room(ask: Ask) -> list[dict[str, Any]]:
    """A room's devices."""
    home_id, room_id = ask.path["home_id"], ask.path["room_id"]
    ask.tuya.rooms.get(ask.by.actor, home_id, room_id)
    seen = Seen(ask.tuya, ask.by.actor)
    found = ask.tuya.devices.views.page(ask.by.actor, home_id, room_id=room_id, limit=AT_ONCE)
    return [seen.device(live) for live in found]


async def linked(ask: Ask) -> dict[str, Any]:
    """All devices of the key's person, with a cursor."""
    found = list(all_seen(ask))
    page, seen = _by_row(ask, found, "size"), Seen(ask.tuya, ask.by.actor)
    return {
        "devices": [seen.device(live) for live in page.items],
        "has_more": page.more,
        "last_row_key": page.last,
        "total": len(found),
    }


async def custom(ask: Ask) -> dict[str, Any]:
    """The device list of custom projects."""
    ids = _ids(ask)
    found = [live for live in all_seen(ask) if ids is None or live.device.id in ids]
    page, seen = _by_row(ask, found, "page_size"), Seen(ask.tuya, ask.by.actor)
    listed = [{**seen.device(live), "gateway_id": live.device.gateway_id or ""} for live in page.items]
    return {"list": listed, "has_more": page.more, "last_row_key": page.last, "total": len(found)}


OPERATIONS: Final = (
    Operation("GET", "/v1.0/devices", Action.DEVICE_READ, of_filter),
    Operation("GET", "/v1.0/users/{uid}/devices", Action.DEVICE_READ, of_user),
    Operation("GET", "/v1.0/homes/{home_id}/devices", Action.DEVICE_READ, of_home),
    Operation("GET", "/v1.0/homes/{home_id}/rooms/{room_id}/devices", Action.DEVICE_READ, of_room),
    Operation("GET", "/v1.0/iot-01/associated-users/devices", Action.DEVICE_READ, linked),
    Operation("GET", "/v1.0/iot-03/devices", Action.DEVICE_READ, custom),
    Operation("GET", "/v1.3/iot-03/devices", Action.DEVICE_READ, custom),
)
