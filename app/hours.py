"""Hours of the week by a home's own clock, through every change of it. Pure."""

from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Annotated
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct

MINUTE_MS = 60_000
DAY_MINUTES = 24 * 60
DAY_MS = DAY_MINUTES * MINUTE_MS
# A week, and a day for the clock changes in it.
LOOK_AHEAD_DAYS = 8


Weekday = Annotated[int, Meta(ge=0, le=6)]


class Window(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Hours of the week: on `days` (0 Monday .. 6 Sunday) from `start` to `end`, minutes after local midnight.

    An `end` at or before `start` lies on the next day; equal means 24 hours.
    """

    days: Annotated[tuple[Weekday, ...], Meta(min_length=1, max_length=7)]
    start: Annotated[int, Meta(ge=0, lt=DAY_MINUTES)]
    end: Annotated[int, Meta(ge=0, le=DAY_MINUTES)]


@cache
def zone_of(name: str) -> ZoneInfo:
    """A time zone by its IANA name. The first asking reads its file, so it is done off the event loop, early."""
    return ZoneInfo(name)


@lru_cache(maxsize=4096)
def end_of_hours(hours: tuple[Window, ...], time_zone: str, minute: int) -> int | None:
    """When hours that hold at `minute` (since the epoch) end, in ms; None: they do not hold.

    At most 8 days later, at which it is asked again anyway.
    """
    zone, start = zone_of(time_zone), minute * MINUTE_MS
    if not _within(hours, zone, start):
        return None
    for boundary in sorted(_boundaries(hours, zone, start)):
        if boundary > start and not _within(hours, zone, boundary):
            return boundary
    return start + LOOK_AHEAD_DAYS * DAY_MS


def _within(hours: tuple[Window, ...], zone: ZoneInfo, ms: int) -> bool:
    local = datetime.fromtimestamp(ms // 1000, zone)
    minute, today = local.hour * 60 + local.minute, local.weekday()
    yesterday = (today - 1) % 7
    for window in hours:
        if window.start < window.end:
            if today in window.days and window.start <= minute < window.end:
                return True
        elif (today in window.days and minute >= window.start) or (yesterday in window.days and minute < window.end):
            return True
    return False


def _boundaries(hours: tuple[Window, ...], zone: ZoneInfo, start: int) -> set[int]:
    """Every instant (ms) in the days after `start` at which `_within` can change.

    The edges of the windows, an ambiguous or skipped time by both of its readings; and changes of the clock, which can
    put the hour back before a window's beginning.
    """
    midnight = datetime.fromtimestamp(start // 1000, zone).replace(hour=0, minute=0, second=0, tzinfo=None)
    found = set()
    for day in range(-1, LOOK_AHEAD_DAYS + 1):
        for edge in {edge for window in hours for edge in (window.start, window.end)}:
            wall = midnight + timedelta(days=day, minutes=edge)
            found |= {int(wall.replace(tzinfo=zone, fold=fold).timestamp()) * 1000 for fold in (0, 1)}
        change = _clock_change(zone, start + day * DAY_MS, start + (day + 1) * DAY_MS)
        if change is not None:
            found.add(change)
    return found


def _clock_change(zone: ZoneInfo, early: int, late: int) -> int | None:
    """The first minute (ms) of the new offset, where the zone's offset changes between two times a day apart."""

    def offset(ms: int) -> timedelta | None:
        return datetime.fromtimestamp(ms // 1000, zone).utcoffset()

    old = offset(early)
    if offset(late) == old:
        return None
    while late - early > MINUTE_MS:
        middle = early + (late - early) // (2 * MINUTE_MS) * MINUTE_MS
        early, late = (middle, late) if offset(middle) == old else (early, middle)
    return late
