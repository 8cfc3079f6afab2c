"""What sealing reads: entities as this node shows them, and the vault's home keys."""

from collections.abc import Iterator, Mapping
from typing import Any

from app.store.tx import Reader
from app.sync import merge, queries, showing

_WAITING = "SELECT DISTINCT id FROM sync_pending WHERE home_id=? AND kind=?"


def shown(reader: Reader, home_id: str, kind: str, entity_id: str) -> Mapping[str, Any] | None:
    """An entity as this node shows it: what is confirmed, and what waits."""
    return showing.view(reader, home_id, kind, entity_id)[0]


def each(reader: Reader, home_id: str, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Those of a kind, in order of id."""
    waiting = {row[0] for row in reader.all(_WAITING, (home_id, kind))}
    confirmed = {it.id: it for it in queries.entities_of(reader, home_id, kind)}
    for entity_id in sorted(confirmed.keys() | waiting):
        is_waiting = entity_id in waiting
        fields = shown(reader, home_id, kind, entity_id) if is_waiting else merge.view(confirmed[entity_id], ())
        if fields is not None:
            yield entity_id, fields


def owner(reader: Reader, home_id: str) -> str | None:
    """The key of who owns a home, as far as this node knows."""
    return next((it for it, of in each(reader, home_id, "member") if of.get("role") == "owner"), None)


def open_conflicts(reader: Reader, home_id: str, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Those about entities of a kind that nobody has settled."""
    for conflict_id, record in each(reader, home_id, "conflict"):
        if record.get("kind") == kind and record.get("state") == "open":
            yield conflict_id, record


def removed(reader: Reader, home_id: str, kind: str) -> list[str]:
    """Those of a kind that were taken away, as long as their tombstones are kept."""
    sql = "SELECT id FROM sync_entities WHERE home_id=? AND kind=? AND dead_at IS NOT NULL ORDER BY id"
    return [row[0] for row in reader.all(sql, (home_id, kind))]


def is_first(reader: Reader, home_id: str, hub_id: str) -> bool:
    """Whether of the hubs that the log has this one came first, and the log has it already."""
    entities = queries.entities_of(reader, home_id, "hub")
    first = min(entities, key=lambda it: it.seq, default=None)
    return first is not None and first.id == hub_id


def rows_below(reader: Reader, beginning: str) -> list[str]:
    """The vault's rows whose names begin so; `beginning` ends with a slash."""
    sql = "SELECT row FROM secrets WHERE row>=? AND row<? ORDER BY row"
    return [row[0] for row in reader.all(sql, (beginning, beginning[:-1] + "0"))]
