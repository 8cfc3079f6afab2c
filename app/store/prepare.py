"""From a folder to a database that may be served: locked, whole, of the newest schema, with the right key."""

import asyncio
import contextlib
import sqlite3
import time
from pathlib import Path

from msgspec import Struct

from app.clock import Clock, SystemClock, machine_clock_is_set
from app.store import hub
from app.store.connection import open_plain
from app.store.errors import StoreDamaged, VaultKeyWrong, typed
from app.store.folder import COPIES, SNAPSHOT, Folder, make_private, sync
from app.store.migrations import migrate, schema_version, version_of
from app.store.restore import finish
from app.store.store import Store
from app.store.vault import Vault

# The last two upgrades can be undone by hand; older copies are only disk space.
COPIES_KEPT = 2


class Prepared(Struct, frozen=True):
    """What `Store` needs to open: the folder (held), the vault, and the machine's clock, never behind the database."""

    folder: Folder
    vault: Vault
    clock: Clock


async def open_store(path: Path, clock: Clock | None = None) -> Store:
    """Hold the folder at `path`, check and upgrade what is in it (or make it), and open it.

    `clock` None is the machine's, never behind what the database has seen. `Store.close` releases the folder. Raises
    StoreBusy, FolderUnusable, StoreDamaged, VaultKeyWrong, StoreTooNew or StoreFull; whatever is raised, nothing in the
    folder was lost and nobody holds it.
    """
    prepared = await asyncio.to_thread(prepare, path)
    store = Store(prepared.folder.database, clock or prepared.clock, prepared.vault, folder=prepared.folder)
    with typed(f"{path} cannot be used"):
        await store.open()
    return store


def prepare(path: Path) -> Prepared:
    """The blocking part of `open_store`."""
    folder = Folder.hold(path)
    try:
        with typed(f"{path} cannot be used"):
            return _prepare(folder)
    except BaseException:
        folder.release()
        raise


def _prepare(folder: Folder) -> Prepared:
    finish(folder)
    (folder.path / SNAPSHOT).unlink(missing_ok=True)
    vault = _open_vault(folder)
    make_private(folder.database)
    with contextlib.closing(open_plain(folder.database)) as db:
        check_whole(db)
        _upgrade(db, folder)
        hub.make_row(db, vault, time.time_ns() // 1_000_000)
        hub.check_key(db, vault)
        clock = SystemClock(floor_ms=hub.time_floor(db), trusted=machine_clock_is_set())
        return Prepared(folder, vault, clock)


def check_whole(db: sqlite3.Connection) -> None:
    """Raise StoreDamaged unless every page and row of `db` reads as it should."""
    problems = [row[0] for row in db.execute("PRAGMA quick_check(5)")]
    if problems != ["ok"]:
        raise StoreDamaged(f"the integrity check found: {'; '.join(problems)}")


def _open_vault(folder: Folder) -> Vault:
    # A new key beside an old database would make every secret in it unreadable, silently.
    if folder.has_database() and not folder.vault_key.exists():
        raise VaultKeyWrong(f"{folder.vault_key} is missing")
    return Vault.at(folder.vault_key)


def _upgrade(db: sqlite3.Connection, folder: Folder) -> None:
    at = version_of(db)
    if 0 < at < schema_version():
        _copy(db, folder, at)
    migrate(db)


def _copy(db: sqlite3.Connection, folder: Folder, version: int) -> None:
    """Keep the database as it is before an upgrade: copies/schema-N.db, whole or not at all."""
    copies = folder.subfolder(COPIES)
    kept, new = copies / f"schema-{version:04}.db", copies / "copy.new"
    new.unlink(missing_ok=True)
    make_private(new)
    db.execute("VACUUM INTO ?", (str(new),))
    sync(new)
    new.rename(kept)
    sync(copies)
    for old in sorted(copies.glob("schema-*.db"))[:-COPIES_KEPT]:
        old.unlink()
