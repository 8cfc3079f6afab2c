"""A radio in memory, and mesh nodes on it: each is a real stack behind a GATT connection."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from ble.errors import Disconnected, NotReachable
from ble.mesh.access import Message, unpack
from ble.mesh.choice import PROXY_SERVICE
from ble.mesh.exchange import Configured, Received
from ble.mesh.keys import network_id
from ble.mesh.link import DATA_IN, DATA_OUT
from ble.mesh.proxy import Reassembly, segments
from ble.mesh.proxy_filter import SetType, Status
from ble.radio import CONNECT_TIMEOUT_S, Advertisement, Connection, RadioState
from tests.ble.mesh.pairs import NET, NODE, WALL, node_state, reserve, stack_of

ONOFF_GET, ONOFF_SET, ONOFF_STATUS = 0x8201, 0x8202, 0x8204


class Node:
    """A lamp that answers OnOff messages, and a proxy. `deaf`: it carries messages, and answers none."""

    def __init__(self, address: str, rssi: int = -50, unicast: int = NODE) -> None:
        self.address, self.rssi = address, rssi
        self.stack = stack_of(node_state(), provisioner=False)
        self.stack.state.address = unicast
        self.on = False
        self.deaf = self.mute_filter = False
        self.ignore = 0
        self.notify: Callable[[bytes], None] | None = None
        self.filters: list[object] = []
        self.asked = 0
        self._inbound = Reassembly()

    @property
    def advert(self) -> Advertisement:
        data = {PROXY_SERVICE: b"\x00" + network_id(NET)}
        return Advertisement(address=self.address, rssi=self.rssi, services=(PROXY_SERVICE,), service_data=data)

    def write(self, data: bytes) -> None:
        whole = self._inbound.feed(data, 0.0)
        if whole:
            self.stack.receive(whole, 0.0, WALL)
            self.answer()

    def answer(self) -> None:
        reserve(self.stack)
        for event in self.stack.take_events():
            if isinstance(event, Configured):
                self._configured(event)
            elif isinstance(event, Received) and not self.deaf:
                self._received(event)
        self.stack.tick(1e9)
        self.flush()

    def flush(self) -> None:
        for whole in self.stack.take_out():
            for part in segments(whole.kind, whole.data, 20):
                if self.notify:
                    self.notify(part)

    def _configured(self, event: Configured) -> None:
        self.filters.append(event.message)
        if isinstance(event.message, SetType) and not self.mute_filter:
            self.stack.configure(Status(event.message.filter_type, 0))

    def _received(self, event: Received) -> None:
        message = unpack(event.payload)
        self.asked += 1
        if self.ignore:
            self.ignore -= 1
            return
        if message.opcode == ONOFF_SET:
            self.on = bool(message.parameters[0])
        if message.opcode in (ONOFF_GET, ONOFF_SET):
            answer = Message(ONOFF_STATUS, bytes((self.on,)))
            self.stack.send(event.src, answer.pack(), event.key, 0.0)


class _Connection:
    def __init__(self, node: Node) -> None:
        self.address, self.max_write, self.connected = node.address, 20, True
        self._node = node
        self._told: list[Callable[[], None]] = []

    async def read(self, characteristic: str) -> bytes:
        raise NotReachable(characteristic)

    async def write(self, characteristic: str, data: bytes, *, response: bool) -> None:
        assert (characteristic, response) == (DATA_IN, False)
        assert len(data) <= self.max_write
        if not self.connected:
            raise Disconnected("gone")
        await asyncio.sleep(0)
        self._node.write(data)

    async def subscribe(self, characteristic: str, heard: Callable[[bytes], None]) -> None:
        assert characteristic == DATA_OUT
        self._node.notify = heard
        self._node.stack.beacon()
        self._node.flush()

    async def descriptor(self, characteristic: str, descriptor: str) -> bytes:
        raise NotReachable(descriptor)

    def characteristics(self, service: str) -> Sequence[str]:
        return (DATA_IN, DATA_OUT) if service == PROXY_SERVICE else ()

    def on_disconnect(self, told: Callable[[], None]) -> None:
        self._told.append(told)

    def end(self) -> None:
        self.connected, self._node.notify = False, None
        for told in self._told:
            told()


class Air:
    """The radio. `drop` ends a node's connection; a node of `absent` is heard and cannot be connected to."""

    state = RadioState(usable=True)

    def __init__(self, *nodes: Node) -> None:
        self.nodes = {node.address: node for node in nodes}
        self.absent: set[str] = set()
        self.connects: list[str] = []
        self.open_connections: dict[str, _Connection] = {}
        self.listeners: list[Callable[[Advertisement], None]] = []

    @property
    def in_use(self) -> int:
        return len(self.open_connections)

    def on_state(self, told: Callable[[RadioState], None]) -> Callable[[], None]:
        return lambda: None

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def listen(self, heard: Callable[[Advertisement], None]) -> Callable[[], None]:
        self.listeners.append(heard)
        self.advertise()
        return lambda: self.listeners.remove(heard)

    def advertise(self) -> None:
        for node in self.nodes.values():
            for heard in self.listeners:
                heard(node.advert)

    def connect(
        self, address: str, *, services: Sequence[str] = (), timeout: float = CONNECT_TIMEOUT_S
    ) -> AbstractAsyncContextManager[Connection]:
        return self._connected(address)

    def drop(self, address: str) -> None:
        self.open_connections[address].end()

    @asynccontextmanager
    async def _connected(self, address: str) -> AsyncIterator[Connection]:
        self.connects.append(address)
        if address in self.absent:
            raise NotReachable(address)
        connection = self.open_connections[address] = _Connection(self.nodes[address])
        try:
            yield connection
        finally:
            connection.end()
            del self.open_connections[address]
