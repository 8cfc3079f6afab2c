"""The data folder: locked, private, checked at start, copied before an upgrade."""

import asyncio
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from app.store.connection import Connection
from app.store.errors import (
    FolderUnusable,
    StoreBusy,
    StoreClosed,
    StoreDamaged,
    StoreError,
    StoreTooNew,
    VaultKeyWrong,
)
from app.store.folder import COPIES, DATABASE, VAULT_KEY, Folder, is_held
from app.store.hub import Hub, read_hub
from app.store.migrations import schema_version
from app.store.prepare import open_store, prepare
from app.store.store import Store
from tests.store.conftest import A_SESSION, START_MS, HandClock

HOLDER = "import sys,time;from pathlib import Path;from app.store.folder import Folder;\
f=Folder.hold(Path(sys.argv[1]));print('held',flush=True);time.sleep(600)"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_everything_in_it_is_its_owners_alone(store: Store, folder: Path) -> None:
    await store.write(lambda tx: tx.run("UPDATE hub SET name='x'"))
    found = await asyncio.to_thread(lambda: {path.name: mode(path) for path in folder.iterdir()})
    names = (DATABASE, DATABASE + "-wal", DATABASE + "-shm", VAULT_KEY, "lock")
    assert found == dict.fromkeys(names, 0o600)
    assert await asyncio.to_thread(mode, folder) == 0o700


async def test_one_hub_at_a_time(store: Store, folder: Path) -> None:
    assert await asyncio.to_thread(is_held, folder)
    with pytest.raises(StoreBusy, match=str(os.getpid())):
        await open_store(folder)
    await store.write(lambda tx: tx.run("UPDATE hub SET name='still served'"))


async def test_closing_lets_the_next_one_in(folder: Path) -> None:
    for _ in range(2):
        opened = await open_store(folder)
        await opened.close()
        assert not await asyncio.to_thread(is_held, folder)


def test_a_killed_holder_holds_nothing(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StoreBusy, match=str(holder.pid)):
            Folder.hold(folder)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    Folder.hold(folder).release()


def test_a_folder_shared_with_other_things_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "holiday.jpg").write_bytes(b"")
    Folder.hold(tmp_path).release()
    assert mode(tmp_path) == 0o755


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FolderUnusable, match="Not a directory"):
        Folder.hold(tmp_path / "file" / "data")


async def test_the_hub_row_is_made_once(folder: Path, clock: HandClock) -> None:
    rows: list[Hub] = []
    for _ in range(2):
        opened = await open_store(folder, clock)
        rows.append(await opened.read(read_hub))
        await opened.close()
    assert rows[0] == rows[1]
    assert (rows[0].incarnation, rows[0].hub_id, len(rows[0].node_id)) == (1, None, 16)


@pytest.mark.parametrize("offset", [0, 4096 * 3, 4096 * 10])
def test_a_damaged_file_is_refused_with_a_way_out(folder: Path, offset: int) -> None:
    prepare(folder).folder.release()
    content = bytearray((folder / DATABASE).read_bytes())
    content[offset : offset + 512] = b"\xa5" * 512
    (folder / DATABASE).write_bytes(content)
    with pytest.raises(StoreDamaged) as raised:
        prepare(folder)
    assert raised.value.code == "storage_damaged"
    assert "restore" in raised.value.hint
    assert "salvage" in raised.value.hint
    assert not is_held(folder)


def test_a_lost_key_is_not_replaced_by_a_new_one(folder: Path) -> None:
    prepare(folder).folder.release()
    (folder / VAULT_KEY).unlink()
    with pytest.raises(VaultKeyWrong, match="missing"):
        prepare(folder)
    assert not (folder / VAULT_KEY).exists()


@pytest.mark.parametrize("key", [b"", b"k" * 32])
def test_another_databases_key_is_refused(folder: Path, key: bytes) -> None:
    prepare(folder).folder.release()
    (folder / VAULT_KEY).write_bytes(key)
    with pytest.raises(VaultKeyWrong):
        prepare(folder)


