"""A GATT connection over bumble, as `ble.radio.Connection` has it."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from bumble import att, core
from bumble.device import Peer

from ble.errors import Disconnected, NotOffered, NotReachable
from ble.virtual.host import heeding
from ble.virtual.payload import uuid_text

CALL_TIMEOUT_S = 20.0
MTU = 517

T = TypeVar("T")


class VirtualConnection:
    """`discover` first."""

    def __init__(self, address: str, link: Any, call_timeout: float = CALL_TIMEOUT_S) -> None:
        self.address = address
        self._link = link
        self._peer = Peer(link)
        self._timeout = call_timeout
        self._characteristics: dict[str, Any] = {}
        self._services: dict[str, list[str]] = {}
        self._told: list[Callable[[], None]] = []
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        link.on("disconnection", self._ended)
        if link.device.connections.get(link.handle) is not link:  # it has ended before anybody could be told
            self._ended(0)

    @property
    def max_write(self) -> int:
        return int(self._link.att_mtu) - 3

    @property
    def connected(self) -> bool:
        return not self._gone.done()

    async def discover(self) -> None:
        """Agree on an MTU and see what the device has. Raises Disconnected, NotReachable."""
        await self._call(self._peer.request_mtu(MTU))
        for service in await self._call(self._peer.discover_services()):
            names = self._services.setdefault(uuid_text(service.uuid.to_bytes()), [])
            for each in await self._call(service.discover_characteristics()):
                names.append(uuid_text(each.uuid.to_bytes()))
                self._characteristics.setdefault(uuid_text(each.uuid.to_bytes()), each)

    async def close(self) -> None:
        if self.connected:
            self._link.remove_listener("disconnection", self._ended)
            self._ended(0)
            await heeding(self._link.disconnect())

    async def read(self, characteristic: str) -> bytes:
        return bytes(await self._call(self._of(characteristic).read_value()))

    async def write(self, characteristic: str, data: bytes, *, response: bool) -> None:
        if not response and len(data) > self.max_write:
            raise NotOffered(f"a write of {len(data)} octets without response, where {self.max_write} is the most")
        await self._call(self._of(characteristic).write_value(data, with_response=response))

    async def subscribe(self, characteristic: str, heard: Callable[[bytes], None]) -> None:
        found = self._of(characteristic)
        await self._call(found.discover_descriptors())
        await self._call(found.subscribe(lambda value: heard(bytes(value))))

    async def descriptor(self, characteristic: str, descriptor: str) -> bytes:
        found = self._of(characteristic)
        for each in await self._call(found.discover_descriptors()):
            if uuid_text(each.type.to_bytes()) == descriptor:
                return bytes(await self._call(each.read_value()))
        raise NotOffered("descriptor")

    def characteristics(self, service: str) -> Sequence[str]:
        return tuple(self._services.get(service, ()))

    def on_disconnect(self, told: Callable[[], None]) -> None:
        self._told.append(told)

    def _of(self, characteristic: str) -> Any:
        if not self.connected:
            raise Disconnected
        if characteristic not in self._characteristics:
            raise NotOffered("characteristic")
        return self._characteristics[characteristic]

    async def _call(self, work: Coroutine[Any, Any, T]) -> T:
        """Its result, unless the connection or the time ends before it."""
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait((task, self._gone), timeout=self._timeout, return_when=asyncio.FIRST_COMPLETED)
            if self._gone.done():
                raise Disconnected
            if not task.done():
                raise NotReachable("no answer")
            return task.result()
        except (att.ATT_Error, core.InvalidOperationError, core.InvalidArgumentError) as error:
            raise NotOffered(str(error)) from error
        except (core.TimeoutError, core.ProtocolError) as error:
            raise NotReachable(str(error)) from error
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _ended(self, _reason: int) -> None:
        if not self._gone.done():
            self._gone.set_result(None)
            for told in self._told:
                told()
