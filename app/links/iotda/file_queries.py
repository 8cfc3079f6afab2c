"""The SQL of devices' files."""

from typing import Final

from app.store.retention import KEEP
from app.store.tx import Reader, Tx

MOST: Final = KEEP["iotda_files"].most or 0


def put(tx: Tx, device_id: str, name: str, stored: str, size: int) -> list[str]:
    """Store it in the place of the one before; returns the stored names that are no file's any more."""
    former = [
        row[0] for row in tx.all("SELECT stored FROM iotda_files WHERE device_id=? AND name=?", (device_id, name))
    ]
    tx.run("INSERT OR REPLACE INTO iotda_files VALUES(?,?,?,?,?)", (device_id, name, stored, size, tx.now))
    sql = "SELECT name,stored FROM iotda_files WHERE device_id=? ORDER BY at DESC, name LIMIT -1 OFFSET ?"
    for old, old_stored in tx.all(sql, (device_id, MOST)):
        tx.run("DELETE FROM iotda_files WHERE device_id=? AND name=?", (device_id, old))
        former.append(old_stored)
    return former


def stored(reader: Reader, device_id: str, name: str) -> tuple[str, int] | None:
    """(stored name, size) of one."""
    row = reader.one("SELECT stored,size FROM iotda_files WHERE device_id=? AND name=?", (device_id, name))
    return None if row is None else (row[0], row[1])


def of_device(reader: Reader, device_id: str) -> list[tuple[str, int, int]]:
    """(name, size, ms) of each, newest first."""
    sql = "SELECT name,size,at FROM iotda_files WHERE device_id=? ORDER BY at DESC, name"
    return [(row[0], row[1], row[2]) for row in reader.all(sql, (device_id,))]


def all_stored(reader: Reader, device_id: str) -> list[str]:
    """The stored names of a device's files."""
    return [row[0] for row in reader.all("SELECT stored FROM iotda_files WHERE device_id=?", (device_id,))]


def drop_all(tx: Tx, device_id: str) -> None:
    """A device has no files any more; the octets are the caller's."""
    tx.run("DELETE FROM iotda_files WHERE device_id=?", (device_id,))
