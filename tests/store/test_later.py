"""What is written later: many in one act, before anybody reads it, and not lost at the end."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from app.store.errors import StoreFull
from app.store.later import MAX_COLLECTED, Later
from app.store.prepare import open_store
from app.store.store import Store
from app.store.tx import Tx
from tests.store.conftest import HandClock

TABLE = "CREATE TABLE notes (n INTEGER)"


def put(tx: Tx, notes: list[int]) -> None:
    tx.db.executemany("INSERT INTO notes VALUES(?)", [(note,) for note in notes])


async def written(store: Store) -> list[int]:
    return [n for (n,) in await store.read(lambda r: r.all("SELECT n FROM notes ORDER BY rowid"))]


async def test_what_was_added_is_on_disk_after_a_flush_and_in_order(store: Store) -> None:
    await store.write(lambda tx: tx.run(TABLE))
    later = store.later(put)
    for n in range(100):
        later.add(n)
        if n % 7 == 0:
            await asyncio.sleep(0)
    await later.flush()
    assert await written(store) == list(range(100))


async def test_a_flush_does_not_wait_for_the_delay(store: Store) -> None:
    await store.write(lambda tx: tx.run(TABLE))
    later = store.later(put, delay=3600.0)
    later.add(1)
    await asyncio.sleep(0)
    await later.flush()
    assert await written(store) == [1]
    later.add(2)
    await later.close()
    assert await written(store) == [1, 2]


async def test_nothing_collected_is_lost_by_an_orderly_end(folder: Path, clock: HandClock) -> None:
    store = await open_store(folder, clock)
    await store.write(lambda tx: tx.run(TABLE))
    later = store.later(put, delay=3600.0)
    later.add(1)
    await store.close()
    store = await open_store(folder, clock)
    assert await written(store) == [1]
    await store.close()


class Disk:
    """A disk that is full until it is not."""

    def __init__(self) -> None:
        self.full = True
        self.acts: list[list[int]] = []

    async def write(self, act: Callable[[Tx], None]) -> None:
        if self.full:
            raise StoreFull
        act(None)  # type: ignore[arg-type]  # `keep` asks nothing of it

    def keep(self, tx: Tx, notes: list[int]) -> None:
        self.acts.append(notes)


async def test_a_full_disk_loses_no_note_and_is_told_to_who_wants_to_read() -> None:
    disk = Disk()
    later = Later(disk.write, disk.keep, delay=3600.0)
    for n in range(3):
        later.add(n)
    with pytest.raises(StoreFull):
        await later.flush()
    disk.full = False
    await later.flush()
    assert disk.acts == [[0, 1, 2]]
    await later.close()


async def test_with_a_disk_that_stays_full_the_oldest_give_way() -> None:
    disk = Disk()
    later = Later(disk.write, disk.keep, delay=3600.0)
    for n in range(MAX_COLLECTED + 10):
        later.add(n)
    disk.full = False
    await later.flush()
    [kept] = disk.acts
    assert kept[-1] == MAX_COLLECTED + 9
    assert len(kept) <= MAX_COLLECTED
    await later.close()
