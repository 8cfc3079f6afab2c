"""A GATT connection over bleak: each call has its time limit, and ends with the connection."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, TypeVar

from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.exc import BleakDBusError, BleakError, BleakGATTProtocolError
from bleak_retry_connector import BleakClientWithServiceCache, clear_cache

from ble.errors import BleError, Disconnected, NotOffered, NotReachable

_log = logging.getLogger(__name__)

DOUBLE_S: Final = 0.02
"""Equal octets this soon after each other are one notification, told twice: no device is that quick to repeat one."""

T = TypeVar("T")


class BleakConnection:
    """A `ble.radio.Connection`. `client` is set once it is connected."""

    client: BleakClientWithServiceCache

    def __init__(self, address: str, call_timeout: float) -> None:
        self.address = address
        self._timeout = call_timeout
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._told: list[Callable[[], None]] = []
        self._heard: dict[str, Callable[[bytes], None]] = {}
        self._last: dict[str, tuple[bytes, float]] = {}

    @property
    def max_write(self) -> int:
        sizes = [each.max_write_without_response_size for each in self.client.services.characteristics.values()]
        return min(sizes, default=20)

    @property
    def connected(self) -> bool:
        return not self._gone.done()

    def ended(self) -> None:
        if not self._gone.done():
            self._gone.set_result(None)
            for told in self._told:
                told()

    async def close(self) -> None:
        """Whatever the system answers, it is over for us after this."""
        try:
            async with asyncio.timeout(self._timeout):
                await self.client.disconnect()
        except (TimeoutError, BleakError, EOFError, OSError) as error:
            _log.debug("a connection could not be ended: %r", error)
        self.ended()

    async def forget(self) -> None:
        """End it, and have the system forget what services the device had."""
        with suppress(TimeoutError, BleakError):
            async with asyncio.timeout(self._timeout):
                await clear_cache(self.address)  # the client's own does nothing with bleak 3.1
        await self.close()

    async def read(self, characteristic: str) -> bytes:
        return bytes(await self._call(self.client.read_gatt_char(self._of(characteristic))))

    async def write(self, characteristic: str, data: bytes, *, response: bool) -> None:
        await self._call(self.client.write_gatt_char(self._of(characteristic), data, response=response))

    async def subscribe(self, characteristic: str, heard: Callable[[bytes], None]) -> None:
        again = characteristic in self._heard
        self._heard[characteristic] = heard
        if again:
            return
        try:
            await self._call(
                self.client.start_notify(
                    self._of(characteristic), lambda _, value: self._notified(characteristic, bytes(value))
                )
            )
        except BaseException:
            del self._heard[characteristic]
            raise

    async def descriptor(self, characteristic: str, descriptor: str) -> bytes:
        found = self._of(characteristic).get_descriptor(descriptor)
        if found is None:
            raise NotOffered("descriptor")
        return bytes(await self._call(self.client.read_gatt_descriptor(found)))

    def characteristics(self, service: str) -> Sequence[str]:
        found = self.client.services.get_service(service) if self.connected else None
        by_handle = sorted(found.characteristics, key=lambda each: each.handle) if found is not None else ()
        return tuple(each.uuid for each in by_handle)

    def on_disconnect(self, told: Callable[[], None]) -> None:
        self._told.append(told)

    def _notified(self, characteristic: str, value: bytes) -> None:
        now = asyncio.get_running_loop().time()
        last, self._last[characteristic] = self._last.get(characteristic), (value, now)
        doubled = last is not None and last[0] == value and now - last[1] < DOUBLE_S
        if self.connected and not doubled and (heard := self._heard.get(characteristic)) is not None:
            heard(value)

    def _of(self, characteristic: str) -> BleakGATTCharacteristic:
        if not self.connected:
            raise Disconnected
        found = self.client.services.get_characteristic(characteristic)
        if found is None:
            raise NotOffered("characteristic")
        return found

    async def _call(self, work: Awaitable[T]) -> T:
        """Its result, unless the connection or the time ends before it."""
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait((task, self._gone), timeout=self._timeout, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise Disconnected if self._gone.done() else NotReachable("no answer in time")
            return task.result()
        except (BleakError, EOFError, OSError) as error:
            raise self._translated(error) from error
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _translated(self, error: Exception) -> BleError:
        if not self.connected or not self.client.is_connected:
            return Disconnected(str(error))
        refused = isinstance(error, BleakGATTProtocolError) or (
            isinstance(error, BleakDBusError) and error.dbus_error.rpartition(".")[2] in _REFUSALS
        )
        return NotOffered(str(error)) if refused else NotReachable(str(error))


_REFUSALS: Final = ("NotPermitted", "NotSupported", "NotAuthorized", "InvalidValueLength", "InvalidOffset", "Failed")
