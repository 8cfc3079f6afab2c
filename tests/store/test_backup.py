"""A hub backed up while it runs, and restored: everything back, as a new incarnation, or nothing changed."""

import asyncio
import base64
import secrets
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from app.policy import SYSTEM, Action
from app.store import stream
from app.store.backup import backup
from app.store.errors import (
    BackupDamaged,
    BackupExists,
    BackupUnusable,
    FolderNotEmpty,
    PassphraseWrong,
    StoreBusy,
    StoreError,
    StoreTooNew,
)
from app.store.folder import ASIDE, DATABASE, RESTORED, RESTORING, SNAPSHOT, TLS_CERTIFICATE, TLS_KEY
from app.store.hub import found_hub, read_hub
from app.store.prepare import open_store
from app.store.restore import JUMP, restore
from app.store.store import Store
from app.store.tx import Change, Row, Tx
from tests.store.conftest import A_SESSION

PASSPHRASE = "correct horse battery"
CHANGE = Change("thing.made", "thing", "t", "h", Action.SELF)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """scrypt is not what is tested here."""
    monkeypatch.setattr(stream, "LOG2_N", 2)


def live(tx: Tx) -> None:
    found_hub(tx, "h-test", "Cottage", b"claim")
    tx.run("INSERT INTO accounts(id,name,public_key,created_at) VALUES('a','Anna',x'00',1)")
    tx.run(A_SESSION)
    tx.run("INSERT INTO spent_refresh(hash,session_id,at) VALUES(x'03','s',1)")
    tx.run("INSERT INTO homes(id,name,time_zone,created_at) VALUES('h','Home','UTC',1)")
    tx.run(
        "INSERT INTO devices(id,home_id,product_id,hardware_id,link,trust,name,bound_at) "
        "VALUES('d','h','p','w','l','t','Lamp',1)"
    )
    for id_, ended in (("open", None), ("done", 5)):
        tx.run(
            "INSERT INTO commands(id,device_id,home_id,kind,body,state,created_at,expires_at,ended_at) "
            "VALUES(?,'d','h','set','{}','sent',1,2,?)",
            (id_, ended),
        )
    for _ in range(5):
        tx.record(SYSTEM, CHANGE)


@pytest.fixture
async def used(store: Store, folder: Path) -> Store:
    await store.write(live)
    await store.write(lambda tx: store.vault.keep(tx, "devices/d/key", b"device key"))
    await asyncio.to_thread((folder / TLS_KEY).write_bytes, b"tls key")
    await asyncio.to_thread((folder / TLS_CERTIFICATE).write_bytes, b"tls certificate")
    return store


async def ask(store: Store, sql: str) -> list[Row]:
    return await store.read(lambda reader: reader.all(sql))


async def test_everything_comes_back_as_a_new_incarnation(used: Store, folder: Path, tmp_path: Path) -> None:
    before = await used.read(read_hub)
    manifest = await backup(used, folder, tmp_path / "hub.backup", PASSPHRASE)
    last_event = (await ask(used, "SELECT max(seq) FROM events"))[0][0]
    new = tmp_path / "new"
    restored = await restore(tmp_path / "hub.backup", new, PASSPHRASE)
    assert (restored.manifest, restored.incarnation, restored.aside) == (manifest, 2, None)
    opened = await open_store(new)
    after = await opened.read(read_hub)
    assert (after.hub_id, after.name, after.claim_hash) == (before.hub_id, before.name, before.claim_hash)
    assert after.incarnation == before.incarnation + 1
    assert after.node_id != before.node_id
    assert await opened.read(lambda reader: opened.vault.fetch(reader, "devices/d/key")) == b"device key"
    assert await asyncio.to_thread((new / TLS_KEY).read_bytes) == b"tls key"
    assert await ask(opened, "SELECT id, name FROM devices") == [("d", "Lamp")]
    assert await ask(opened, "SELECT * FROM sessions, spent_refresh") == []
    states = await ask(opened, "SELECT id, state, ended_at IS NULL FROM commands ORDER BY n")
    assert states == [("open", "expired", 0), ("done", "sent", 0)]
    seqs = await ask(opened, "SELECT min(seq), max(type) FROM events")
    assert seqs[0][0] > last_event + JUMP - 1
    assert seqs[0][1] == "hub.restored"
    assert (await ask(opened, "SELECT type FROM audit ORDER BY seq DESC LIMIT 1")) == [("hub.restored",)]
    await opened.close()


