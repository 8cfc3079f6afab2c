"""The SQL of the journal and the audit trail."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from app.clock import to_time
from app.journal.model import AuditView, Entry, EntryView, Kind
from app.store.tx import Reader, Tx

_INSERT = "INSERT INTO journal(device_id,home_id,at,type,code,value,source) VALUES(?,?,?,?,?,?,?)"
_ENTRIES = "SELECT seq,at,type,code,value,source FROM journal WHERE device_id=? AND home_id=?"
_AUDIT = "SELECT seq,at,account_id,credential_id,type,kind,entity_id,data FROM audit WHERE home_id=?"


class Wanted(Struct, frozen=True):
    """Which entries: of a kind, about a property or command, since and before a time (ms), older than a place."""

    type: Kind | None = None
    code: str | None = None
    since: int | None = None
    before: int | None = None
    place: int | None = None


def insert(tx: Tx, entries: Iterable[Entry]) -> None:
    """Store entries in their order; written with those of other acts."""
    for e in entries:
        tx.put(_INSERT, (e.device_id, e.home_id, e.at, e.type.value, e.code, e.value, e.source))


def entries(reader: Reader, device_id: str, home_id: str, wanted: Wanted, limit: int) -> list[EntryView]:
    """The newest entries of a device first."""
    sql, args = _narrowed(_ENTRIES, [device_id, home_id], wanted)
    return [
        EntryView(seq, to_time(at), Kind(kind), code, msgspec.json.decode(value), source)
        for seq, at, kind, code, value, source in reader.all(f"{sql} ORDER BY seq DESC LIMIT ?", (*args, limit))
    ]


def _narrowed(sql: str, args: list[Any], wanted: Wanted) -> tuple[str, list[Any]]:
    conditions = {
        "type=?": None if wanted.type is None else wanted.type.value,
        "code=?": wanted.code,
        "at>=?": wanted.since,
        "at<?": wanted.before,
        "seq<?": wanted.place,
    }
    for condition, value in conditions.items():
        if value is not None:
            sql, args = f"{sql} AND {condition}", [*args, value]
    return sql, args


def audit(reader: Reader, home_id: str, wanted: Wanted, limit: int) -> list[AuditView]:
    """The newest acts in a home first; of `wanted`, the times and the place count."""
    times = Wanted(since=wanted.since, before=wanted.before, place=wanted.place)
    sql, args = _narrowed(_AUDIT, [home_id], times)
    return [
        AuditView(seq, to_time(at), account_id, credential_id, kind, of, entity_id, msgspec.json.decode(data))
        for seq, at, account_id, credential_id, kind, of, entity_id, data in reader.all(
            f"{sql} ORDER BY seq DESC LIMIT ?", (*args, limit)
        )
    ]
