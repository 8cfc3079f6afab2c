"""The way to devices that another hub holds: a link like any other, whose other end is a node (PROTOCOL.md 9).

What waits for such a device waits where it was given, and expires there. It is handed over again on each new
connection until its end was heard; the hub that does it knows it by its id. Only the time that is left is told, for
clocks differ. What a stalled connection adds to that is bounded by how soon it is noticed.
"""

from collections import deque
from collections.abc import Callable, Collection
from typing import Final

from app.accounts.people import People
from app.control import queries as control_queries
from app.control.dispatch import Dispatch
from app.control.model import Command, Kind, encode_body
from app.devices.memory import Memory
from app.devices.model import Device
from app.store.store import Store
from app.store.tx import Reader, Tx
from app.sync.errands import Errands
from app.sync.stream_queries import Errand
from app.sync.wire import CommandEnd, Order

# Handed over to one node and not at their end; a device has a window of its own besides (app.control.dispatch).
MOST_IN_FLIGHT: Final = 4_096
ORDERS_AT_ONCE: Final = 100
OCTETS_AT_ONCE: Final = 1 << 20

# The node that a device's commands go to, None while it cannot be reached.
Way = Callable[[Device], str | None]

# A home, and the account that asks something in it.
_By = tuple[str, str | None]


class Relay:
    """A `Link`. `way` is set by who knows connections; `on_queued` is told of each node that there is something for."""

    carries: Final[Collection[Kind]] = frozenset(Kind)

    def __init__(self, store: Store, memory: Memory, people: People, dispatch: Dispatch, errands: Errands) -> None:
        self._store = store
        self._memory = memory
        self._people = people
        self._dispatch = dispatch
        self._errands = errands
        self.way: Way = lambda device: None
        self.on_queued: Callable[[str], None] = lambda node: None
        # By node: what was handed over on its present connection, and what of that is still to be told.
        self._given: dict[str, set[str]] = {}
        self._queues: dict[str, deque[Command]] = {}
        self._full: set[str] = set()
        errands.on_ended.append(self._ended)

    def is_online(self, device_id: str) -> bool:
        """See `Link`: whether the hub that holds it is connected."""
        return self._node_of(device_id) is not None

    def _node_of(self, device_id: str) -> str | None:
        live = self._memory.get(device_id)
        return None if live is None or self._memory.holds(live.device) else self.way(live.device)

    def send(self, device_id: str, command: Command) -> bool:
        """See `Link`; on one connection each once."""
        if (node := self._node_of(device_id)) is None:
            return False
        given = self._given.setdefault(node, set())
        if command.id in given:
            return True
        if len(given) >= MOST_IN_FLIGHT:
            self._full.add(node)
            return False
        given.add(command.id)
        self._queues.setdefault(node, deque()).append(command)
        self.on_queued(node)
        return True

    def connected(self, node: str) -> None:
        """What waits for its devices goes out, again if it went out before."""
        self.forget(node)
        for device_id in self._dispatch.waiting():
            if self._node_of(device_id) == node:
                self._dispatch.online(device_id)

    def forget(self, node: str) -> None:
        """The connection has ended."""
        self._given.pop(node, None)
        self._queues.pop(node, None)
        self._full.discard(node)

    def left(self, device: Device) -> None:
        """Another hub holds it now: that one is told what the former was."""
        live = self._memory.get(device.id)
        if live is not None and not self._memory.holds(live.device) and self._dispatch.count(device.id):
            self._dispatch.online(device.id)

    async def orders(self, node: str) -> list[Order]:
        """The next to be told to a node, of those that have not ended meanwhile; that it has them is on disk."""
        some = self._take(node)
        if not some:
            return []
        keys = await self._store.write(lambda tx: self._hand_in(tx, node, some))
        given = self._given.get(node, set())
        orders: list[Order] = []
        for command in some:
            left = command.expires_at - self._store.clock.now().ms
            if self._dispatch.get(command.device_id, command.id) is None or left <= 0:
                given.discard(command.id)
            elif command.id in given:
                orders.append(_order(command, keys.get((command.home_id, command.account_id)), left))
        return orders

    def _take(self, node: str) -> list[Command]:
        queue, some, octets = self._queues.get(node, deque()), list[Command](), 0
        while queue and len(some) < ORDERS_AT_ONCE and octets < OCTETS_AT_ONCE:
            some.append(queue.popleft())
            octets += len(encode_body(some[-1].body))
        return some

    def _hand_in(self, tx: Tx, node: str, commands: list[Command]) -> dict[_By, str]:
        there = control_queries.commands(tx, [each.id for each in commands])
        self._errands.put_in(tx, [Errand(it.id, it.home_id, None, node) for it in there if not it.state.ended])
        return _keys(tx, self._people, {(each.home_id, each.account_id) for each in commands})

    def has_more(self, node: str) -> bool:
        """Whether `orders` would have some."""
        return bool(self._queues.get(node))

    def _ended(self, errand: Errand, end: CommandEnd) -> None:
        if (node := errand.holder) is None:
            return
        self._given.get(node, set()).discard(errand.command_id)
        if node in self._full:
            self._full.discard(node)
            for device_id in self._dispatch.waiting():
                if self._node_of(device_id) == node:
                    self._dispatch.listens(device_id)


def _keys(reader: Reader, people: People, askers: set[_By]) -> dict[_By, str]:
    """The key by which a home knows who asked."""
    found = {each: people.key_in(reader, *each) for each in askers}
    return {each: key for each, key in found.items() if key is not None}


def _order(command: Command, key: str | None, left_ms: int) -> Order:
    body = encode_body(command.body).decode()
    return Order(command.id, command.home_id, command.device_id, key or "", command.kind.value, body, left_ms)
