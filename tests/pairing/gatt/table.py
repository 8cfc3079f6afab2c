"""A GATT connection to a table in memory: what a device offers, and what it does when it is written to."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from msgspec import Struct

from ble.errors import Disconnected, NotOffered, NotReachable
from ble.radio import CONNECT_TIMEOUT_S, Advertisement, RadioState


class Characteristic(Struct):
    """Any of the handlers may be missing: the device does not permit it then."""

    service: str
    read: Callable[[], bytes] | None = None
    write: Callable[[bytes], None] | None = None
    descriptors: Mapping[str, bytes] = {}
    subscribed: Callable[[], None] | None = None


class TableConnection:
    """A `ble.radio.Connection`. `notify` is the device's; `drop` ends it from the device's side."""

    def __init__(self, table: Mapping[str, Characteristic], max_write: int = 20) -> None:
        self.address = "D0:00:00:00:00:01"
        self.max_write = max_write
        self.connected = True
        self.written: list[tuple[str, bytes]] = []
        self._table = table
        self._heard: dict[str, Callable[[bytes], None]] = {}
        self._told: list[Callable[[], None]] = []

    async def read(self, characteristic: str) -> bytes:
        handler = self._of(characteristic).read
        if handler is None:
            raise NotOffered("read")
        return handler()

    async def write(self, characteristic: str, data: bytes, *, response: bool) -> None:
        handler = self._of(characteristic).write
        if handler is None:
            raise NotOffered("write")
        self.written.append((characteristic, data))
        handler(data)

    async def subscribe(self, characteristic: str, heard: Callable[[bytes], None]) -> None:
        told = self._of(characteristic).subscribed
        self._heard[characteristic] = heard
        if told is not None:
            told()

    async def descriptor(self, characteristic: str, descriptor: str) -> bytes:
        found = self._of(characteristic).descriptors
        if descriptor not in found:
            raise NotOffered("descriptor")
        return found[descriptor]

    def characteristics(self, service: str) -> Sequence[str]:
        return [name for name, each in self._table.items() if each.service == service]

    def on_disconnect(self, told: Callable[[], None]) -> None:
        self._told.append(told)

    def notify(self, characteristic: str, value: bytes) -> None:
        for start in range(0, len(value), self.max_write):
            if (heard := self._heard.get(characteristic)) is not None:
                heard(value[start : start + self.max_write])

    def drop(self) -> None:
        if not self.connected:
            return
        self.connected = False
        for told in self._told:
            told()

    def _of(self, characteristic: str) -> Characteristic:
        if not self.connected:
            raise Disconnected
        if characteristic not in self._table:
            raise NotOffered("characteristic")
        return self._table[characteristic]


class TableRadio:
    """A `ble.radio.Radio` that connects to tables. `devices`: how to connect to each address that is in reach."""

    def __init__(self) -> None:
        self.state = RadioState(usable=True)
        self.devices: dict[str, Callable[[], TableConnection]] = {}
        self.connections: list[TableConnection] = []
        self._listeners: list[Callable[[Advertisement], None]] = []

    @property
    def in_use(self) -> int:
        return sum(each.connected for each in self.connections)

    def on_state(self, told: Callable[[RadioState], None]) -> Callable[[], None]:
        return lambda: None

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None

    @property
    def listened_to(self) -> bool:
        return bool(self._listeners)

    def listen(self, heard: Callable[[Advertisement], None]) -> Callable[[], None]:
        self._listeners.append(heard)
        return lambda: self._listeners.remove(heard)

    def advertise(self, advertisement: Advertisement) -> None:
        for heard in list(self._listeners):
            heard(advertisement)

    @asynccontextmanager
    async def connect(
        self, address: str, *, services: Sequence[str] = (), timeout: float = CONNECT_TIMEOUT_S
    ) -> AsyncIterator[TableConnection]:
        if address not in self.devices:
            raise NotReachable(address)
        connection = self.devices[address]()
        if any(not connection.characteristics(service) for service in services):
            raise NotOffered("service")
        self.connections.append(connection)
        try:
            yield connection
        finally:
            connection.drop()
