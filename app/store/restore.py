"""A hub back from its backup, as a new incarnation of the same hub.

It is built and proved in a subfolder, made durable, and only then moved into place; a kill at any moment leaves what
was there before, or a step that the next start finishes by itself (`finish`).
"""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from app.policy import SYSTEM, Action
from app.store import hub
from app.store.backup import MANIFEST, MEMBERS, Manifest, Progress, on_loop
from app.store.connection import open_plain
from app.store.errors import BackupDamaged, FolderNotEmpty, StoreDamaged, StoreTooNew, typed
from app.store.folder import (
    DATABASE,
    FILE_MODE,
    LOCK,
    RESTORED,
    RESTORING,
    VAULT_KEY,
    Folder,
    sync,
)
from app.store.migrations import migrate, schema_version
from app.store.stream import DecryptingReader
from app.store.vault import Vault

COPY_BYTES: Final = 1 << 20
# Numbers a lost life of this hub may have given out: 2^40 events are 5 years at 7,000 a second.
JUMP: Final = 1 << 40


class Restored(Struct, frozen=True):
    """What came back: the backup's own account, the incarnation begun, and where what was in the folder went."""

    manifest: Manifest
    incarnation: int
    aside: Path | None


async def restore(
    file: Path, folder: Path, passphrase: str, progress: Progress | None = None, *, force: bool = False
) -> Restored:
    """Make `folder` the hub that is in the backup `file`.

    `force` keeps what is in a folder that is not empty under its subfolder `aside`. `progress` is called on the event
    loop. Raises BackupUnusable and its kinds, FolderNotEmpty, StoreBusy (a hub is running there), StoreTooNew,
    StoreDamaged, FolderUnusable or StoreError; the folder is then as it was.
    """
    return await asyncio.to_thread(_restore, file, folder, passphrase, on_loop(progress), force)


def finish(folder: Folder) -> Path | None:
    """Move a whole restore into place, or drop one that never became whole; where the old files went, if anywhere.

    Every step can be repeated: a file still in `restored` has not replaced its predecessor yet. The database comes
    last, so that there is none until all that belongs to it is there.
    """
    shutil.rmtree(folder.path / RESTORING, ignore_errors=True)
    restored = folder.path / RESTORED
    if not restored.is_dir():
        return None
    present = [member for member in MEMBERS if (restored / member).exists()]
    aside = _put_aside(folder, present, restored.stat().st_mtime_ns) if DATABASE in present else None
    for member in present:
        (restored / member).rename(folder.path / member)
    sync(folder.path)
    shutil.rmtree(restored)
    return aside


def _put_aside(folder: Folder, replaced: list[str], at_ns: int) -> Path | None:
    """Move what is about to be replaced out of the way, a database with its log.

    `at_ns` is when `restored` was last changed, which moving out of it begins only afterwards: done again after a kill,
    this finds the same folder.
    """
    names = [f"{DATABASE}-wal", f"{DATABASE}-shm", *replaced]
    here = [name for name in names if (folder.path / name).exists()]
    if not here:
        return None
    aside = folder.aside(at_ns)
    for name in here:
        (folder.path / name).rename(aside / name)
    sync(aside)
    return aside


@contextlib.contextmanager
def rebuilding(path: Path, doing: str) -> Iterator[Folder]:
    """The folder `path`, held, to build another content for in `folder.subfolder(RESTORING)`."""
    folder = Folder.hold(path)
    try:
        with typed(doing):
            finish(folder)
            yield folder
    finally:
        shutil.rmtree(folder.path / RESTORING, ignore_errors=True)
        folder.release()


def put_in_place(folder: Folder) -> Path | None:
    """Make what was built the folder's content, all of it or nothing; where the old files went, if anywhere."""
    building = folder.path / RESTORING
    for entry in building.iterdir():
        sync(entry)
    sync(building)
    building.rename(folder.path / RESTORED)
    sync(folder.path)
    return finish(folder)


def _restore(file: Path, path: Path, passphrase: str, tell: Progress, force: bool) -> Restored:
    with rebuilding(path, "the backup could not be restored") as folder:
        if not force and any(entry.name != LOCK for entry in folder.path.iterdir()):
            raise FolderNotEmpty(f"{path} is not empty")
        building = folder.subfolder(RESTORING)
        manifest = _unpack(file, building, passphrase, tell)
        incarnation = _begin(building, manifest)
        return Restored(manifest, incarnation, put_in_place(folder))


