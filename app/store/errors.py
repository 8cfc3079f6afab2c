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
    hint = (
        "Nothing was changed. Restore the newest backup (doorstep restore FILE --data DIR --force keeps the damaged "
        "files aside), or without one save what can still be read: doorstep doctor salvage --data DIR."
    )


class VaultMismatch(StoreDamaged):
    """A stored secret does not open."""

    code = "vault_mismatch"


class VaultKeyWrong(StoreDamaged):
    """The vault key beside the database is missing or not the one its secrets were sealed with."""

    code = "vault_key_wrong"
    hint = "Put the vault.key that belongs to this database back, or restore the newest backup."


class FolderUnusable(StoreError):
    """The data folder cannot be used."""

    code = "data_folder_unusable"
    retryable = False
    hint = "Give the hub's user the right to write there, or name another folder with --data."


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
