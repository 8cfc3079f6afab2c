"""A process that sends is killed at random moments, and restored from older backups: no number is used twice."""

import asyncio
from functools import partial
from pathlib import Path
from random import Random

import pytest
from blockbuster import BlockBuster

from ble.mesh.iv import MIN_S
from ble.mesh.sequence import RATE, NumbersUsedUp, Reserved, Sequence
from ble.mesh.state import JUMP, MeshState
from ble.mesh.store import JsonStore
from tests.ble.mesh.killing import LONGEST, Obeying, killed_child, numbers, send_for_ever
from tests.ble.mesh.pairs import NODE, hub_state


async def _send(path: Path, pipe: int, backup: Path, elapsed: float | None, seed: float, wall: float) -> None:
    store = JsonStore(path)
    state = await (store if elapsed is None else JsonStore(backup)).load()
    assert state is not None
    if elapsed is not None:
        # Restored and jumped are one save: no moment has the one without the other.
        state.jump(elapsed, Random(seed).randrange)
        await store.save(state)
    await send_for_ever(state, store, pipe, wall)


def kill(path: Path, times: int, seed: int, watch: BlockBuster) -> set[tuple[int, int, int]]:
    """The numbers that were used, none of them twice. An hour passes with each life of the process."""
    random, used = Random(seed), set[tuple[int, int, int]]()
    asyncio.run(JsonStore(path).save(hub_state()))
    backup = path.with_suffix(".backup")
    backup.write_bytes(path.read_bytes())
    taken = wall = 0.0
    node = Obeying()
    for _ in range(times):
        wall += 3600.0
        elapsed = None
        if random.random() < 0.05:
            elapsed = wall - taken
        elif random.random() < 0.1:
            backup.write_bytes(path.read_bytes())
            taken = wall
        send = partial(_send, path, backup=backup, elapsed=elapsed, seed=random.random(), wall=wall)
        sent = killed_child(send, random, watch)
        now = numbers(sent)
        assert len(set(now)) == len(now)
        assert used.isdisjoint(now)
        used.update(now)
        # A life in which one whole message got out is one in which the node obeys.
        assert node.heard(sent, wall) > 0 or len(now) < LONGEST
    return used


def test_no_number_is_used_twice_by_a_process_that_is_killed(tmp_path: Path, blockbuster: BlockBuster) -> None:
    assert len(kill(tmp_path / "mesh.json", 20, seed=1, watch=blockbuster)) > 1000


@pytest.mark.full
def test_no_number_is_used_twice_over_a_thousand_kills(tmp_path: Path, blockbuster: BlockBuster) -> None:
    used = kill(tmp_path / "mesh.json", 1000, seed=2, watch=blockbuster)
    assert len(used) > 100_000
    assert len({iv_index for _, iv_index, _ in used}) > 1, "IV updates were in it as well"
    assert len({src for src, _, _ in used}) > 1, "and restores that had to take another address"


def test_a_restore_leaves_out_what_can_have_been_used() -> None:
    state = hub_state()
    state.reserved = Reserved(upto=5000)
    state.jump(3600.0, Random(1).randrange)
    assert state.reserved.upto == 5000 + 3600 * RATE + JUMP
    sequence = Sequence(state.reserved)
    sequence.written(sequence.reserved.extended(0))
    assert sequence.take(0) == state.reserved.upto
    sequence.written(sequence.reserved.extended(1))
    assert sequence.take(1) == 3600 * RATE + JUMP, "the lost past may have updated the IV index, and begun again"
    far = state.reserved.floor_iv + 1
    sequence.written(sequence.reserved.extended(far))
    assert sequence.take(far) == 0


@pytest.mark.parametrize("elapsed", [-1.0, MIN_S * 10])
def test_a_restore_without_room_takes_another_address(elapsed: float) -> None:
    state = hub_state()
    before = state.address
    state.jump(elapsed, Random(1).randrange)
    assert state.address != before
    assert state.address >= 0x4000
    assert state.reserved.first(0) == state.reserved.first(1) > 0
    assert state.free_address(1) == before + 1, "the old one is not given away"


def test_the_iv_index_of_numbers_never_goes_back() -> None:
    with pytest.raises(NumbersUsedUp):
        Reserved(iv_index=3, upto=5).extended(2)


def test_addresses_are_given_once() -> None:
    state = hub_state()
    assert state.free_address(3) == 2
    assert state.free_address(0xFF) == NODE + 2
    state.remove_node(NODE)
    assert state.free_address(0xFF) == NODE + 2
    assert isinstance(state, MeshState)
    state.retired.append((0x0200, 0x7DFF))
    with pytest.raises(Exception, match="elements"):
        state.free_address(0x100)
