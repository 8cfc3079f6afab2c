"""A device's memory and disk say the same, whoever is cancelled meanwhile; and what misbehaviours are understood."""

import asyncio
import secrets
import threading

import pytest

from app.virtual.memory import Memory, MemoryStore
from app.virtual.misbehaviour import Misbehaviour, parse
from pairing.device import DeviceState, count_try
from pairing.errors import StorageFailedError
from tests.virtual.hub import WAIT


class Disk(MemoryStore):
    """A disk that takes its time, or is broken."""

    def __init__(self) -> None:
        super().__init__()
        self.ready = threading.Event()
        self.ready.set()
        self.broken = False

    def save(self, state: DeviceState) -> None:
        self.ready.wait(WAIT)
        if self.broken:
            raise StorageFailedError
        super().save(state)


async def test_a_change_that_has_begun_is_seen_through() -> None:
    disk = Disk()
    memory = await Memory.open(disk, secrets.token_bytes)
    disk.ready.clear()
    change = asyncio.create_task(memory.change(count_try))
    waiting = asyncio.create_task(memory.until(lambda state: state.wrong_tries == 1))
    await asyncio.sleep(0)
    change.cancel()
    await asyncio.gather(change, return_exceptions=True)
    disk.ready.set()
    await memory.close()
    assert memory.state == disk.load()
    async with asyncio.timeout(WAIT):
        assert (await waiting).wrong_tries == 1


async def test_changes_made_at_once_are_all_made() -> None:
    disk = Disk()
    memory = await Memory.open(disk, secrets.token_bytes)
    await asyncio.gather(*(memory.change(count_try) for _ in range(10)))
    assert memory.state.wrong_tries == 10
    assert disk.load() == memory.state


async def test_what_the_disk_does_not_take_has_not_happened() -> None:
    disk = Disk()
    memory = await Memory.open(disk, secrets.token_bytes)
    disk.broken = True
    with pytest.raises(StorageFailedError):
        await memory.change(count_try)
    assert memory.state.wrong_tries == 0
    disk.broken = False
    assert (await memory.change(count_try)).wrong_tries == 1


@pytest.mark.parametrize(
    ("words", "how"),
    [
        ((), Misbehaviour()),
        (("silent",), Misbehaviour(silent=True)),
        (("slow=0.5", "wrong-proof"), Misbehaviour(slow=0.5, wrong_proof=True)),
        (("slow",), Misbehaviour(slow=1.0)),
        (("dies-at=prepared", "refuses"), Misbehaviour(dies_at="prepared", refuses="busy")),
        (("dies-at=3",), Misbehaviour(dies_at="3")),
    ],
)
def test_misbehaviours_by_name(words: tuple[str, ...], how: Misbehaviour) -> None:
    assert parse(words) == how


@pytest.mark.parametrize("word", ["", "nicely", "slow=fast", "slow=-1", "silent=very", "dies-at=", "dies-at=noon"])
def test_a_misbehaviour_that_is_none(word: str) -> None:
    with pytest.raises(ValueError, match=r"one of|SECONDS|STEP"):
        parse((word,))
