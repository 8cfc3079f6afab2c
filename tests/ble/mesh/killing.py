"""A process that sends is killed at a moment of its life; what it had sent by then, and what a node makes of that."""

import asyncio
import os
import signal
import time
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random

from blockbuster import BlockBuster

from ble.errors import BleError
from ble.mesh import keys, network
from ble.mesh.crypto import NotAuthentic
from ble.mesh.driver import Driver
from ble.mesh.exchange import ByDevice, QueueFull, Received
from ble.mesh.proxy import Kind, Whole
from ble.mesh.stack import Stack
from ble.mesh.state import MeshState
from ble.mesh.store import MeshStore
from tests.ble.mesh.pairs import NET, NODE, WALL, node_state, reserve

_SIZE = 33
MAX_IV = 40
LONGEST = 64
"""PDUs that may go out before one whole message has: the first ones are segments."""

Send = Callable[[int], Awaitable[None]]
"""What the child does for as long as it lives, with the pipe that it sends into."""


async def send_for_ever(state: MeshState, store: MeshStore, pipe: int, wall: float) -> None:
    """Each PDU goes to the pipe, as it would to a proxy."""
    driver = Driver(Stack(state), store, lambda event: None, clock=time.monotonic, wall=lambda: WALL + wall)

    async def bear(whole: Whole) -> None:
        if whole.kind in (Kind.NETWORK, Kind.BEACON):
            os.write(pipe, bytes((whole.kind, len(whole.data))) + whole.data.ljust(_SIZE - 2, b"\0"))

    driver.bearer = bear
    driver.stack.beacon()  # as with every connection: a node that was away learns the IV index
    running = asyncio.create_task(driver.run())
    for count in range(1_000_000):
        # Short and long ones: the long ones take numbers for 16 segments at a time, and again as they are not heard.
        with suppress(QueueFull):  # the long ones wait for the node, which says nothing
            await driver.send(NODE, bytes(180 if count % 7 == 0 else 4), ByDevice(NODE))
        await asyncio.sleep(0)
        if running.done():
            running.result()
    running.cancel()


def killed_child(send: Send, random: Random, watch: BlockBuster) -> list[Whole]:
    """Fork the sender, kill it after some of its life, and give what it had sent."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            watch.deactivate()  # a pipe that nobody reads fast enough is what this sender waits for
            asyncio.run(_only(send, writing))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(writing)
    data = _until(reading, random)
    os.kill(child, signal.SIGKILL)
    while part := os.read(reading, 65536):
        data += part
    os.close(reading)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the sender ended by itself"
    parts = [data[at : at + _SIZE] for at in range(0, len(data) // _SIZE * _SIZE, _SIZE)]
    return [Whole(Kind(part[0]), part[2 : 2 + part[1]]) for part in parts]


async def _only(send: Send, writing: int) -> None:
    await send(writing)


def _until(reading: int, random: Random) -> bytes:
    """A moment counted in what has been sent so far, and a little more: anywhere in a block, and in a write to disk.

    One in ten comes while it starts.
    """
    if random.random() < 0.1:
        time.sleep(random.random() * 0.2)
        return b""
    wanted, data = random.randrange(0, 400) * _SIZE, b""
    while len(data) < wanted and (part := os.read(reading, 65536)):
        data += part
    time.sleep(random.random() * 0.004)
    return data


def numbers(sent: list[Whole]) -> list[tuple[int, int, int]]:
    """Source, IV index and sequence number of each network PDU."""
    opened = [_opened(one.data) for one in sent if one.kind is Kind.NETWORK]
    return [(one.pdu.src, one.iv_index, one.pdu.seq) for one in opened]


def _opened(pdu: bytes) -> network.Opened:
    for iv_index in range(1, MAX_IV, 2):
        with suppress(NotAuthentic):
            return network.unseal(pdu, [keys.flooding(NET)], iv_index)
    raise AssertionError("no IV index opens it")


class Obeying:
    """The node that all of it is for, over all lives of the sender."""

    def __init__(self) -> None:
        self._stack = Stack(node_state(), provisioner=False)

    def heard(self, sent: list[Whole], wall: float) -> int:
        """How many messages of a life it takes as new, and as from its hub."""
        done = 0
        for whole in sent:
            with suppress(BleError):
                self._stack.receive(whole, wall, WALL + wall)
            self._stack.settle(WALL + wall)
            reserve(self._stack)
            self._stack.take_out()
            done += sum(isinstance(event, Received) for event in self._stack.take_events())
        self._stack.tick(wall + 600.0)  # what was cut off in the middle is given up
        return done
