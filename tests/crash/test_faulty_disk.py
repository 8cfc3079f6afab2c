"""Writes that fail: a typed error for whoever asked, nothing half-made, readers served, and it recovers by itself."""

import asyncio
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from app.store import checkpoint
from app.store.errors import StoreError, StoreFull
from app.store.prepare import open_store, prepare
from tests.crash.acts import act, found
from tests.crash.faulty_disk import FaultyDisk, faulty_disk

FIRST_WRITES = 200
STRIDE = 13
ACTS, BATCH = 48, 4

FAULTS = [
    pytest.param(errno.ENOSPC, True, StoreFull, id="full"),
    pytest.param(errno.EIO, True, StoreError, id="lasting-io-error"),
    pytest.param(errno.EIO, False, StoreError, id="one-io-error"),
]


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyDisk]:
    # The checkpointer's writes are among those that fail.
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.002)
    with faulty_disk() as faulty:
        yield faulty


@pytest.fixture
def template(tmp_path: Path) -> Path:
    prepare(tmp_path / "template").folder.release()
    return tmp_path / "template"


async def survive(folder: Path, disk: FaultyDisk, fail_at: int, fault: int, lasting: bool, expected: type) -> int:
    """Write while the `fail_at`th write fails; returns how many acts were told so."""
    store = await open_store(folder)
    kept: set[str] = set()
    refused: set[str] = set()
    disk.fail(fail_at, fault, lasting=lasting)
    for start in range(0, ACTS, BATCH):
        names = [f"{n:03}" for n in range(start, start + BATCH)]
        outcomes = await asyncio.gather(
            *(store.write(partial(act, name=name)) for name in names), return_exceptions=True
        )
        for name, outcome in zip(names, outcomes, strict=True):
            (kept if outcome == name else refused).add(name)
            assert outcome == name or type(outcome) is expected
        assert await store.read(found) == (kept, set())
    disk.heal()
    await store.write(partial(act, name="after"))
    assert await store.read(found) == (kept | {"after"}, set())
    await store.close()
    store = await open_store(folder)
    assert await store.read(found) == (kept | {"after"}, set())
    await store.close()
    return len(refused)


def fail_at_each(template: Path, disk: FaultyDisk, places: range, fault: int, lasting: bool, expected: type) -> int:
    """Every place in turn; returns how many of them hit an act (the others hit a checkpoint, which tries again)."""
    hits = 0
    for place in places:
        folder = template.with_name(f"place{place}")
        shutil.copytree(template, folder)
        before = disk.failed
        hits += asyncio.run(survive(folder, disk, place, fault, lasting, expected)) > 0
        assert disk.failed > before
        shutil.rmtree(folder)
    return hits


@pytest.mark.parametrize(("fault", "lasting", "expected"), FAULTS)
def test_sampled_writes_fail(template: Path, disk: FaultyDisk, fault: int, lasting: bool, expected: type) -> None:
    assert fail_at_each(template, disk, range(0, FIRST_WRITES, STRIDE), fault, lasting, expected) > 0


@pytest.mark.full
@pytest.mark.parametrize(("fault", "lasting", "expected"), FAULTS)
def test_each_of_the_first_writes_fails(
    template: Path, disk: FaultyDisk, fault: int, lasting: bool, expected: type, figure: Callable[[str], None]
) -> None:
    hits = fail_at_each(template, disk, range(FIRST_WRITES), fault, lasting, expected)
    how = "and all after it" if lasting else "alone"
    figure(
        f"{os.strerror(fault)} at each of the first {FIRST_WRITES} writes {how}: {hits} met an act and were answered "
        f"as {expected.__name__}, nothing half-made, recovered each time"
    )
    assert hits > 0


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("place", [0, 1, 3, 8, 20, 60])
def test_a_first_start_that_fails_can_be_repeated(tmp_path: Path, disk: FaultyDisk, place: int, fault: int) -> None:
    disk.fail(place, fault, lasting=True)
    with pytest.raises(StoreError):
        prepare(tmp_path / "data")
    assert disk.failed > 0
    disk.heal()
    prepare(tmp_path / "data").folder.release()
