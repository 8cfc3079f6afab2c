"""Schema as numbered SQL files, applied forward only; `PRAGMA user_version` says how far a database is."""

import sqlite3
from importlib.resources import files

from app.store.errors import StoreDamaged, StoreTooNew


def _numbered() -> list[tuple[int, str]]:
    folder = files("app.store") / "schema"
    found = [(int(entry.name.partition("_")[0]), entry) for entry in folder.iterdir() if entry.name.endswith(".sql")]
    return [(number, entry.read_text()) for number, entry in sorted(found, key=lambda pair: pair[0])]


def schema_version() -> int:
    """The version this program writes."""
    return _numbered()[-1][0]


def version_of(db: sqlite3.Connection) -> int:
    """The version `db` is at; 0 is an empty file."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version


def migrate(db: sqlite3.Connection) -> int:
    """Bring `db` to the newest version, each step in one transaction; returns how many steps that took."""
    at, steps = version_of(db), _numbered()
    if at > steps[-1][0]:
        raise StoreTooNew(f"database is at version {at}, this Doorstep knows {steps[-1][0]}")
    todo = [(number, sql) for number, sql in steps if number > at]
    # A step may rebuild a table others refer to (sqlite.org/lang_altertable, 7); what it leaves dangling is refused.
    db.execute("PRAGMA foreign_keys=OFF")
    try:
        for number, sql in todo:
            _step(db, number, sql)
    finally:
        db.execute("PRAGMA foreign_keys=ON")
    return len(todo)


def _step(db: sqlite3.Connection, number: int, sql: str) -> None:
    try:
        db.executescript(f"BEGIN IMMEDIATE;\n{sql}\n;PRAGMA user_version={number};")
        if dangling := db.execute("PRAGMA foreign_key_check").fetchone():
            raise StoreDamaged(f"schema {number} leaves {dangling[0]} without a row of {dangling[2]}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
