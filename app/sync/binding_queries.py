"""The SQL of where hardware is bound, over all homes of a cloud (PROTOCOL.md 5)."""

from collections.abc import Iterable

from app.store.tx import Reader, Tx, json_of


def bindings(reader: Reader, hardware_ids: Iterable[str]) -> dict[str, tuple[str, str, int]]:
    """(home, device, owner epoch) of several pieces of hardware."""
    sql = (
        "SELECT hardware_id, home_id, device_id, owner_epoch FROM sync_bindings"
        " WHERE hardware_id IN (SELECT value FROM json_each(?))"
    )
    rows = reader.all(sql, (json_of(hardware_ids),))
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


def binding(reader: Reader, hardware_id: str) -> tuple[str, str, int] | None:
    """(home, device, owner epoch) of a piece of hardware."""
    sql = "SELECT home_id, device_id, owner_epoch FROM sync_bindings WHERE hardware_id=?"
    row = reader.one(sql, (hardware_id,))
    return None if row is None else (row[0], row[1], row[2])


def put_bindings(tx: Tx, bindings: Iterable[tuple[str, tuple[str, str, int]]]) -> None:
    """From now on hardware is there: (home, device, owner epoch), by hardware id."""
    sql = "INSERT OR REPLACE INTO sync_bindings VALUES(?,?,?,?)"
    tx.db.executemany(sql, [(hardware_id, *bound) for hardware_id, bound in bindings])


def free_bindings(tx: Tx, home_id: str) -> None:
    """Nothing is in that home."""
    tx.run("DELETE FROM sync_bindings WHERE home_id=?", (home_id,))
