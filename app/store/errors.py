"""What the disk can do to us."""

import sqlite3

from app.errors import Unavailable

_FULL = {sqlite3.SQLITE_FULL}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class StoreError(Unavailable):
    """The hub's storage failed; nothing of this request was kept."""

    code = "storage_failed"
    hint = "Run `doorstep doctor` on the hub."


class StoreFull(StoreError):
    """The hub's disk is full; nothing of this request was kept."""

    code = "storage_full"
    hint = "Free space on the hub's disk; it recovers by itself."


class StoreDamaged(StoreError):
    """The hub's database is damaged."""

    code = "storage_damaged"
    retryable = False
    hint = "Stop the hub and restore the newest backup: doorstep restore FILE --data DIR."


class StoreBusy(StoreError):
    """Another Doorstep is using this data folder."""

    code = "storage_busy"
    hint = "Stop the other one, or give this one its own --data folder."


class StoreTooNew(StoreError):
    """The database was written by a newer Doorstep."""

    code = "storage_too_new"
    retryable = False
    hint = "Install that version again, or restore a backup made by this one."


def from_sqlite(error: sqlite3.Error) -> StoreError:
    """The typed error for one of SQLite's."""
    primary = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if primary in _FULL:
        return StoreFull()
    if primary in _DAMAGED:
        return StoreDamaged()
    return StoreError()
