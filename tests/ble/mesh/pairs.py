"""A hub and a node as stacks, and a link between them that loses, doubles, reorders and delays, in virtual time."""

import heapq
from random import Random

from ble.mesh.exchange import ByDevice, Event
from ble.mesh.keys import AppKey, NetKey
from ble.mesh.proxy import Whole
from ble.mesh.stack import Stack
from ble.mesh.state import MeshState, NodeRow
from ble.mesh.timing import PROTOCOL_1_1, Timing

NET, APP, DEVICE = bytes(range(16)), bytes(range(16, 32)), bytes(range(32, 48))
HUB, NODE = 0x0001, 0x0100
WALL = 1_800_000_000.0


def hub_state() -> MeshState:
    state = MeshState(address=HUB, net_keys={0: NetKey(index=0, key=NET)})
    state.app_keys[0] = AppKey(index=0, net_index=0, key=APP)
    state.add_node(NodeRow(uuid=bytes(16), address=NODE, elements=2, device_key=DEVICE, net_keys=[0]))
    return state


def node_state() -> MeshState:
    state = MeshState(address=NODE, elements=2, device_key=DEVICE, net_keys={0: NetKey(index=0, key=NET)})
    state.app_keys[0] = AppKey(index=0, net_index=0, key=APP)
    return state


def reserve(stack: Stack) -> None:
    """As a store that is always quick: the block is written at once."""
    due = stack.reserve_due()
    if due:
        stack.reserve_written(due)


def stack_of(state: MeshState, *, timing: Timing = PROTOCOL_1_1, provisioner: bool = True) -> Stack:
    stack = Stack(state, timing=timing, provisioner=provisioner)
    reserve(stack)
    return stack


def pair(timing: Timing = PROTOCOL_1_1) -> tuple[Stack, Stack]:
    return stack_of(hub_state(), timing=timing), stack_of(node_state(), timing=timing, provisioner=False)


def carry(one: Stack, other: Stack, now: float = 0.0) -> None:
    """Hand over what both have to say until neither has any more."""
    while True:
        one.tick(now)
        other.tick(now)
        said = [(other, whole) for whole in one.take_out()] + [(one, whole) for whole in other.take_out()]
        if not said:
            return
        for to, whole in said:
            to.receive(whole, now, WALL)


def by_device() -> ByDevice:
    return ByDevice(NODE)


class Link:
    """Both ends and what is on its way. `run` ends when nothing is due any more, or at `until`."""

    def __init__(self, ends: tuple[Stack, Stack], random: Random, *, loss: float, double: float, delay: float) -> None:
        self.ends, self.now = ends, 0.0
        self.heard: tuple[list[Event], list[Event]] = ([], [])
        self._random, self._loss, self._double, self._delay = random, loss, double, delay
        self._flying: list[tuple[float, int, int, Whole]] = []
        self._count = 0

    def run(self, until: float) -> None:
        self._collect()
        while (at := self._next()) is not None and at <= until:
            self.now = max(self.now, at)
            while self._flying and self._flying[0][0] <= self.now:
                _, _, to, whole = heapq.heappop(self._flying)
                self.ends[to].receive(whole, self.now, WALL + self.now)
            for end in self.ends:
                end.tick(self.now)
            self._collect()

    def _next(self) -> float | None:
        flying = [self._flying[0][0]] if self._flying else []
        ticks = [due for end in self.ends if (due := end.next_deadline) is not None]
        return min([*flying, *ticks], default=None)

    def _collect(self) -> None:
        for index, end in enumerate(self.ends):
            reserve(end)
            self.heard[index].extend(end.take_events())
            for whole in end.take_out():
                self._throw(1 - index, whole)

    def _throw(self, to: int, whole: Whole) -> None:
        copies = 0 if self._random.random() < self._loss else 1 + (self._random.random() < self._double)
        for _ in range(copies):
            self._count += 1
            heapq.heappush(self._flying, (self.now + self._random.random() * self._delay, self._count, to, whole))
