"""The SQL of entities whose rows wait for another's: a device for its room (PROTOCOL.md 2)."""

from collections.abc import Iterable

from app.store.tx import Reader, Tx


def hang(tx: Tx, home_id: str, kind: str, entity_id: str, on: Iterable[tuple[str, str]]) -> None:
    """It waits for those."""
    sql = "INSERT OR IGNORE INTO sync_dangling(home_id,on_kind,on_id,kind,id) VALUES(?,?,?,?,?)"
    tx.db.executemany(sql, [(home_id, on_kind, on_id, kind, entity_id) for on_kind, on_id in on])


def is_dangling(reader: Reader, home_id: str, kind: str, entity_id: str) -> bool:
    """Whether it waits for another."""
    sql = "SELECT 1 FROM sync_dangling WHERE home_id=? AND kind=? AND id=? LIMIT 1"
    return reader.one(sql, (home_id, kind, entity_id)) is not None


def anything_hangs(reader: Reader, home_id: str) -> bool:
    """Whether anything waits for another entity."""
    return reader.one("SELECT 1 FROM sync_dangling WHERE home_id=? LIMIT 1", (home_id,)) is not None


def released(tx: Tx, home_id: str, kind: str, entity_id: str) -> list[tuple[str, str]]:
    """(kind, id) of what waited for it, and waits no more."""
    sql = "DELETE FROM sync_dangling WHERE home_id=? AND on_kind=? AND on_id=? RETURNING kind, id"
    return tx.all(sql, (home_id, kind, entity_id))
