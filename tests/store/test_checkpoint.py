"""The log is folded back beside the writer, which never waits for it."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from app.store import checkpoint
from app.store.checkpoint import Checkpointer
from app.store.prepare import open_store
from app.store.store import Store
from app.store.tx import Reader
from tests.store.conftest import HandClock


@pytest.fixture
def folds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry, the size of the log, for each time it was folded; at once, and always cut back."""
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.001)
    monkeypatch.setattr(checkpoint, "TRUNCATE_ABOVE_BYTES", 0)
    seen: list[int] = []
    really = Checkpointer._fold

    def fold(self: Checkpointer, db: sqlite3.Connection) -> tuple[int, int]:
        seen.append((folded := really(self, db))[0])
        return folded

    monkeypatch.setattr(Checkpointer, "_fold", fold)
    return seen


async def write_until(store: Store, folds: list[int], times: int) -> None:
    """Go on writing until the log was folded that often."""
    wanted, n = len(folds) + times, 0
    while len(folds) < wanted:
        await store.write(lambda tx: tx.run("INSERT INTO secrets VALUES(?,zeroblob(2000))", (tx.new_id(),)))
        n += 1
    assert n > 0


async def test_a_long_read_holds_up_no_write(folder: Path, clock: HandClock, folds: list[int]) -> None:
    store = await open_store(folder, clock)
    began, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def ask(reader: Reader) -> int:
        reader.one("SELECT 1 FROM hub")
        loop.call_soon_threadsafe(began.set)
        go_on.wait()
        return 1

    reading = asyncio.create_task(store.read(ask))
    try:
        await began.wait()
        # Were the log's end waited for, this would fail: the writer cannot have the lock for as long as the read takes.
        await write_until(store, folds, 10)
    finally:
        go_on.set()
    await reading
    await store.close()


async def test_the_log_is_cut_back_once_nobody_reads(folder: Path, clock: HandClock, folds: list[int]) -> None:
    store = await open_store(folder, clock)
    await write_until(store, folds, 3)
    while folds[-1]:
        await asyncio.sleep(0)
    assert store.status().failing is None
    await store.close()
    assert not await asyncio.to_thread((folder / "doorstep.db-wal").exists)


async def test_a_long_log_is_used_again_from_its_start(
    folder: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.001)
    monkeypatch.setattr(checkpoint, "REUSE_ABOVE_BYTES", 200_000)
    store = await open_store(folder, clock)
    log, sizes = folder / "doorstep.db-wal", []
    for _ in range(400):  # 3 pages each: without, the log would grow to 5 MB
        await store.write(lambda tx: tx.run("INSERT INTO secrets VALUES(?,zeroblob(8000))", (tx.new_id(),)))
        sizes.append((await asyncio.to_thread(log.stat)).st_size)
    assert sizes[-1] < 2_000_000
    rows = await store.read(lambda reader: reader.one("SELECT count(*), sum(length(sealed)) FROM secrets"))
    assert rows is not None
    assert rows[1] >= 400 * 8000
    await store.close()
