"""What the disk can do to us."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from app.errors import Conflict, Invalid, Unavailable

_FULL = {sqlite3.SQLITE_FULL}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
# What the disk, the machine or another process did; any other result code is a mistake in our SQL.
_STORAGE = (
    _FULL
    | _DAMAGED
    | {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)


class RunAgain(Exception):
    """Raised in an act, which is undone: something is to be put right `first`, and the act to be done once more."""

    def __init__(self, first: Callable[[Any], None]) -> None:
        super().__init__("the act is to be done again")
        self.first = first


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


class StoreSaturated(StoreError):
    """More writes are waiting than the hub can hold."""

    code = "storage_saturated"
    hint = "Try again in a moment."


class StoreClosed(StoreError):
    """The hub is stopping; nothing of this request was kept."""

    code = "storage_closed"
    hint = "Try again when it is back."


class StoreBusy(StoreError):
    """Another Doorstep is using this data folder."""

    code = "storage_busy"
    hint = "Stop the other one, or give this one its own --data folder."


class StoreTooNew(StoreError):
    """The database was written by a newer Doorstep."""

    code = "storage_too_new"
    retryable = False
    hint = "Install that version again, or restore a backup made by this one."


class BackupUnusable(Invalid):
    """This file is not a Doorstep backup, or not one this version can read."""

    code = "backup_unusable"
    hint = "Check that it is the right file, and was made by this version or an older one."


class BackupDamaged(BackupUnusable):
    """The backup is cut short or damaged."""

    code = "backup_damaged"
    hint = "Copy it again from where it was kept, or use the backup before it."


class PassphraseWrong(BackupUnusable):
    """The passphrase does not open this backup."""

    code = "backup_passphrase_wrong"
    hint = "Passphrases are exact: mind capitals and spaces. A backup whose beginning is damaged says the same."


class PassphraseWeak(Invalid):
    """The passphrase is too short to keep a home's secrets."""

    code = "backup_passphrase_weak"
    hint = "Use at least 8 characters; a few random words are best."


class Overtaken(Conflict):
    """What this was to belong to has gone in the meantime; nothing of it was kept."""

    code = "overtaken"
    hint = "Look again: somebody was faster."


class FolderNotEmpty(Conflict):
    """The folder to restore into is not empty."""

    code = "folder_not_empty"
    hint = "Name a new folder, or let --force keep what is there in its subfolder `aside`."


class BackupExists(Conflict):
    """There is a file of that name already."""

    code = "backup_exists"
    hint = "Name another file."


def from_sqlite(error: sqlite3.Error) -> StoreError:
    """The typed error for one of SQLite's."""
    primary = _primary(error)
    if primary in _FULL:
        return StoreFull()
    if primary in _DAMAGED:
        return StoreDamaged()
    return StoreError()


def of_act(error: Exception) -> Exception:
    """What an act is answered that ended in `error`: as it is, but for what SQLite says in its own words."""
    if not isinstance(error, sqlite3.Error):
        return error
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
        return Overtaken()
    return from_sqlite(error) if is_storage(error) else error


@contextmanager
def typed(doing: str) -> Iterator[None]:
    """Inside, what SQLite and the operating system raise becomes a StoreError; `doing` says what failed."""
    try:
        yield
    except sqlite3.Error as error:
        raise from_sqlite(error) from error
    except OSError as error:
        raise StoreError(f"{doing}: {error.strerror}") from error


def is_storage(error: sqlite3.Error) -> bool:
    """Whether storage is to blame, not what was asked of it."""
    return _primary(error) in _STORAGE


def _primary(error: sqlite3.Error) -> int:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF
