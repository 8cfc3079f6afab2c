"""A write-ahead log that ends anywhere: the database opens and holds the acts up to some moment, each whole."""

import contextlib
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.store.connection import open_plain
from app.store.folder import DATABASE
from app.store.prepare import prepare
from app.store.tx import Reader
from tests.crash.acts import found

ACTS = 60
SEEDED, FULL = 40, 1000

WRITE_AND_DIE = """
import asyncio, os, sys
from functools import partial
from pathlib import Path
from app.store import checkpoint
from app.store.prepare import open_store
from tests.crash.acts import act
checkpoint.EVERY_S = 3600
async def main():
    store = await open_store(Path(sys.argv[1]))
    for n in range(int(sys.argv[2])):
        await store.write(partial(act, name=f"{n:05}"))
    os._exit(0)
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def dead(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a hub that died with everything still in the log."""
    folder = tmp_path_factory.mktemp("dead") / "data"
    prepare(folder).folder.release()
    subprocess.run([sys.executable, "-c", WRITE_AND_DIE, folder, str(ACTS)], check=True)
    assert (folder / f"{DATABASE}-wal").stat().st_size > ACTS * 4096
    return folder


def kept_after(dead: Path, folder: Path, cut: int, torn: bytes) -> int:
    """How many acts a hub finds whose log was cut at `cut`, `torn` standing where the rest was."""
    shutil.copytree(dead, folder)
    # A machine that lost power has no shared memory either; the next start builds the log's index from the log.
    (folder / f"{DATABASE}-shm").unlink()
    log = folder / f"{DATABASE}-wal"
    os.truncate(log, cut)
    with log.open("ab") as file:
        file.write(torn)
    prepare(folder).folder.release()
    with contextlib.closing(open_plain(folder / DATABASE, read_only=True)) as db:
        whole, half_made = found(Reader(db))
    assert half_made == set()
    assert sorted(whole) == [f"{n:05}" for n in range(len(whole))]
    shutil.rmtree(folder)
    return len(whole)


def cut_often(dead: Path, tmp_path: Path, times: int, seed: int) -> None:
    dice = random.Random(seed)
    size = (dead / f"{DATABASE}-wal").stat().st_size
    cuts = sorted({0, 1, 32, size - 1, size, *(dice.randrange(size) for _ in range(times - 5))})
    kept = [kept_after(dead, tmp_path / "cut", cut, b"") for cut in cuts]
    assert kept == sorted(kept)
    assert (kept[0], kept[-1]) == (0, ACTS)
    # A torn sector holds anything.
    for cut in dice.sample(cuts, len(cuts) // 4):
        torn = dice.randbytes(min(4096, size - cut))
        assert kept_after(dead, tmp_path / "torn", cut, torn) == kept[cuts.index(cut)]


def test_cut_at_sampled_offsets(dead: Path, tmp_path: Path) -> None:
    cut_often(dead, tmp_path, SEEDED, 1)


@pytest.mark.full
def test_cut_at_a_thousand_offsets(dead: Path, tmp_path: Path, figure: Callable[[str], None]) -> None:
    cut_often(dead, tmp_path, FULL, 2)
    figure(f"log cut at {FULL} offsets: opened each time with a whole beginning of {ACTS} acts")
