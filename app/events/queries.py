"""The SQL of events; rows become structs by position."""

from msgspec import Struct

from app.policy import Action
from app.store.tx import Event, Reader, Row

_AFTER = (
    "SELECT seq,at,type,kind,entity_id,home_id,account_id,device_id,sees,data FROM events"
    " WHERE seq>? ORDER BY seq LIMIT ?"
)
_OLDEST = "SELECT seq FROM events ORDER BY seq LIMIT 1"
_LAST = "SELECT seq FROM sqlite_sequence WHERE name='events'"


class Kept(Struct, frozen=True):
    """Which events are on disk: those after `before`, up to `last`."""

    before: int
    last: int


def after(reader: Reader, seq: int, limit: int) -> list[Event]:
    """The first `limit` events after `seq`, in order."""
    return [_to_event(row) for row in reader.all(_AFTER, (seq, limit))]


def kept(reader: Reader) -> Kept:
    """Which events there are."""
    last = reader.one(_LAST)
    oldest = reader.one(_OLDEST)
    seq: int = last[0] if last else 0
    return Kept(before=oldest[0] - 1 if oldest else seq, last=seq)


def _to_event(row: Row) -> Event:
    seq, at, type_, kind, entity_id, home_id, account_id, device_id, sees, data = row
    return Event(seq, at, type_, kind, entity_id, home_id, account_id, device_id, Action(sees), data)
