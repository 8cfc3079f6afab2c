"""Homes and rooms as other nodes have them, between their tables and the log."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from app.caller import Caller
from app.errors import Invalid
from app.homes import queries
from app.homes.facts import HomeFields, RoomFields, fitting, home_fields, is_id, plain, room_fields
from app.homes.model import Home, Room, check_time_zone
from app.homes.rooms import Rooms
from app.homes.service import Homes
from app.store.tx import Reader, Tx
from app.sync.kinds import Fields, Item, Watch

# What a home goes by whose time zone this machine's tables do not know yet.
UNKNOWN_ZONE: Final = "UTC"


class HomeFacts:
    """The home itself. One that is not here is made, and nobody is in it until they are put there as well."""

    name: Final = "home"
    watches: Final = (
        Watch(
            "homes",
            "$.id",
            "$.id",
            ("name", "time_zone", "latitude", "longitude", "address", "offline_alert_after"),
        ),
    )

    def __init__(self, homes: Homes) -> None:
        self._homes = homes

    def read_in(self, reader: Reader, home_id: str, entity_id: str, known: Fields | None) -> dict[str, Any] | None:
        """The home."""
        home = queries.home(reader, home_id) if entity_id == home_id else None
        return None if home is None else plain(home_fields(home))

    def ids_in(self, reader: Reader, home_id: str) -> Iterable[str]:
        """Itself."""
        return [home_id] if queries.has_home(reader, home_id) else []

    def put_in(self, tx: Tx, home_id: str, items: Sequence[Item]) -> None:
        """Make it, change it, or end it with all that is in it."""
        for item in items:
            if item.id == home_id:
                self._put_one_in(tx, item)

    def _put_one_in(self, tx: Tx, item: Item) -> None:
        old = queries.home(tx, item.id)
        if item.fields is None:
            if old is not None:
                self._homes.end_in(tx, item.by, old)
        elif (fields := fitting(HomeFields, item.fields)) is not None:
            wanted = msgspec.structs.asdict(fields) | {"time_zone": _zone(fields.time_zone, old)}
            if old is None:
                self._homes.found_in(tx, item.by, Home(item.id, epoch=1, version=1, created_at=tx.now, **wanted))
            elif changed := {name: value for name, value in wanted.items() if value != getattr(old, name)}:
                self._homes.become_in(tx, item.by, old, changed)

    def refers(self, entity_id: str, fields: Fields) -> Iterable[tuple[str, str]]:
        """To nothing."""
        return ()


class RoomFacts:
    """Rooms."""

    name: Final = "room"
    watches: Final = (Watch("rooms", "$.id", "$.home_id", ("name", "icon", "position")),)

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def read_in(self, reader: Reader, home_id: str, entity_id: str, known: Fields | None) -> dict[str, Any] | None:
        """A room."""
        room = queries.room(reader, home_id, entity_id)
        return None if room is None else plain(room_fields(room))

    def ids_in(self, reader: Reader, home_id: str) -> Iterable[str]:
        """The rooms of a home."""
        return [room.id for room in queries.rooms_of(reader, home_id)]

    def put_in(self, tx: Tx, home_id: str, items: Sequence[Item]) -> None:
        """Rooms come, change and go. Where only their order is another, that is told once for all of them."""
        if not queries.has_home(tx, home_id):
            return
        there = {room.id: room for room in queries.rooms_of(tx, home_id)}
        moved_by: Caller | None = None
        for item in items:
            if self._put_one_in(tx, home_id, item, there.get(item.id)):
                moved_by = item.by
        if moved_by is not None:
            self._rooms.tell_order_in(tx, moved_by, home_id, queries.rooms_of(tx, home_id))

    def _put_one_in(self, tx: Tx, home_id: str, item: Item, old: Room | None) -> bool:
        """Returns whether the room only stands elsewhere in the order now, which is to be told."""
        if item.fields is None:
            if old is not None:
                self._rooms.end_in(tx, item.by, old)
            return False
        fields = fitting(RoomFields, item.fields)
        if fields is None or fields == (old and room_fields(old)):
            return False
        if old is None:
            if is_id(item.id) and queries.home_of_room(tx, item.id) is None:
                room = Room(item.id, home_id, fields.name, fields.icon, fields.position, version=1)
                self._rooms.build_in(tx, item.by, room)
            return False
        new = Room(old.id, home_id, fields.name, fields.icon, fields.position, old.version + 1)
        if (new.name, new.icon) == (old.name, old.icon):
            self._rooms.place_in(tx, new)
            return True
        self._rooms.become_in(tx, item.by, new)
        return False

    def refers(self, entity_id: str, fields: Fields) -> Iterable[tuple[str, str]]:
        """To nothing but the home."""
        return ()


def _zone(name: str, old: Home | None) -> str:
    """`name`; where this machine's tables are older than that zone, what the home had: it is better than no home."""
    try:
        return check_time_zone(name)
    except Invalid:
        return UNKNOWN_ZONE if old is None else old.time_zone
