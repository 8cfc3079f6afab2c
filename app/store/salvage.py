"""When a database is damaged and there is no backup: what can still be read, in a new database."""

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from app.store import hub
from app.store.connection import open_plain
from app.store.errors import StoreDamaged, VaultKeyWrong
from app.store.folder import DATABASE, RESTORING, Folder, make_private
from app.store.migrations import migrate
from app.store.restore import new_incarnation, put_in_place, rebuilding
from app.store.vault import Vault

_SUFFIXES = ("", "-wal")


class Salvaged(Struct, frozen=True):
    """Rows saved by table, the tables that could not be read to their end, and where the damaged files are."""

    rows: dict[str, int]
    incomplete: list[str]
    aside: Path


def salvage(path: Path) -> Salvaged:
    """Replace the damaged database in the folder `path` by one of everything readable; the damaged files are kept.

    As rows may be missing, it begins a new incarnation like a restore. Blocks. Raises StoreDamaged when not even the
    hub's own row can be read (only a backup helps then), VaultKeyWrong, StoreBusy or StoreError; nothing has changed.
    """
    with rebuilding(path, "nothing could be saved") as folder:
        if not folder.vault_key.exists():
            raise VaultKeyWrong(f"{folder.vault_key} is missing")
        rows, incomplete = _rebuild(folder, folder.subfolder(RESTORING))
        return Salvaged(rows, incomplete, put_in_place(folder) or folder.path)


def _rebuild(folder: Folder, building: Path) -> tuple[dict[str, int], list[str]]:
    """A new database in `building`; reads from a copy, for reading a log changes the files."""
    scratch = building / "scratch"
    scratch.mkdir(mode=0o700)
    for suffix in _SUFFIXES:
        if (source := folder.path / f"{DATABASE}{suffix}").exists():
            shutil.copyfile(source, scratch / source.name)
    make_private(building / DATABASE)
    with contextlib.closing(open_plain(building / DATABASE)) as new:
        migrate(new)
        try:
            with contextlib.closing(open_plain(scratch / DATABASE)) as old:
                rows, incomplete = _copy_tables(old, new)
        except sqlite3.DatabaseError as error:
            raise StoreDamaged("not even the list of tables can be read") from error
        if not rows.get("hub"):
            raise StoreDamaged("the hub's own row cannot be read")
        hub.check_key(new, Vault.at(folder.vault_key))
        new_incarnation(new, time.time_ns() // 1_000_000)
        new.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    shutil.rmtree(scratch)
    return rows, incomplete


def _copy_tables(old: sqlite3.Connection, new: sqlite3.Connection) -> tuple[dict[str, int], list[str]]:
    there = {row[0] for row in old.execute("SELECT name FROM sqlite_schema WHERE type='table'")}
    sql = "SELECT name FROM sqlite_schema WHERE type='table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
    rows: dict[str, int] = {}
    incomplete: list[str] = []
    new.execute("PRAGMA foreign_keys=OFF")
    new.execute("BEGIN IMMEDIATE")
    for (table,) in new.execute(sql).fetchall():
        if table in there:
            rows[table], whole = _copy_table(old, new, table)
            incomplete += [] if whole else [table]
    _drop_dangling(new)
    new.execute("COMMIT")
    new.execute("PRAGMA foreign_keys=ON")
    return rows, incomplete


def _copy_table(old: sqlite3.Connection, new: sqlite3.Connection, table: str) -> tuple[int, bool]:
    """Rows copied, and whether the table could be read to its end: from the front, and past damage from the back."""
    known = [row[1] for row in old.execute(f"PRAGMA table_info({table})")]
    columns = [row[1] for row in new.execute(f"PRAGMA table_info({table})") if row[1] in known]
    insert = f"INSERT OR IGNORE INTO {table}({','.join(columns)}) VALUES({','.join('?' * len(columns))})"
    # NOT INDEXED: the table alone, for an index may be what is damaged.
    select = f"SELECT {','.join(columns)} FROM {table} NOT INDEXED"  # noqa: S608 - names from our schema
    count, whole = 0, True
    for order in ("", _backwards(new, table)):
        reading = _Readable(old, select + order)
        for row in reading:
            count += new.execute(insert, row).rowcount
        if reading.whole:
            break
        whole = False
    return count, whole


def _backwards(db: sqlite3.Connection, table: str) -> str:
    key = [row[1] for row in sorted(db.execute(f"PRAGMA table_info({table})"), key=lambda row: row[5]) if row[5]]
    (without_rowid,) = db.execute("SELECT wr FROM pragma_table_list(?)", (table,)).fetchone()
    columns = key if without_rowid else ["rowid"]
    return " ORDER BY " + ", ".join(f"{column} DESC" for column in columns)


class _Readable:
    """The rows of a query up to the first that cannot be read; `whole` when there is none such."""

    def __init__(self, db: sqlite3.Connection, sql: str) -> None:
        self._db, self._sql = db, sql
        self.whole = False

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._db.execute(self._sql)
        except sqlite3.DatabaseError:
            return
        self.whole = True


def _drop_dangling(db: sqlite3.Connection) -> None:
    """Remove rows whose other end was not saved, until none is left."""
    while dangling := db.execute('SELECT DISTINCT "table", rowid FROM pragma_foreign_key_check').fetchall():
        for table, rowid in dangling:
            if rowid is None:
                _drop_by_reference(db, table)
            else:
                db.execute(f"DELETE FROM {table} WHERE rowid=?", (rowid,))  # noqa: S608 - names from our schema


def _drop_by_reference(db: sqlite3.Connection, table: str) -> None:
    """A table without rowids does not say which rows: all that refer to nothing."""
    for row in db.execute(f"PRAGMA foreign_key_list({table})").fetchall():
        parent, column, key = row[2], row[3], row[4]
        db.execute(
            f"DELETE FROM {table} WHERE {column} IS NOT NULL "  # noqa: S608 - names from our schema
            f"AND NOT EXISTS (SELECT 1 FROM {parent} WHERE {parent}.{key}={table}.{column})"
        )
