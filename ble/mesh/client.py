"""A mesh network over a radio: messages to nodes, their answers, and what they say unasked."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from types import TracebackType
from typing import ParamSpec, Self

from msgspec import Struct

from ble.errors import BleError, NotReachable
from ble.locks import Locks
from ble.mesh import access
from ble.mesh.access import Message
from ble.mesh.driver import Driver
from ble.mesh.exchange import Configured, Event, KeyName, NotSent, Received
from ble.mesh.link import Link
from ble.mesh.presence import MISSES, Presence
from ble.mesh.stack import DEFAULT_TTL, Stack
from ble.mesh.state import MeshState
from ble.mesh.store import MeshStore
from ble.mesh.timing import PROTOCOL_1_1, Timing
from ble.radio import Radio

P = ParamSpec("P")

logger = logging.getLogger(__name__)


class NoProxy(NotReachable):
    """No node of the network that a message could go through is in reach."""

    code = "no_proxy"
    hint = "Check that at least one mesh device near the Bluetooth adapter has power."


class NoNetwork(BleError):
    """The store holds no network."""

    code = "no_network"


class NodeSilent(NotReachable):
    """The node did not answer, though a proxy carried the message."""

    code = "node_silent"
    hint = "Check that the device has power."


class Patience(Struct, frozen=True, kw_only=True):
    """How long and how often; seconds."""

    answer_s: float = 4.0
    tries: int = 3
    proxy_s: float = 20.0
    """How long a request waits for a proxy."""
    misses: int = MISSES
    at_once: int = 4
    """Requests under way at the same time; to one node there is one."""


PATIENCE = Patience()


class _Asked(Struct):
    handle: int
    src: int
    opcodes: Collection[int]
    matches: Callable[[Message], bool]
    answer: asyncio.Future[Message]


class MeshClient:
    """`async with MeshClient(radio, store) as client`: keeps a proxy connected; the radio is opened by its owner."""

    def __init__(
        self,
        radio: Radio,
        store: MeshStore,
        *,
        patience: Patience = PATIENCE,
        timing: Timing = PROTOCOL_1_1,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._radio, self._store, self._patience, self._timing = radio, store, patience, timing
        self._clock, self._wall = clock, wall
        self._asked: list[_Asked] = []
        self._listeners: list[Callable[[Received, Message], None]] = []
        self._watchers: list[Callable[[int, bool], None]] = []
        self._presence = Presence(self._changed, patience.misses)
        self._slots = asyncio.Semaphore(patience.at_once)
        self._turns = Locks[int]()
        self._tasks: list[asyncio.Task[None]] = []
        self._gone: asyncio.Future[BaseException]
        self._driver: Driver
        self._link: Link

    async def __aenter__(self) -> Self:
        state = await self._store.load()
        if state is None:
            raise NoNetwork("nothing was saved")
        self._gone = asyncio.get_running_loop().create_future()
        stack = Stack(state, timing=self._timing)
        self._driver = Driver(stack, self._store, self._told, clock=self._clock, wall=self._wall)
        self._link = Link(self._radio, self._driver, self._clock)
        await self._driver.save()
        self._tasks = [asyncio.create_task(self._driver.run()), asyncio.create_task(self._link.run())]
        for task in self._tasks:
            task.add_done_callback(self._ended)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._fail(NoProxy("the network is closed"))

    @property
    def state(self) -> MeshState:
        """The network's state; `save` after a change."""
        return self._driver.stack.state

    @property
    def stack(self) -> Stack:
        """For key refresh and IV updates; `save` after a change."""
        return self._driver.stack

    @property
    def proxy(self) -> str:
        """The system's name for the proxy that is connected, or nothing."""
        return self._link.proxy

    async def save(self) -> None:
        """Have the whole state on disk."""
        await self._driver.save_all()

    def announce(self, net_index: int = 0) -> None:
        """Say the state of a key refresh or an IV update, as far as the proxy carries it. Raises KeyUnknown."""
        self.stack.beacon(net_index)
        self._driver.wake()

    def avoid(self, address: int) -> None:
        """Reach the network through this node no more: it is to leave it."""
        self._link.avoid(address)

    async def remove_node(self, address: int) -> None:
        """Forget a node that was reset, and have that on disk."""
        self.state.remove_node(address)
        self._presence.forget(address)
        await self.save()

    @property
    def is_connected(self) -> bool:
        """Whether a proxy carries messages now."""
        return self._link.connected.is_set()

    async def ended(self) -> BaseException:
        """What ended the network: of the store or the radio; nothing is sent any more."""
        return await asyncio.shield(self._gone)

    async def connected(self) -> None:
        """Return once a proxy is connected. Raises NoProxy when that takes too long, and what ended the store."""
        waiting = asyncio.ensure_future(self._link.connected.wait())
        try:
            done, _ = await asyncio.wait(
                (waiting, self._gone), timeout=self._patience.proxy_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            waiting.cancel()
        if self._gone.done():
            raise self._gone.result()
        if waiting not in done:
            raise NoProxy("no proxy is heard")

    def hear(self, groups: Iterable[int] = (), labels: Iterable[bytes] = ()) -> None:
        """Hear these groups and virtual addresses as well."""
        stack = self._driver.stack
        stack.groups.update(groups)
        stack.labels.update(labels)
        self._link.add_to_filter(stack.heard_addresses)

    def on_message(self, told: Callable[[Received, Message], None]) -> Callable[[], None]:
        """Have `told` called with every message, asked for or not; returns what ends that."""
        self._listeners.append(told)
        return lambda: self._listeners.remove(told)

    def on_presence(self, told: Callable[[int, bool], None]) -> Callable[[], None]:
        """Have `told` called with a node's address, and whether it is away, when that changes."""
        self._watchers.append(told)
        return lambda: self._watchers.remove(told)

    def away(self, address: int) -> bool:
        """Whether the node of this address has missed several polls in a row."""
        return self._presence.away(self._primary(address))

    async def send(
        self, dst: int, message: Message, key: KeyName, *, ttl: int = DEFAULT_TTL, label: bytes = b""
    ) -> int:
        """Send without waiting for an answer: to a group, for one. Raises NoProxy, and what the stack's `send` does."""
        await self.connected()
        return await self._driver.send(dst, message.pack(), key, ttl=ttl, label=label)

    async def request(
        self,
        dst: int,
        message: Message,
        key: KeyName,
        *,
        answers: Collection[int],
        matches: Callable[[Message], bool] = lambda _: True,
        tries: int | None = None,
    ) -> Message:
        """Send, and send again, until the node answers with one of these opcodes, and `matches` agrees.

        Raises NoProxy, NodeSilent (which counts as a missed poll), and what the stack's `send` raises.
        """
        with self._turns.of(dst) as turn:  # one request at a time to one node
            async with turn, self._slots:
                for _ in range(tries or self._patience.tries):
                    await self.connected()
                    answer = await self._try(dst, message, key, answers, matches)
                    if answer is not None:
                        return answer
        if self._link.connected.is_set():
            self._presence.missed(self._primary(dst))
            raise NodeSilent(f"{dst:#06x} does not answer")
        raise NoProxy("the proxy went away")

    async def _try(
        self, dst: int, message: Message, key: KeyName, answers: Collection[int], matches: Callable[[Message], bool]
    ) -> Message | None:
        asked = _Asked(0, dst, answers, matches, asyncio.get_running_loop().create_future())
        self._asked.append(asked)
        try:
            asked.handle = await self._driver.send(dst, message.pack(), key)
            async with asyncio.timeout(self._patience.answer_s):
                return await asked.answer
        except (TimeoutError, _NotCarried):
            return None
        finally:
            self._asked.remove(asked)
            if asked.handle:
                self._driver.cancel(asked.handle)

    def _told(self, event: Event) -> None:
        match event:
            case Received():
                self._received(event)
            case Configured():
                self._link.configured(event)
            case NotSent(handle, cause):
                for asked in self._asked:
                    if asked.handle == handle and not asked.answer.done():
                        asked.answer.set_exception(_NotCarried(cause))
            case _:
                return

    def _received(self, event: Received) -> None:
        with suppress(BleError):
            message = access.unpack(event.payload)
            self._presence.heard(self._primary(event.src))
            for asked in self._asked:
                wanted = asked.src == event.src and message.opcode in asked.opcodes
                if wanted and not asked.answer.done() and asked.matches(message):
                    asked.answer.set_result(message)
            for told in tuple(self._listeners):
                _call(told, event, message)

    def _changed(self, address: int, away: bool) -> None:
        for told in tuple(self._watchers):
            _call(told, address, away)

    def _primary(self, address: int) -> int:
        node = self._driver.stack.state.node_of(address)
        return node.address if node else address

    def _ended(self, task: asyncio.Task[None]) -> None:
        """The store or the radio has failed for good: nobody waits for an answer that cannot come."""
        if not task.cancelled() and (error := task.exception()):
            for other in self._tasks:
                other.cancel()
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not self._gone.done():
            self._gone.set_result(error)
        for asked in self._asked:
            if not asked.answer.done():
                asked.answer.set_exception(error)


def _call(told: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
    """A listener's own mistake must not end the network."""
    try:
        told(*args, **kwargs)
    except Exception:
        logger.exception("mesh_listener_failed")


class _NotCarried(BleError):
    code = "not_carried"
    retryable = True
