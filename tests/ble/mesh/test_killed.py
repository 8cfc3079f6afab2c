"""A process that sends is killed at random moments, and restored from older backups: no number is used twice."""

import asyncio
import os
import signal
import time
import traceback
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from blockbuster import BlockBuster

from ble.mesh import keys, network
from ble.mesh.crypto import NotAuthentic
from ble.mesh.driver import Driver
from ble.mesh.exchange import ByDevice
from ble.mesh.iv import MIN_S
from ble.mesh.proxy import Kind, Whole
from ble.mesh.sequence import RATE, NumbersUsedUp, Reserved, Sequence
from ble.mesh.stack import Stack
from ble.mesh.state import JUMP, MeshState
from ble.mesh.store import JsonStore
from tests.ble.mesh.pairs import NET, NODE, WALL, hub_state

_SIZE = 32
MAX_IV = 40


async def _send(path: Path, pipe: int, backup: Path, elapsed: float | None, seed: float, wall: float) -> None:
    """What the child does for as long as it lives: each network PDU goes to the pipe, as it would to a proxy."""
    store = JsonStore(path)
    state = await (store if elapsed is None else JsonStore(backup)).load()
    assert state is not None
    if elapsed is not None:
        # Restored and jumped are one save: no moment has the one without the other.
        state.jump(elapsed, Random(seed).randrange)
        await store.save(state)
    driver = Driver(Stack(state), store, lambda event: None, clock=time.monotonic, wall=lambda: WALL + wall)

    async def bear(whole: Whole) -> None:
        if whole.kind is Kind.NETWORK:
            os.write(pipe, bytes((len(whole.data),)) + whole.data.ljust(_SIZE - 1, b"\0"))

    driver.bearer = bear
    running = asyncio.create_task(driver.run())
    for count in range(1_000_000):
        # Short and long ones: the long ones take numbers for 16 segments at a time, and again as they are not heard.
        await driver.send(NODE, bytes(180 if count % 7 == 0 else 4), ByDevice(NODE))
        await asyncio.sleep(0)
    running.cancel()


def _killed_child(
    path: Path, random: Random, backup: Path, elapsed: float | None, wall: float, watch: BlockBuster
) -> list[bytes]:
    """Fork the sender, kill it after some of its life, and give what it had sent."""
    reading, writing = os.pipe()
    seed, child = random.random(), os.fork()
    if child == 0:
        try:
            os.close(reading)
            watch.deactivate()  # a pipe that nobody reads fast enough is what this sender waits for
            asyncio.run(_send(path, writing, backup, elapsed, seed, wall))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(writing)
    # A moment counted in what has been sent so far, and a little more: anywhere in a block, and in a write to disk.
    wanted, data = random.randrange(0, 400) * _SIZE, b""
    while len(data) < wanted and (part := os.read(reading, 65536)):
        data += part
    time.sleep(random.random() * 0.004)
    os.kill(child, signal.SIGKILL)
    while part := os.read(reading, 65536):
        data += part
    os.close(reading)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the sender ended by itself"
    return [data[at + 1 : at + 1 + data[at]] for at in range(0, len(data) // _SIZE * _SIZE, _SIZE)]


def _numbers(pdus: list[bytes]) -> list[tuple[int, int, int]]:
    """Source, IV index and sequence number of each."""
    opened = [_opened(pdu) for pdu in pdus]
    return [(one.pdu.src, one.iv_index, one.pdu.seq) for one in opened]


def _opened(pdu: bytes) -> network.Opened:
    for iv_index in range(1, MAX_IV, 2):
        with suppress(NotAuthentic):
            return network.unseal(pdu, [keys.flooding(NET)], iv_index)
    raise AssertionError("no IV index opens it")


def kill(path: Path, times: int, seed: int, watch: BlockBuster) -> set[tuple[int, int, int]]:
    """The numbers that were used, none of them twice. An hour passes with each life of the process."""
    random, used = Random(seed), set[tuple[int, int, int]]()
    asyncio.run(JsonStore(path).save(hub_state()))
    backup = path.with_suffix(".backup")
    backup.write_bytes(path.read_bytes())
    taken = wall = 0.0
    for _ in range(times):
        wall += 3600.0
        elapsed = None
        if random.random() < 0.05:
            elapsed = wall - taken
        elif random.random() < 0.1:
            backup.write_bytes(path.read_bytes())
            taken = wall
        numbers = _numbers(_killed_child(path, random, backup, elapsed, wall, watch))
        assert len(set(numbers)) == len(numbers)
        assert used.isdisjoint(numbers)
        used.update(numbers)
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