def test_a_file_left_empty_by_a_crash_is_a_fresh_start(folder: Path) -> None:
    folder.mkdir()
    (folder / DATABASE).write_bytes(b"")
    prepare(folder).folder.release()
    assert (folder / VAULT_KEY).stat().st_size == 32


def test_a_newer_database_is_refused_untouched(folder: Path) -> None:
    prepare(folder).folder.release()
    with sqlite3.connect(folder / DATABASE) as db:
        db.execute("PRAGMA user_version=9999")
    db.close()
    with pytest.raises(StoreTooNew, match="9999"):
        prepare(folder)


def _pretend_next(monkeypatch: pytest.MonkeyPatch, sql: str) -> None:
    from app.store import migrations

    steps = [*migrations._numbered(), (schema_version() + 1, sql)]
    monkeypatch.setattr(migrations, "_numbered", lambda: steps)


def test_an_upgrade_keeps_a_copy_of_what_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(folder).folder.release()
    before = schema_version()
    _pretend_next(monkeypatch, "CREATE TABLE fresh (a)")
    prepare(folder).folder.release()
    copies = list((folder / COPIES).iterdir())
    assert [path.name for path in copies] == [f"schema-{before:04}.db"]
    assert mode(copies[0]) == 0o600
    with sqlite3.connect(copies[0]) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (before,)
    db.close()


@pytest.mark.parametrize("sql", ["CREATE TABLE fresh (a); SELECT nonsense(;", "DROP TABLE accounts"])
def test_a_failed_upgrade_leaves_the_old_database(folder: Path, monkeypatch: pytest.MonkeyPatch, sql: str) -> None:
    prepared = prepare(folder)
    with sqlite3.connect(folder / DATABASE) as db:
        db.execute("INSERT INTO accounts(id,name,public_key,created_at) VALUES('a','A',x'00',1)")
        db.execute(A_SESSION)
    db.close()
    prepared.folder.release()
    with monkeypatch.context() as patched:
        _pretend_next(patched, sql)
        with pytest.raises(StoreError):
            prepare(folder)
    prepare(folder).folder.release()
    with sqlite3.connect(folder / DATABASE) as db:
        assert db.execute("SELECT count(*) FROM accounts, sessions").fetchone() == (1,)
    db.close()


async def test_time_starts_no_earlier_than_what_was_written(folder: Path) -> None:
    far = HandClock(START_MS * 2)
    opened = await open_store(folder, far)
    await opened.write(
        lambda tx: tx.run(
            "INSERT INTO events(at,type,kind,entity_id,sees,data) VALUES(?,'t','k','e','home.read','{}')", (tx.now,)
        )
    )
    await opened.close()
    opened = await open_store(folder)
    assert opened.clock.now().ms >= START_MS * 2
    await opened.close()


def test_the_copy_of_a_folder_opens_elsewhere(folder: Path, tmp_path: Path) -> None:
    prepare(folder).folder.release()
    shutil.copytree(folder, tmp_path / "moved")
    prepare(tmp_path / "moved").folder.release()


@pytest.mark.parametrize("opened_before", range(4))
async def test_a_start_that_fails_midway_leaves_no_thread_and_no_lock(
    folder: Path, monkeypatch: pytest.MonkeyPatch, opened_before: int
) -> None:
    left = opened_before
    really = Connection.open

    async def limited(path: Path, *, read_only: bool = False) -> Connection:
        nonlocal left
        left -= 1
        if left < 0:
            raise sqlite3.OperationalError("unable to open database file")
        return await really(path, read_only=read_only)

    with monkeypatch.context() as patched:
        patched.setattr(Connection, "open", limited)
        with pytest.raises(StoreError):
            await open_store(folder)
    assert not await asyncio.to_thread(is_held, folder)
    # A connection's thread that stays would hold up the end of the process.
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            await asyncio.to_thread(thread.join, 30)
            assert not thread.is_alive()
    await (await open_store(folder)).close()


async def test_closing_twice_is_closing_once(folder: Path) -> None:
    opened = await open_store(folder)
    await opened.close()
    await opened.close()
    with pytest.raises(StoreClosed):
        await opened.write(lambda tx: None)
