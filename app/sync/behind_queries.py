"""The SQL of facts that a log has and the tables do not show yet (PROTOCOL.md 2)."""

from collections.abc import Iterable

from app.store.tx import Reader, Tx
from app.sync.log import Key
from app.sync.queries import among_keys


def put(tx: Tx, home_id: str, keys: Iterable[Key]) -> None:
    """They are to be shown."""
    sql = "INSERT OR IGNORE INTO sync_behind(home_id,kind,id) VALUES(?,?,?)"
    tx.db.executemany(sql, [(home_id, *key) for key in keys])


def homes(reader: Reader) -> list[str]:
    """Those of which something is."""
    return [row[0] for row in reader.all("SELECT DISTINCT home_id FROM sync_behind")]


def anything(reader: Reader, home_id: str) -> bool:
    """Whether anything of a home is."""
    return reader.one("SELECT 1 FROM sync_behind WHERE home_id=? LIMIT 1", (home_id,)) is not None


def among(reader: Reader, home_id: str, keys: Iterable[Key]) -> set[Key]:
    """Those of `keys` that are; without a look for each where nothing is."""
    if not anything(reader, home_id):
        return set()
    return {(kind, entity_id) for kind, entity_id in among_keys(reader, "SELECT id FROM sync_behind", home_id, keys)}


def some(reader: Reader, home_id: str, most: int) -> list[Key]:
    """At most `most`, devices before what is of them."""
    return reader.all("SELECT kind, id FROM sync_behind WHERE home_id=? ORDER BY kind, id LIMIT ?", (home_id, most))


def count(reader: Reader, home_id: str) -> int:
    """How many of a home are."""
    row = reader.one("SELECT count(*) FROM sync_behind WHERE home_id=?", (home_id,))
    return 0 if row is None else int(row[0])


def drop(tx: Tx, home_id: str, keys: Iterable[Key]) -> None:
    """They are shown."""
    tx.db.executemany("DELETE FROM sync_behind WHERE home_id=? AND kind=? AND id=?", [(home_id, *key) for key in keys])