async def test_every_restore_is_another_node(used: Store, folder: Path, tmp_path: Path) -> None:
    await backup(used, folder, tmp_path / "b", PASSPHRASE)
    nodes = set()
    for name in ("one", "two"):
        await restore(tmp_path / "b", tmp_path / name, PASSPHRASE)
        opened = await open_store(tmp_path / name)
        nodes.add((await opened.read(read_hub)).node_id)
        await opened.close()
    assert len(nodes) == 2


async def test_it_is_made_while_the_hub_goes_on_writing(used: Store, folder: Path, tmp_path: Path) -> None:
    pairs = 0
    stop = asyncio.Event()

    def both(tx: Tx) -> None:
        tx.run("INSERT INTO secrets VALUES(?, x'00')", (f"left/{pairs}",))
        tx.run("INSERT INTO secrets VALUES(?, x'00')", (f"right/{pairs}",))

    async def go_on() -> None:
        nonlocal pairs
        while not stop.is_set():
            await used.write(both)
            pairs += 1

    writing = asyncio.create_task(go_on())
    while pairs < 20:
        await asyncio.sleep(0)
    acknowledged = pairs
    await backup(used, folder, tmp_path / "b", PASSPHRASE)
    assert pairs > acknowledged
    stop.set()
    await writing
    await restore(tmp_path / "b", tmp_path / "new", PASSPHRASE)
    opened = await open_store(tmp_path / "new")
    counts = await ask(
        opened, "SELECT sum(row LIKE 'left/%'), sum(row LIKE 'right/%') FROM secrets WHERE row LIKE '%/%'"
    )
    assert counts[0][0] == counts[0][1] >= acknowledged
    await opened.close()


