"""A hub that sends into its mesh is killed at random moments, with its store, and restored from older backups."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import pytest
from blockbuster import BlockBuster

from app.links.mesh.store import HomeStore
from app.store.backup import backup
from app.store.prepare import open_store
from app.store.restore import restore
from tests.ble.mesh.killing import LONGEST, Obeying, killed_child, numbers, send_for_ever
from tests.links.mesh.test_store import HOME, PASSPHRASE, create
from tests.store.conftest import START_MS, HandClock

HOUR = 3600.0


def clock_at(wall: float) -> HandClock:
    return HandClock(START_MS + round(wall * 1000))


async def begin(folder: Path) -> None:
    store = await open_store(folder, clock_at(0))
    await create(store)
    await store.close()


async def take(folder: Path, out: Path, wall: float) -> None:
    store = await open_store(folder, clock_at(wall))
    await backup(store, folder, out, PASSPHRASE)
    await store.close()


async def send(pipe: int, *, folder: Path, wall: float) -> None:
    store = await open_store(folder, clock_at(wall))
    mesh = HomeStore(store, HOME)
    state = await mesh.load()
    assert state is not None
    await send_for_ever(state, mesh, pipe, wall)


class Lives(dict[str, int]):
    """What there was, counted."""


def kill(tmp: Path, times: int, seed: int, watch: BlockBuster) -> tuple[set[tuple[int, int, int]], Lives]:
    """The numbers that were used, none of them twice. An hour passes with each life of the process."""
    random, used, lives = Random(seed), set[tuple[int, int, int]](), Lives(restores=0, backups=0, obeyed=0)
    folder, file, node, wall = tmp / "data", tmp / "backup", Obeying(), 0.0
    asyncio.run(begin(folder))
    asyncio.run(take(folder, file, 0))
    for _ in range(times):
        wall += HOUR
        if random.random() < 0.05:
            asyncio.run(restore(file, folder, PASSPHRASE, force=True))
            lives["restores"] += 1
        elif random.random() < 0.1:
            file.unlink()
            asyncio.run(take(folder, file, wall))
            lives["backups"] += 1
        sent = killed_child(partial(send, folder=folder, wall=wall), random, watch)
        now = numbers(sent)
        assert len(set(now)) == len(now)
        assert used.isdisjoint(now)
        used.update(now)
        heard = node.heard(sent, wall)
        # A life in which one whole message got out is one in which the node obeys.
        assert heard > 0 or len(now) < LONGEST
        lives["obeyed"] += heard > 0
    return used, lives


def test_no_number_is_used_twice_by_a_hub_that_is_killed(tmp_path: Path, blockbuster: BlockBuster) -> None:
    used, lives = kill(tmp_path, 20, seed=9, watch=blockbuster)
    assert len(used) > 1000
    assert lives["restores"] > 0
    assert lives["obeyed"] > 10


@pytest.mark.full
def test_no_number_is_used_twice_over_a_thousand_kills(
    tmp_path: Path, blockbuster: BlockBuster, figure: Callable[[str], None]
) -> None:
    used, lives = kill(tmp_path, 1000, seed=6, watch=blockbuster)
    assert len(used) > 100_000
    assert len({iv_index for _, iv_index, _ in used}) > 1, "IV updates were in it as well"
    assert len({source for source, _, _ in used}) > 1, "and restores that had to take another address"
    figure(f"mesh: 1,000 kills, {len(used)} numbers, none twice; " + ", ".join(f"{n} {k}" for k, n in lives.items()))
