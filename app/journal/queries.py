"""The SQL of the journal and the audit trail."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from app.clock import to_time
from app.journal.model import AuditView, Entry, EntryView, Kind
from app.store.tx import Reader, Tx, json_of

_INSERT = "INSERT INTO journal(device_id,home_id,at,type,code,value,source) VALUES(?,?,?,?,?,?,?)"
_ENTRIES = "SELECT seq,at,type,code,value,source FROM journal WHERE device_id=? AND home_id=?"
_AUDIT = "SELECT seq,at,account_id,credential_id,type,kind,entity_id,data FROM audit WHERE home_id=?"


class Wanted(Struct, frozen=True):
    """Which entries: of some kinds, about some properties or commands (none named: of all of them), since and before a
    time (ms), older than a place.
    """

    types: frozenset[Kind] = frozenset()
    codes: frozenset[str] = frozenset()
    since: int | None = None
    before: int | None = None
    place: int | None = None


def insert(tx: Tx, entries: Iterable[Entry]) -> None:
    """Store entries in their order; written with those of other acts."""
    for e in entries:
        tx.put(_INSERT, (e.device_id, e.home_id, e.at, e.type.value, e.code, e.value, e.source))


def entries(
    reader: Reader, device_id: str, home_id: str, wanted: Wanted, limit: int, *, offset: int = 0
) -> list[EntryView]:
    """The newest entries of a device first, after the newest `offset`."""
    # Each kind has its place in an index: a rare one is found without reading all there is of the others.
    parts, args = list[str](), list[Any]()
    for kind in _kinds(wanted):
        sql, each = _narrowed(_ENTRIES, [device_id, home_id], wanted, kind)
        parts.append(f"SELECT * FROM ({sql} ORDER BY seq DESC LIMIT ?)")  # noqa: S608 - our own names
        args += (*each, limit + offset)
    sql = f"{' UNION ALL '.join(parts)} ORDER BY seq DESC LIMIT ? OFFSET ?"
    return [
        EntryView(seq, to_time(at), Kind(kind), code, msgspec.json.decode(value), source)
        for seq, at, kind, code, value, source in reader.all(sql, (*args, limit, offset))
    ]


def count(reader: Reader, device_id: str, home_id: str, wanted: Wanted) -> int:
    """How many entries of a device there are, newer ones than the place among them."""
    anywhere = msgspec.structs.replace(wanted, place=None)
    total = 0
    for kind in _kinds(wanted):
        sql, args = _narrowed(_ENTRIES, [device_id, home_id], anywhere, kind)
        row = reader.one(f"SELECT count(*) FROM ({sql})", args)  # noqa: S608 - our own names
        total += 0 if row is None else row[0]
    return total


def _narrowed(sql: str, args: list[Any], wanted: Wanted, kind: str | None = None) -> tuple[str, list[Any]]:
    conditions = {
        "type=?": kind,
        "code IN (SELECT value FROM json_each(?))": json_of(sorted(wanted.codes)) if wanted.codes else None,
        "at>=?": wanted.since,
        "at<?": wanted.before,
        "seq<?": wanted.place,
    }
    for condition, value in conditions.items():
        if value is not None:
            sql, args = f"{sql} AND {condition}", [*args, value]
    return sql, args


def _kinds(wanted: Wanted) -> list[str | None]:
    return [*sorted(kind.value for kind in wanted.types)] or [None]


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