async def test_the_file_is_private_told_about_and_leaves_nothing_else(
    used: Store, folder: Path, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    await backup(used, folder, tmp_path / "b", PASSPHRASE, progress=lambda done, total: told.append((done, total)))
    file = tmp_path / "b"
    assert stat.S_IMODE((await asyncio.to_thread(file.stat)).st_mode) == 0o600
    assert told[-1][0] == told[-1][1] > 0
    assert not await asyncio.to_thread((folder / SNAPSHOT).exists)
    assert await asyncio.to_thread(lambda: [p.name for p in tmp_path.iterdir() if p != folder]) == ["b"]
    told.clear()
    await restore(file, tmp_path / "new", PASSPHRASE, progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] > 0


async def test_an_existing_file_is_not_replaced(used: Store, folder: Path, tmp_path: Path) -> None:
    await asyncio.to_thread((tmp_path / "b").write_bytes, b"the only other backup")
    with pytest.raises(BackupExists):
        await backup(used, folder, tmp_path / "b", PASSPHRASE)
    with pytest.raises(StoreError, match="No such file"):
        await backup(used, folder, tmp_path / "nowhere" / "b", PASSPHRASE)


async def test_no_secret_stands_in_it_in_clear(used: Store, folder: Path, tmp_path: Path) -> None:
    canary = secrets.token_bytes(24)
    await used.write(lambda tx: tx.run("UPDATE hub SET name=?", (canary.hex(),)))
    await asyncio.to_thread((folder / TLS_KEY).write_bytes, canary)
    await backup(used, folder, tmp_path / "b", PASSPHRASE)
    content = await asyncio.to_thread((tmp_path / "b").read_bytes)
    shapes = (canary, canary.hex().encode(), base64.b64encode(canary), b"Cottage", PASSPHRASE.encode(), b"SQLite")
    assert [shape for shape in shapes if shape in content] == []


async def test_a_folder_in_use_is_left_alone(used: Store, folder: Path, tmp_path: Path) -> None:
    await backup(used, folder, tmp_path / "b", PASSPHRASE)
    with pytest.raises(StoreBusy):
        await restore(tmp_path / "b", folder, PASSPHRASE, force=True)
    assert await ask(used, "SELECT count(*) FROM devices") == [(1,)]


async def test_what_is_in_the_folder_is_kept_aside_and_only_when_told(
    used: Store, folder: Path, tmp_path: Path
) -> None:
    await backup(used, folder, tmp_path / "b", PASSPHRASE)
    other = await open_store(tmp_path / "other")
    await other.write(lambda tx: tx.run("UPDATE hub SET name='other'"))
    await other.close()
    with pytest.raises(FolderNotEmpty):
        await restore(tmp_path / "b", tmp_path / "other", PASSPHRASE)
    restored = await restore(tmp_path / "b", tmp_path / "other", PASSPHRASE, force=True)
    assert restored.aside is not None
    assert restored.aside.parent == tmp_path / "other" / ASIDE
    opened = await open_store(tmp_path / "other")
    assert await ask(opened, "SELECT name FROM hub") == [("Cottage",)]
    await opened.close()
    old = await open_store(restored.aside)
    assert await ask(old, "SELECT name FROM hub") == [("other",)]
    await old.close()


@pytest.mark.parametrize("harm", ["cut", "bit", "passphrase", "other file", "missing"])
async def test_a_backup_that_does_not_open_changes_nothing(
    used: Store, folder: Path, tmp_path: Path, harm: str
) -> None:
    file, passphrase = tmp_path / "b", PASSPHRASE
    await backup(used, folder, file, PASSPHRASE)
    content = bytearray(await asyncio.to_thread(file.read_bytes))
    expected: type[Exception] = BackupDamaged
    match harm:
        case "cut":
            del content[-1:]
        case "bit":
            content[len(content) // 2] ^= 1
        case "passphrase":
            passphrase, expected = "wrong horse battery", PassphraseWrong
        case "other file":
            content, expected = bytearray(b"%PDF-1.7"), BackupUnusable
        case _:
            file, expected = tmp_path / "missing", StoreError
    await asyncio.to_thread((tmp_path / "b").write_bytes, bytes(content))
    with pytest.raises(expected):
        await restore(file, tmp_path / "new", passphrase)
    assert await asyncio.to_thread(lambda: [path.name for path in (tmp_path / "new").iterdir()]) == ["lock"]


async def test_a_backup_of_a_newer_doorstep_is_refused(used: Store, folder: Path, tmp_path: Path) -> None:
    await backup(used, folder, tmp_path / "b", PASSPHRASE)
    from app.store import restore as restoring

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(restoring, "schema_version", lambda: 0)
        with pytest.raises(StoreTooNew):
            await restore(tmp_path / "b", tmp_path / "new", PASSPHRASE)


# Dies, as by kill -9, at the Nth of the steps that change what is on disk.
DYING = """
import asyncio, os, sys
from pathlib import Path
from app.store import restore as restoring
file, folder, left = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
def count(fn):
    def step(*args, **kwargs):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return fn(*args, **kwargs)
    return step
Path.rename = count(Path.rename)
restoring.sync = count(restoring.sync)
restoring.migrate, restoring.new_incarnation = count(restoring.migrate), count(restoring.new_incarnation)
restoring.shutil.rmtree = count(restoring.shutil.rmtree)
asyncio.run(restoring.restore(file, folder, "correct horse battery", force=True))
"""


@pytest.mark.parametrize("occupied", [False, True])
@pytest.mark.parametrize("stride", [4, pytest.param(1, marks=pytest.mark.full)])
def test_killed_at_any_step_there_is_what_was_or_a_whole_hub(tmp_path: Path, occupied: bool, stride: int) -> None:
    async def make() -> None:
        store = await open_store(tmp_path / "data")
        await store.write(live)
        await backup(store, tmp_path / "data", tmp_path / "b", PASSPHRASE)
        await store.close()

    async def name_in(folder: Path) -> tuple[object, ...]:
        store = await open_store(folder)
        try:
            return (await ask(store, "SELECT name, incarnation FROM hub"))[0]
        finally:
            await store.close()

    asyncio.run(make())
    seen: list[tuple[object, ...]] = []
    for step in range(0, 100, stride):
        folder = tmp_path / f"new{step}"
        if occupied:
            asyncio.run(name_in(folder))
        dead = subprocess.run(
            [sys.executable, "-c", DYING, tmp_path / "b", folder, str(step)], check=False, capture_output=True
        )
        assert dead.returncode in {0, 9}, dead.stderr
        seen.append(asyncio.run(name_in(folder)))
        assert not (folder / RESTORING).exists()
        assert not (folder / RESTORED).exists()
        if dead.returncode == 0:
            break
    # Nothing yet, then everything: once it is there it stays.
    assert seen == sorted(seen)
    assert set(seen) == {("", 1), ("Cottage", 2)}
    assert len(seen) > 10 // stride


def test_the_copy_that_a_killed_backup_leaves_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / SNAPSHOT).write_bytes(b"half")

    async def start() -> None:
        await (await open_store(tmp_path / "data")).close()

    asyncio.run(start())
    assert not (tmp_path / "data" / SNAPSHOT).exists()
    with sqlite3.connect(tmp_path / "data" / DATABASE) as db:
        assert db.execute("SELECT count(*) FROM hub").fetchone() == (1,)
    db.close()
