"""kill -9 under concurrent writers: what was acknowledged is there, nothing is half-made, it comes back by itself."""

import asyncio
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.store.prepare import open_store
from tests.crash.acts import found

SEEDED, FULL = 6, 200
# Of a run; every other time the kill falls into the start instead: lock, recovery of the log, first writes.
MOST_ACKNOWLEDGED = 1500


def killed_run(folder: Path, run: str, dice: random.Random) -> set[str]:
    """Start writers and kill them at a random moment; the names they said were acknowledged."""
    said: set[str] = set()
    with subprocess.Popen(
        [sys.executable, "-m", "tests.crash.writers", folder, run], stdout=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdout is not None
        early = dice.random() < 0.2
        if early:
            threading.Timer(dice.uniform(0.0, 0.6), process.kill).start()
        enough = dice.randint(1, MOST_ACKNOWLEDGED)
        rest = b""
        while block := process.stdout.read(65536):
            *lines, rest = (rest + block).split(b"\n")
            said.update(line.decode() for line in lines if line != b"ready")
            if len(said) >= enough and not early:
                process.kill()
        assert process.wait() == -9
    return said


async def judge(folder: Path, acknowledged: set[str]) -> tuple[float, int]:
    """Seconds until the store was open again (lock, log, integrity check), and how many acts it holds."""
    begun = time.perf_counter()
    store = await open_store(folder)
    seconds = time.perf_counter() - begun
    try:
        whole, half_made = await store.read(found)
        assert half_made == set()
        assert acknowledged - whole == set()
        await store.write(lambda tx: tx.run("UPDATE hub SET name='back'"))
    finally:
        await store.close()
    return seconds, len(whole)


def kill_often(folder: Path, times: int, seed: int, figure: Callable[[str], None]) -> None:
    dice = random.Random(seed)
    acknowledged: set[str] = set()
    took: list[float] = []
    kept = 0
    for n in range(times):
        acknowledged |= killed_run(folder, f"run{n}", dice)
        seconds, kept = asyncio.run(judge(folder, acknowledged))
        took.append(seconds)
    assert acknowledged != set()
    took.sort()
    figure(
        f"kill -9 x {times}: {len(acknowledged)} writes acknowledged, none lost, {kept} kept, none half-made; "
        f"open again in {took[len(took) // 2] * 1000:.0f} ms (median), {took[-1] * 1000:.0f} ms (longest)"
    )


def test_killed_at_random_moments(tmp_path: Path, figure: Callable[[str], None]) -> None:
    kill_often(tmp_path / "data", SEEDED, 1, figure)


@pytest.mark.full
def test_killed_two_hundred_times(tmp_path: Path, figure: Callable[[str], None]) -> None:
    kill_often(tmp_path / "data", FULL, 2, figure)
