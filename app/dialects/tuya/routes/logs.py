"""What happened to devices: both editions of the log, and what was reported (specs/tuya/api.json, `event_type`)."""

from typing import Any, Final

import msgspec

from app.clock import to_ms
from app.dialects.tuya import codes
from app.dialects.tuya.codes import TuyaError
from app.dialects.tuya.operations import Ask, Operation, ids_of
from app.dialects.tuya.points import points_of, value_out
from app.dialects.tuya.routes.control import product_of
from app.dialects.tuya.routes.devices import live_of
from app.dialects.tuya.rows import place_of, row_key
from app.journal.model import EntryView, Kind
from app.journal.queries import Wanted
from app.policy import Action

# Theirs by number, ours by kind; what they count and we do not write finds nothing.
EVENTS: Final[dict[int, tuple[Kind, ...]]] = {
    1: (Kind.ONLINE,),
    2: (Kind.OFFLINE,),
    3: (Kind.ADDED,),
    4: (Kind.RESET, Kind.REMOVED),
    5: (Kind.COMMAND,),
    6: (Kind.UPGRADE,),
    7: (Kind.REPORT,),
    8: (),
    9: (),
    10: (),
}
NUMBERS: Final = {kind: number for number, kinds in EVENTS.items() for kind in kinds}
WEEK_MS: Final = 7 * 24 * 3600 * 1000
SIZE: Final = 20
MOST: Final = 100
PAID: Final = 2
BY_DEVICE, BY_CLIENT, BY_CLOUD, UNKNOWN = "1", "2", "4", "-1"


def _kinds(ask: Ask) -> frozenset[Kind]:
    numbers = ids_of(ask.query.get("type", ""), len(EVENTS))
    if any(not number.isdigit() or int(number) not in EVENTS for number in numbers):
        raise TuyaError(codes.RANGE_INVALID)
    return frozenset(kind for number in numbers for kind in EVENTS[int(number)])


class Codes:
    """A device's codes both ways: the log names properties and commands by our ids."""

    def __init__(self, ask: Ask) -> None:
        points = points_of(product_of(ask, live_of(ask)))
        self._by_code = points.by_code
        # Of two services with a property of one name, the first.
        self._by_id = {point.field.id: point for point in reversed(points.all)}

    def ours(self, wanted: str) -> frozenset[str]:
        """Our names of the codes a query lists; of none that exists, one that nothing is noted under."""
        if not wanted:
            return frozenset()
        found = frozenset(self._by_code[code].field.id for code in ids_of(wanted, MOST) if code in self._by_code)
        return found or frozenset({"no such code"})

    def shown(self, entry: EntryView) -> tuple[str, Any]:
        """(code, value) of an entry."""
        point = self._by_id.get(entry.code)
        if entry.type is not Kind.REPORT or point is None:
            return ("" if point is None else point.code), entry.value
        return point.code, value_out(point, entry.value)


async def _page(ask: Ask, known: Codes, types: frozenset[Kind], key: str) -> tuple[list[EntryView], bool]:
    begin, end = ask.time_ms("start_time"), ask.time_ms("end_time")
    now = ask.tuya.clock.now().ms
    size = ask.whole("size", SIZE, 1, MOST)
    wanted = Wanted(
        types=types,
        codes=known.ours(ask.query.get("codes", "")),
        since=begin or now - WEEK_MS,
        before=end + 1 if end else None,
        place=place_of(key),
    )
    if not types:
        ask.tuya.demand(ask.by.actor, Action.DEVICE_JOURNAL, ask.path["device_id"])
        return [], False
    found = await ask.tuya.trail.of_device(ask.by.actor, ask.path["device_id"], wanted, size + 1)
    return found[:size], len(found) > size


def _text(value: Any) -> str:
    """Values are text here, whatever they are elsewhere."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _from(entry: EntryView) -> str:
    match entry.source:
        case "device":
            return BY_DEVICE
        case "hub":
            return BY_CLOUD
        case "":
            return UNKNOWN
        case _:
            return BY_CLIENT


async def log(ask: Ask) -> dict[str, Any]:
    """What happened, the newest first; the paid edition (`query_type=2`) besides with a row for each."""
    device_id, paid = ask.path["device_id"], ask.whole("query_type", 1) == PAID
    key = ask.query.get("last_row_key" if paid else "start_row_key", "")
    kinds, known = _kinds(ask), Codes(ask)
    entries, more = await _page(ask, known, kinds, key)
    logs = [_entry(known, entry) for entry in entries]
    keys = [
        row_key(device_id, to_ms(entry.at), NUMBERS.get(entry.type, 0), entry.id, encoded=not paid) for entry in entries
    ]
    answer: dict[str, Any] = {"device_id": device_id, "has_next": more}
    if paid:
        rows = [{**one, "row": key, "status": "1"} for one, key in zip(logs, keys, strict=True)]
        return {**answer, "logs": rows, "count": len(rows)}
    here, following = key or (keys[0] if keys else ""), keys[-1] if more else None
    return {**answer, "logs": logs, "current_row_key": here, "next_row_key": following}


def _entry(known: Codes, entry: EntryView) -> dict[str, Any]:
    code, value = known.shown(entry)
    return {
        "code": code,
        "value": _text(value),
        "event_time": to_ms(entry.at),
        "event_from": _from(entry),
        "event_id": NUMBERS.get(entry.type, 0),
    }


async def _reported(ask: Ask) -> tuple[list[dict[str, Any]], str, bool]:
    known, device_id = Codes(ask), ask.path["device_id"]
    entries, more = await _page(ask, known, frozenset({Kind.REPORT}), ask.query.get("last_row_key", ""))
    kept = ("code", "value", "event_time")
    rows = [{name: shown[name] for name in kept} for shown in (_entry(known, entry) for entry in entries)]
    last = row_key(device_id, to_ms(entries[-1].at), NUMBERS[Kind.REPORT], entries[-1].id) if entries else ""
    return rows, last, more


async def reported(ask: Ask) -> dict[str, Any]:
    """What a device reported, the newest first."""
    rows, last, more = await _reported(ask)
    counts = {"has_more": more, "total": len(rows)}
    return {"device_id": ask.path["device_id"], "logs": rows, "last_row_key": last, **counts}


async def reported_custom(ask: Ask) -> dict[str, Any]:
    """The same for custom projects."""
    rows, last, more = await _reported(ask)
    return {
        "device_id": ask.path["device_id"],
        "list": rows,
        "last_row_key": last,
        "has_more": more,
        "total": len(rows),
    }


OPERATIONS: Final = (
    Operation("GET", "/v1.0/devices/{device_id}/logs", Action.DEVICE_JOURNAL, log),
    Operation("GET", "/v1.0/iot-03/devices/{device_id}/logs", Action.DEVICE_JOURNAL, log),
    Operation("GET", "/v2.0/cloud/thing/{device_id}/logs", Action.DEVICE_JOURNAL, log),
    Operation("GET", "/v2.0/cloud/thing/{device_id}/report-logs", Action.DEVICE_JOURNAL, reported),
    Operation("GET", "/v1.0/devices/{device_id}/report-logs", Action.DEVICE_JOURNAL, reported),
    Operation("GET", "/v1.0/iot-03/devices/{device_id}/report-logs", Action.DEVICE_JOURNAL, reported_custom),
)
