"""Everything a hub is, in one encrypted file, made while it runs: database, vault key, TLS identity.

The file is a tar stream inside app/store/stream's encryption: `manifest.json` first, then the files by name.
"""

import asyncio
import contextlib
import io
import sqlite3
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from app.store.connection import open_plain
from app.store.errors import BackupExists, StoreDamaged, typed
from app.store.folder import DATABASE, FILE_MODE, IDENTITY, SNAPSHOT, VAULT_KEY, make_private, sync
from app.store.migrations import version_of
from app.store.store import Store
from app.store.stream import EncryptingWriter
from app.version import version

MANIFEST: Final = "manifest.json"
# All that may stand in a backup; the database comes last.
MEMBERS: Final = (VAULT_KEY, *IDENTITY, DATABASE)

# Told bytes done and bytes in all.
Progress = Callable[[int, int], None]


class Manifest(Struct, frozen=True):
    """What a backup says about itself; `made_at` in ms."""

    doorstep: str
    schema: int
    hub_id: str | None
    name: str
    incarnation: int
    made_at: int
    sizes: dict[str, int]


async def backup(store: Store, folder: Path, out: Path, passphrase: str, progress: Progress | None = None) -> Manifest:
    """Write a backup of the running `store` in `folder` to the new file `out`; nobody's writes wait for it.

    `out` appears (0600) only when it is whole. `progress` is called on the event loop. Raises PassphraseWeak,
    BackupExists, StoreDamaged, StoreFull or StoreError.
    """
    files = {member: store.path if member == DATABASE else folder / member for member in MEMBERS}
    return await asyncio.to_thread(_backup, files, out, passphrase, on_loop(progress))


def on_loop(progress: Progress | None) -> Progress:
    """`progress`, to be called from a thread."""
    if progress is None:
        return lambda done, total: None
    loop = asyncio.get_running_loop()

    def tell(done: int, total: int) -> None:
        loop.call_soon_threadsafe(progress, done, total)

    return tell


def _backup(files: dict[str, Path], out: Path, passphrase: str, tell: Progress) -> Manifest:
    if out.exists():
        raise BackupExists(f"{out} exists already")
    part, snapshot = out.with_name(out.name + ".part"), files[DATABASE].with_name(SNAPSHOT)
    try:
        with typed("the backup could not be written"):
            _snapshot(files[DATABASE], snapshot)
            manifest = _write({**files, DATABASE: snapshot}, part, passphrase, tell)
            part.rename(out)
            sync(out.parent)
            return manifest
    finally:
        snapshot.unlink(missing_ok=True)
        part.unlink(missing_ok=True)


def _write(files: dict[str, Path], part: Path, passphrase: str, tell: Progress) -> Manifest:
    manifest = _manifest(files)
    part.unlink(missing_ok=True)
    make_private(part)
    with part.open("r+b") as file:
        writer = EncryptingWriter(file, passphrase)
        _pack(_Counted(writer, sum(manifest.sizes.values()), tell), files, manifest)
        writer.finish()
    sync(part)
    return manifest


def _snapshot(database: Path, snapshot: Path) -> None:
    """The database as of now, compact and checked, as a file of its own (only its owner can read it)."""
    snapshot.unlink(missing_ok=True)
    make_private(snapshot)
    with contextlib.closing(open_plain(database, read_only=True)) as db:
        db.execute("VACUUM INTO ?", (str(snapshot),))
    with contextlib.closing(sqlite3.connect(snapshot)) as db:
        if db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise StoreDamaged("the database is damaged: a backup of it would be, too")


def _manifest(files: dict[str, Path]) -> Manifest:
    with contextlib.closing(sqlite3.connect(files[DATABASE])) as db:
        hub_id, name, incarnation = db.execute("SELECT hub_id, name, incarnation FROM hub").fetchone()
        return Manifest(
            doorstep=version(),
            schema=version_of(db),
            hub_id=hub_id,
            name=name,
            incarnation=incarnation,
            made_at=time.time_ns() // 1_000_000,
            sizes={member: path.stat().st_size for member, path in files.items() if path.exists()},
        )


def _pack(out: "_Counted", files: dict[str, Path], manifest: Manifest) -> None:
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        about = msgspec.json.encode(manifest)
        tar.addfile(_info(MANIFEST, len(about)), io.BytesIO(about))
        for member, size in manifest.sizes.items():
            with files[member].open("rb") as content:
                tar.addfile(_info(member, size), content)


def _info(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, FILE_MODE
    return info


class _Counted(io.RawIOBase):
    """Passes on what is written, and tells how far it has come."""

    def __init__(self, out: EncryptingWriter, total: int, tell: Progress) -> None:
        self._out, self._total, self._tell = out, total, tell
        self._done = 0

    def write(self, data: object) -> int:
        count = self._out.write(data)
        self._done += count
        self._tell(min(self._done, self._total), self._total)
        return count