def _unpack(file: Path, into: Path, passphrase: str, tell: Progress) -> Manifest:
    """Decrypt everything, to the proved end; raises BackupUnusable and its kinds."""
    with file.open("rb") as source:
        reader = DecryptingReader(source, passphrase)
        try:
            with tarfile.open(fileobj=reader, mode="r|") as tar:
                manifest = _read_manifest(tar)
                _write_members(tar, into, manifest, tell)
        except (tarfile.TarError, msgspec.DecodeError) as error:
            raise BackupDamaged from error
        while reader.read(COPY_BYTES):
            pass
    if not {DATABASE, VAULT_KEY} <= manifest.sizes.keys():
        raise BackupDamaged("the backup lacks its database or its key")
    return manifest


def _read_manifest(tar: tarfile.TarFile) -> Manifest:
    first = tar.next()
    content = tar.extractfile(first) if first is not None and first.name == MANIFEST else None
    if content is None:
        raise BackupDamaged
    manifest = msgspec.json.decode(content.read(), type=Manifest)
    if manifest.schema > schema_version():
        raise StoreTooNew(f"the backup is of schema {manifest.schema}, this Doorstep knows {schema_version()}")
    return manifest


def _write_members(tar: tarfile.TarFile, into: Path, manifest: Manifest, tell: Progress) -> None:
    done, total, left = 0, sum(manifest.sizes.values()), dict(manifest.sizes)
    while (member := tar.next()) is not None:
        content = tar.extractfile(member)
        if member.name not in MEMBERS or left.pop(member.name, None) != member.size or content is None:
            raise BackupDamaged
        descriptor = os.open(into / member.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        with os.fdopen(descriptor, "wb") as out:
            while block := content.read(COPY_BYTES):
                out.write(block)
                done += len(block)
                tell(done, total)
    if left:
        raise BackupDamaged


def _begin(building: Path, manifest: Manifest) -> int:
    """Prove the database, bring it up to date, and begin its new incarnation; returns that."""
    vault = Vault.of((building / VAULT_KEY).read_bytes())
    with contextlib.closing(open_plain(building / DATABASE)) as db:
        if db.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",):
            raise StoreDamaged("the database in the backup is damaged")
        migrate(db)
        hub.check_key(db, vault)
        new_incarnation(db, time.time_ns() // 1_000_000)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        incarnation: int = db.execute("SELECT incarnation FROM hub").fetchone()[0]
    return incarnation


def new_incarnation(db: sqlite3.Connection, now_ms: int) -> None:
    """Nothing said to or by the life that was lost holds any more.

    Sessions are revoked and open commands expired; every listener's place lies before the first event from now on, so
    each is told to fetch anew; sync gets another node id. Bluetooth mesh derives the jump of its sequence numbers from
    the incarnation when it opens its store.
    """
    floor = hub.time_floor(db)
    now = max(now_ms, floor)
    db.execute("BEGIN IMMEDIATE")
    try:
        for sql, args in _renewal(now):
            db.execute(sql, args)
        db.execute("COMMIT")
    except sqlite3.Error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


_EVENT = (
    "INSERT INTO events(seq,at,type,kind,entity_id,sees,data) "
    "SELECT ?+coalesce((SELECT seq FROM sqlite_sequence WHERE name='events'), 0), "
    "?, 'hub.restored', 'hub', coalesce(hub_id, ''), ?, '{}' FROM hub"
)
_AUDIT = (
    "INSERT INTO audit(at,credential_id,type,kind,entity_id,data) "
    "SELECT ?, ?, 'hub.restored', 'hub', coalesce(hub_id, ''), json_object('incarnation', incarnation) FROM hub"
)


def _renewal(now: int) -> list[tuple[str, tuple[object, ...]]]:
    return [
        (
            "UPDATE hub SET incarnation=incarnation+1, node_id=?, time_floor=max(time_floor, ?)",
            (hub.new_node_id(), now),
        ),
        ("DELETE FROM sessions", ()),
        ("DELETE FROM screen_sign_ins", ()),
        # Their packet ids have been used for other messages since.
        ("DELETE FROM mqtt_sessions", ()),
        ("UPDATE commands SET state='expired', ended_at=? WHERE ended_at IS NULL", (now,)),
        # Sync knows this life as another node, whose operations are numbered anew. Logs that it orders begin a new life
        # too, with numbers that the lost one cannot have given (app/sync/PROTOCOL.md, 2c).
        ("UPDATE sync_homes SET next_n=1", ()),
        (
            "UPDATE sync_homes SET epoch=lower(hex(randomblob(8))), kept=head, head=head+?, state='recovering'"
            " WHERE cloud_id IS NULL",
            (JUMP,),
        ),
        ("DELETE FROM events", ()),
        (_EVENT, (JUMP, now, Action.HUB_MANAGE.value)),
        (_AUDIT, (now, SYSTEM.credential_id)),
    ]
