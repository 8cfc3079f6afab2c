"""An event as listeners are told it, and the frames of a server-sent event stream (WHATWG HTML, 9.2)."""

from enum import StrEnum
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from app.clock import Time, to_time
from app.store.tx import Event

# Where a device is kept, what it is grouped with and who used it is its home's business: a receiver is not told.
_INDOORS = ("home_id", "room_id", "group_id", "account_id")
_encode = msgspec.json.Encoder().encode


class EventView(Struct, frozen=True):
    """One thing that happened. `id` is its place in the stream, `type` is noun.verb, `entity_id` what it is about.

    `home_id` is null for what concerns a person alone, and for receivers of a share. `data` is what changed.
    """

    id: str
    at: Time
    type: str
    kind: str
    entity_id: str
    home_id: str | None
    device_id: str | None
    data: Any = None


class Ending(StrEnum):
    """Why the hub ends a stream. The client comes back with the last id it has, after `signed_out` with a new token."""

    SIGNED_OUT = "signed_out"  # the credential expired or was revoked
    RIGHTS_CHANGED = "rights_changed"  # something was taken away, or is given under other terms
    ACCESS_ENDED = "access_ended"  # a grant's end or the end of its hours came
    REPLACED = "replaced"  # the same credential opened one stream too many
    LAGGING = "lagging"  # the client reads slower than things happen
    STOPPING = "stopping"  # the hub stops


class Place(Struct, frozen=True, gc=False):
    """Where a listener is: an event's number, within one incarnation of the hub (a restore numbers anew)."""

    incarnation: int
    seq: int

    def __str__(self) -> str:
        return f"{self.incarnation}-{self.seq}"


MAX_DIGITS = 18


def place_of(last_event_id: str) -> Place | None:
    """The place a Last-Event-ID names; None for what no hub ever gave."""
    incarnation, dash, seq = last_event_id.partition("-")
    for number in (incarnation, seq):
        if not (number.isascii() and number.isdigit() and len(number) <= MAX_DIGITS):
            return None
    return Place(int(incarnation), int(seq)) if dash else None


class Told:
    """An event on its way to any number of listeners: each of its two frames is encoded once, when first needed."""

    __slots__ = ("_incarnation", "_indoors", "_outdoors", "event")

    def __init__(self, event: Event, incarnation: int) -> None:
        self.event = event
        self._incarnation = incarnation
        self._indoors: bytes | None = None
        self._outdoors: bytes | None = None

    def frame(self, *, outdoors: bool = False) -> bytes:
        """For members of the home, or for somebody outside it."""
        if outdoors:
            self._outdoors = self._outdoors or self._encode(None, _without_home(self.event.data))
            return self._outdoors
        self._indoors = self._indoors or self._encode(self.event.home_id, self.event.data)
        return self._indoors

    def _encode(self, home_id: str | None, data: bytes) -> bytes:
        event, place = self.event, str(Place(self._incarnation, self.event.seq))
        raw, at = msgspec.Raw(data), to_time(event.at)
        view = EventView(place, at, event.type, event.kind, event.id, home_id, event.device_id, raw)
        return frame(event.type, view, place)


def frame(name: str, data: Any, place: str | UnsetType = UNSET) -> bytes:
    """One server-sent event. Encoded JSON holds no line break, so it is a single `data` line."""
    head = b"" if place is UNSET else b"id: %b\n" % place.encode()
    return b"%bevent: %b\ndata: %b\n\n" % (head, name.encode(), _encode(data))


def heartbeat(place: Place) -> bytes:
    """A comment, and the place reached: an id without data moves the client's Last-Event-ID and tells it nothing."""
    return f": \nid: {place}\n\n".encode()


def _without_home(data: bytes) -> bytes:
    body = msgspec.json.decode(data)
    if not isinstance(body, dict):
        return data
    return _encode({key: None if key in _INDOORS else value for key, value in body.items()})
