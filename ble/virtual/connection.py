"""A GATT connection over bumble, as the Radio Protocol has it."""

import asyncio
import uuid as full
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from bumble.core import UUID, BaseBumbleError, ProtocolError
from bumble.device import Connection, Peer
from bumble.gatt_client import CharacteristicProxy

from ble.errors import Disconnected, NotOffered, NotReachable
from ble.radio import uuid16
from ble.virtual.controller import named

REQUEST_TIMEOUT_S = 10.0
_MTU = 517
_T = TypeVar("_T")


class VirtualConnection:
    """Made by VirtualRadio; `discover` before any other use."""

    def __init__(self, connection: Connection) -> None:
        self.address = named(connection.peer_address)
        self._connection = connection
        self._peer = Peer(connection)
        self._ended = asyncio.Event()
        self._told: list[Callable[[], None]] = []
        connection.on(connection.EVENT_DISCONNECTION, self._end)

    @property
    def max_write(self) -> int:
        return int(self._connection.att_mtu) - 3

    @property
    def connected(self) -> bool:
        return not self._ended.is_set()

    async def discover(self) -> None:
        """Exchange the MTU and read the whole GATT table."""
        await self._answered(self._peer.request_mtu(_MTU))
        for service in await self._answered(self._peer.discover_services()):
            for characteristic in await self._answered(service.discover_characteristics()):
                await self._answered(characteristic.discover_descriptors())

    async def read(self, characteristic: str) -> bytes:
        return bytes(await self._answered(self._found(characteristic).read_value()))

    async def write(self, characteristic: str, data: bytes, *, response: bool) -> None:
        await self._answered(self._found(characteristic).write_value(data, with_response=response))

    async def subscribe(self, characteristic: str, heard: Callable[[bytes], None]) -> None:
        def notified(value: Any) -> None:
            heard(bytes(value))

        await self._answered(self._found(characteristic).subscribe(notified))

    async def descriptor(self, characteristic: str, descriptor: str) -> bytes:
        for one in self._found(characteristic).descriptors:
            if one.type == UUID(descriptor):
                return bytes(await self._answered(one.read_value()))
        raise NotOffered(f"no descriptor {descriptor}")

    def characteristics(self, service: str) -> Sequence[str]:
        of = self._peer.get_services_by_uuid(UUID(service))
        return [_full(one.uuid) for found in of for one in found.characteristics]

    def on_disconnect(self, told: Callable[[], None]) -> None:
        self._told.append(told)

    async def close(self) -> None:
        """End the connection; nothing where it has ended."""
        if self.connected:
            await self._connection.disconnect()

    def _found(self, characteristic: str) -> CharacteristicProxy[Any]:
        if not self.connected:
            raise Disconnected
        found = self._peer.get_characteristics_by_uuid(UUID(characteristic))
        if not found:
            raise NotOffered(f"no characteristic {characteristic}")
        return found[0]

    def _end(self, _reason: int) -> None:
        self._ended.set()
        for told in self._told:
            told()

    async def _answered(self, asking: Awaitable[_T]) -> _T:
        """What bumble answers, unless the connection ends or time runs out first: bumble itself would wait 30 s."""
        asked = asyncio.ensure_future(asking)
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait({asked, ended}, timeout=REQUEST_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
            if asked.done() and not asked.cancelled():
                return asked.result()
            raise NotReachable("no answer") if self.connected else Disconnected
        except ProtocolError as error:
            raise NotOffered(str(error)) from error
        except BaseBumbleError as error:
            raise (NotReachable if self.connected else Disconnected)(str(error)) from error
        finally:
            asked.cancel()
            ended.cancel()


def _full(uuid: UUID) -> str:
    """bumble writes a short UUID short."""
    octets = uuid.uuid_bytes[::-1]
    return uuid16(int.from_bytes(octets, "big")) if len(octets) == 2 else str(full.UUID(bytes=octets))
