"""The SQL of facts that a log has and the tables do not show yet (PROTOCOL.md 2): runs of ids, each id in one."""

from collections.abc import Iterable
from typing import Final

import msgspec

from app.store.tx import Reader, Tx, json_of
from app.sync.log import Key
from app.sync.queries import by_kind

# Ids in a row: many enough that a page is a few rows, few enough that one id is found without reading all.
RUN: Final = 250
_decode_ids: Final = msgspec.json.Decoder(list[str]).decode


def put(tx: Tx, home_id: str, keys: Iterable[Key]) -> None:
    """They are to be shown."""
    for kind, ids in by_kind(keys).items():
        new = sorted(ids.difference(*(run for _, run in _runs_among(tx, home_id, kind, ids))))
        for begin in range(0, len(new), RUN):
            _insert(tx, home_id, kind, new[begin : begin + RUN])


def homes(reader: Reader) -> list[str]:
    """Those of which something is."""
    return [row[0] for row in reader.all("SELECT DISTINCT home_id FROM sync_behind")]


def among(reader: Reader, home_id: str, keys: Iterable[Key]) -> set[Key]:
    """Those of `keys` that are."""
    return {
        (kind, entity_id)
        for kind, ids in by_kind(keys).items()
        for _, run in _runs_among(reader, home_id, kind, ids)
        for entity_id in ids & run
    }


def some(reader: Reader, home_id: str, most: int) -> list[Key]:
    """At most `most`, devices before what is of them."""
    row = reader.one("SELECT kind, ids FROM sync_behind WHERE home_id=? ORDER BY kind, first LIMIT 1", (home_id,))
    return [] if row is None else [(row[0], entity_id) for entity_id in _decode_ids(row[1])[:most]]


def count(reader: Reader, home_id: str) -> int:
    """How many of a home are."""
    row = reader.one("SELECT coalesce(sum(many), 0) FROM sync_behind WHERE home_id=?", (home_id,))
    return 0 if row is None else int(row[0])


def drop(tx: Tx, home_id: str, keys: Iterable[Key]) -> None:
    """They are shown."""
    for kind, ids in by_kind(keys).items():
        for first, run in _runs_among(tx, home_id, kind, ids):
            if run.isdisjoint(ids):
                continue
            tx.run("DELETE FROM sync_behind WHERE home_id=? AND kind=? AND first=?", (home_id, kind, first))
            if left := sorted(run - ids):
                _insert(tx, home_id, kind, left)


def _runs_among(reader: Reader, home_id: str, kind: str, ids: set[str]) -> list[tuple[str, set[str]]]:
    """Runs in which any of `ids` may be, by the first id of each."""
    sql = "SELECT first, ids FROM sync_behind WHERE home_id=? AND kind=? AND first<=? AND last>=?"
    return [(first, set(_decode_ids(run))) for first, run in reader.all(sql, (home_id, kind, max(ids), min(ids)))]


def _insert(tx: Tx, home_id: str, kind: str, ids: list[str]) -> None:
    row = home_id, kind, ids[0], ids[-1], len(ids), json_of(ids)
    tx.run("INSERT INTO sync_behind VALUES(?,?,?,?,?,?)", row)
