"""A radio in memory, and virtual nodes on it as its peripherals: in real time, each in earshot of all others."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from ble.errors import Disconnected, NotReachable
from ble.mesh import pb_gatt
from ble.mesh.node.faults import AnyFault
from ble.mesh.node.peripheral import PROXY_IN, PROXY_OUT, Peripheral
from ble.mesh.node.products import Product
from ble.mesh.provisioning.device import Device
from ble.radio import CONNECT_TIMEOUT_S, Advertisement, Connection, RadioState

TICK_S = 0.02
MAX_WRITE = 66


class NodeAir:
    """`ble.radio.Radio`, to be used as a context: nodes live while it lasts."""

    state = RadioState(True)

    def __init__(self) -> None:
        self.nodes: dict[str, Peripheral] = {}
        self.links: dict[str, _Link] = {}
        self._listeners: list[Callable[[Advertisement], None]] = []
        self._task: asyncio.Task[None] | None = None

    def add(self, make: Callable[[], Product], fault: AnyFault | None = None, *, device: Device | None = None) -> str:
        """The address of a new device."""
        address = f"00:00:00:00:00:{len(self.nodes):02X}"
        node = Peripheral(make, secrets.token_bytes(16), entropy=secrets.token_bytes, fault=fault, device=device)
        node.on_air = lambda pdu: self._spread(node, pdu)
        self.nodes[address] = node
        return address

    def _spread(self, sender: Peripheral, pdu: bytes) -> None:
        for node in self.nodes.values():
            if node is not sender:
                node.hear(pdu, time.monotonic(), time.time())

    async def __aenter__(self) -> "NodeAir":
        self._task = asyncio.create_task(self._live())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _live(self) -> None:
        while True:
            for address, node in self.nodes.items():
                node.tick(time.monotonic())
                if address in self.links:
                    self.links[address].deliver()
                else:
                    self._advertise(address, node)
            await asyncio.sleep(TICK_S)

    def _advertise(self, address: str, node: Peripheral) -> None:
        shown = node.advertisement
        heard = Advertisement(
            address=address, rssi=-50, services=(shown.service,), service_data={shown.service: shown.data}
        )
        for listener in list(self._listeners):
            listener(heard)

    # ble.radio.Radio

    @property
    def in_use(self) -> int:
        return len(self.links)

    def on_state(self, told: Callable[[RadioState], None]) -> Callable[[], None]:
        return lambda: None

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None

    def listen(self, heard: Callable[[Advertisement], None]) -> Callable[[], None]:
        self._listeners.append(heard)
        return lambda: self._listeners.remove(heard)

    @asynccontextmanager
    async def connect(
        self, address: str, *, services: Sequence[str] = (), timeout: float = CONNECT_TIMEOUT_S
    ) -> AsyncIterator[Connection]:
        if address in self.links:
            raise NotReachable(address)
        link = _Link(self, address, self.nodes[address])
        self.links[address] = link
        try:
            yield link
        finally:
            link.end()


class _Link:
    max_write = MAX_WRITE

    def __init__(self, air: NodeAir, address: str, node: Peripheral) -> None:
        self.address = address
        self.connected = True
        self._air, self._node = air, node
        self._heard: dict[str, Callable[[bytes], None]] = {}
        self._told: list[Callable[[], None]] = []

    def deliver(self) -> None:
        for one in self._node.take_notifications():
            if one.characteristic in self._heard:
                self._heard[one.characteristic](one.data)
        if self._node.wants_disconnect:
            self.end()

    def end(self) -> None:
        if self.connected:
            self.connected = False
            self._air.links.pop(self.address, None)
            self._node.disconnected()
            for told in self._told:
                told()

    async def read(self, characteristic: str) -> bytes:
        raise NotReachable(characteristic)

    async def write(self, characteristic: str, data: bytes, *, response: bool) -> None:
        if not self.connected:
            raise Disconnected
        self._node.written(characteristic, data, time.monotonic(), time.time())
        asyncio.get_running_loop().call_soon(self.deliver)

    async def subscribe(self, characteristic: str, heard: Callable[[bytes], None]) -> None:
        self._heard[characteristic] = heard
        self._node.connected(self.max_write, time.monotonic())

    async def descriptor(self, characteristic: str, descriptor: str) -> bytes:
        raise NotReachable(descriptor)

    def characteristics(self, service: str) -> Sequence[str]:
        return (pb_gatt.DATA_IN, pb_gatt.DATA_OUT) if service == pb_gatt.SERVICE else (PROXY_IN, PROXY_OUT)

    def on_disconnect(self, told: Callable[[], None]) -> None:
        self._told.append(told)
