"""The Radio Protocol over bleak: the one owner of a real adapter.

A keeper task holds the scanner up. It tries again while there is no Bluetooth, and rebuilds the scanner when nothing
has been heard for `quiet_s`: that is how a scan that died silently, a bluetoothd that was restarted and an adapter that
was pulled look from here.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from bleak import BleakClient, BleakScanner
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakDBusError,
    BleakError,
    BleakGATTProtocolError,
)
from bleak_retry_connector import BleakClientWithServiceCache, BleakOutOfConnectionSlotsError, establish_connection
from bleak_retry_connector import clear_cache as forget

from ble.errors import BleError, Disconnected, NoSlot, NotOffered, NotReachable, RadioOff
from ble.radio import CONNECT_TIMEOUT_S, Advertisement, RadioState

SLOTS = 4
"""Below the 5 that the poorest common adapters hold: a slot that is stuck in the system must not stop us."""

QUIET_S = 60.0
RETRY_S = 5.0
REQUEST_TIMEOUT_S = 10.0
_CLOSE_TIMEOUT_S = 12.0
_CLIENTS = 3

_ON = RadioState(True)
_SENTENCES = {
    "closed": "Bluetooth has not been started.",
    "no_adapter": "This machine has no Bluetooth adapter; plug one in.",
    "powered_off": "The Bluetooth adapter is switched off; switch it on.",
    "no_dbus": "The system's D-Bus cannot be reached; in a container, mount /run/dbus.",
    "no_permission": "The system does not let Doorstep use Bluetooth; check its D-Bus policy, or the container's.",
    "no_bluetoothd": "The Bluetooth service (bluetoothd) is not running; start it.",
    "failed": "Bluetooth does not work now; Doorstep keeps trying.",
}
_REASONS = {
    BleakBluetoothNotAvailableReason.NO_BLUETOOTH: "no_adapter",
    BleakBluetoothNotAvailableReason.NO_BLE_CENTRAL_ROLE: "no_adapter",
    BleakBluetoothNotAvailableReason.POWERED_OFF: "powered_off",
    BleakBluetoothNotAvailableReason.DENIED_BY_SYSTEM: "no_permission",
    BleakBluetoothNotAvailableReason.DENIED_BY_USER: "no_permission",
    BleakBluetoothNotAvailableReason.DENIED_BY_UNKNOWN: "no_permission",
}
_DBUS_REASONS = {
    "org.freedesktop.DBus.Error.ServiceUnknown": "no_bluetoothd",
    "org.freedesktop.DBus.Error.NameHasNoOwner": "no_bluetoothd",
    "org.freedesktop.DBus.Error.AccessDenied": "no_permission",
    "org.freedesktop.DBus.Error.UnknownObject": "no_adapter",
    "org.bluez.Error.NotReady": "powered_off",
}
_BROKEN = (BleakError, OSError, EOFError, TimeoutError)
"""What bleak raises: its own errors, and those of a D-Bus socket that is gone."""

_T = TypeVar("_T")


def off(reason: str) -> RadioState:
    """The state for one of the known reasons, with its sentence."""
    return RadioState(False, reason, _SENTENCES[reason])


def _reason(error: BaseException) -> str:
    if isinstance(error, BleakBluetoothNotAvailableError):
        return _REASONS.get(error.reason, "failed")
    if isinstance(error, BleakDBusError):
        return _DBUS_REASONS.get(error.dbus_error, "failed")
    if isinstance(error, PermissionError):
        return "no_permission"
    if isinstance(error, OSError) and not isinstance(error, TimeoutError):
        return "no_dbus"
    return "no_adapter" if "adapter" in str(error) and "not found" in str(error) else "failed"


class BleakConnection:
    """Made by BleakRadio."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._client: BleakClient | None = None
        self._told: list[Callable[[], None]] = []
        self._ended = asyncio.Event()

    @property
    def max_write(self) -> int:
        """The smallest of what the characteristics take: they share one ATT_MTU."""
        sizes = [one.max_write_without_response_size for one in self._use().services.characteristics.values()]
        return min(sizes, default=20)

    @property
    def connected(self) -> bool:
        return not self._ended.is_set()

    async def read(self, characteristic: str) -> bytes:
        return bytes(await self._answered(self._use().read_gatt_char(self._found(characteristic))))

    async def write(self, characteristic: str, data: bytes, *, response: bool) -> None:
        await self._answered(self._use().write_gatt_char(self._found(characteristic), data, response=response))

    async def subscribe(self, characteristic: str, heard: Callable[[bytes], None]) -> None:
        def notified(_sender: BleakGATTCharacteristic, value: bytearray) -> None:
            heard(bytes(value))

        await self._answered(self._use().start_notify(self._found(characteristic), notified))

    async def descriptor(self, characteristic: str, descriptor: str) -> bytes:
        found = self._found(characteristic).get_descriptor(descriptor)
        if found is None:
            raise NotOffered(f"no descriptor {descriptor}")
        return bytes(await self._answered(self._use().read_gatt_descriptor(found)))

    def characteristics(self, service: str) -> Sequence[str]:
        found = self._use().services.get_service(service)
        return [one.uuid for one in found.characteristics] if found else []

    def on_disconnect(self, told: Callable[[], None]) -> None:
        self._told.append(told)

    def _use(self) -> BleakClient:
        if self._client is None or not self.connected:
            raise Disconnected
        return self._client

    def _found(self, characteristic: str) -> BleakGATTCharacteristic:
        found = self._use().services.get_characteristic(characteristic)
        if found is None:
            raise NotOffered(f"no characteristic {characteristic}")
        return found

    def _end(self) -> None:
        if self.connected:
            self._ended.set()
            for told in self._told:
                told()

    async def _answered(self, asking: Awaitable[_T]) -> _T:
        """What bleak answers, unless the connection ends or time runs out first."""
        asked, ended = asyncio.ensure_future(asking), asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait({asked, ended}, timeout=REQUEST_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                return asked.result()
            raise NotReachable("no answer") if self.connected else Disconnected
        except BleakGATTProtocolError as error:
            raise NotOffered(str(error)) from error
        except _BROKEN as error:
            raise (NotReachable if self.connected else Disconnected)(str(error)) from error
        finally:
            asked.cancel()
            ended.cancel()


class BleakRadio:
    """The default adapter, or the one that is named ("hci1"). It connects `slots` devices at most at a time."""

    def __init__(
        self, adapter: str = "", *, slots: int = SLOTS, quiet_s: float = QUIET_S, retry_s: float = RETRY_S
    ) -> None:
        self._adapter, self._slots = adapter, slots
        self._quiet_s, self._retry_s = quiet_s, retry_s
        self._state = off("closed")
        self._tried = asyncio.Event()
        self._heard_any = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[Advertisement], None]] = []
        self._state_listeners: list[Callable[[RadioState], None]] = []
        self._waiting: dict[str, list[asyncio.Future[BLEDevice]]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._live: set[BleakConnection] = set()
        self._used = 0

    @property
    def state(self) -> RadioState:
        return self._state

    def on_state(self, told: Callable[[RadioState], None]) -> Callable[[], None]:
        return _added(self._state_listeners, told)

    async def open(self) -> None:
        self._keeper = asyncio.create_task(self._keep())
        await self._tried.wait()

    async def close(self) -> None:
        for one in list(self._live):
            await _closed(one)
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        self._become(off("closed"))

    def listen(self, heard: Callable[[Advertisement], None]) -> Callable[[], None]:
        return _added(self._listeners, heard)

    @asynccontextmanager
    async def connect(
        self,
        address: str,
        *,
        services: Sequence[str] = (),
        timeout: float = CONNECT_TIMEOUT_S,  # noqa: ASYNC109 (the Protocol's)
    ) -> AsyncIterator[BleakConnection]:
        if not self._state.usable:
            raise RadioOff(self._state.sentence)
        async with self._locks.setdefault(address, asyncio.Lock()):
            if self._used >= self._slots:
                raise NoSlot(f"all {self._slots} connections are in use")
            self._used += 1
            try:
                made = await self._within(timeout, address, services)
                self._live.add(made)
                try:
                    yield made
                finally:
                    self._live.discard(made)
                    await _closed(made)
            finally:
                self._used -= 1

    async def _within(self, seconds: float, address: str, services: Sequence[str]) -> BleakConnection:
        try:
            async with asyncio.timeout(seconds):
                return await self._checked(address, services)
        except BleakOutOfConnectionSlotsError as error:
            raise NoSlot(str(error)) from error
        except (*_BROKEN, Disconnected) as error:
            raise NotReachable(f"{address} could not be connected to: {str(error) or 'no answer in time'}") from error

    async def _checked(self, address: str, services: Sequence[str], *, last: bool = False) -> BleakConnection:
        """Connected, with all these services. The system may remember what a device offered before: forget it once."""
        made = await self._made(address)
        try:
            missing = next((one for one in services if not made.characteristics(one)), "")
            if not missing:
                return made
            await forget(address)
        except BaseException:
            await _closed(made)
            raise
        await _closed(made)
        if last:
            raise NotOffered(f"{address} has no {missing}")
        return await self._checked(address, services, last=True)

    async def _made(self, address: str) -> BleakConnection:
        """A drop before bleak sees its Connect answered leaves a client of no use: each try takes a new one."""
        for _ in range(_CLIENTS - 1):
            with suppress(BleakError):
                return await self._tried_once(address)
        return await self._tried_once(address)

    async def _tried_once(self, address: str) -> BleakConnection:
        """From a fresh advertisement: the system forgets devices, and must not be asked for a bare address."""
        device = await self._fresh(address)
        made = BleakConnection(address)
        made._client = await establish_connection(
            BleakClientWithServiceCache,
            device,
            address,
            disconnected_callback=lambda _: made._end(),
            max_attempts=2,
            use_services_cache=False,
        )
        return made

    async def _fresh(self, address: str) -> BLEDevice:
        heard: asyncio.Future[BLEDevice] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(address, [])
        waiting.append(heard)
        try:
            return await heard
        finally:
            waiting.remove(heard)
            if not waiting:
                self._waiting.pop(address, None)

    async def _keep(self) -> None:
        """Scan for as long as the radio is open, whatever becomes of bluetoothd and the adapter."""
        while True:
            scanner = BleakScanner(self._hear, bluez={"adapter": self._adapter} if self._adapter else {})
            try:
                async with asyncio.timeout(REQUEST_TIMEOUT_S):
                    await scanner.start()
            except _BROKEN as error:
                self._become(off(_reason(error)))
                self._tried.set()
                await asyncio.sleep(self._retry_s)
                continue
            self._become(_ON)
            self._tried.set()
            try:
                await self._until_quiet()
            finally:
                await _stopped(scanner)

    async def _until_quiet(self) -> None:
        with suppress(TimeoutError):
            while True:
                self._heard_any.clear()
                async with asyncio.timeout(self._quiet_s):  # wait_for of Python 3.11 may swallow the cancelling
                    await self._heard_any.wait()

    def _hear(self, device: BLEDevice, data: AdvertisementData) -> None:
        self._heard_any.set()
        for waiting in self._waiting.get(device.address, ()):
            if not waiting.done():
                waiting.set_result(device)
        heard = Advertisement(
            address=device.address,
            name=data.local_name or "",
            rssi=data.rssi,
            services=tuple(data.service_uuids),
            service_data=data.service_data,
            manufacturer_data=data.manufacturer_data,
        )
        for listener in list(self._listeners):
            listener(heard)

    def _become(self, state: RadioState) -> None:
        if state != self._state:
            self._state = state
            for told in list(self._state_listeners):
                told(state)


async def _stopped(scanner: BleakScanner) -> None:
    """Best effort: the adapter or the bus may be what went away. bleak asserts where its bus is not there."""
    with suppress(*_BROKEN, AssertionError):
        async with asyncio.timeout(REQUEST_TIMEOUT_S):
            await scanner.stop()


async def _closed(made: BleakConnection) -> None:
    """Best effort, and in any case ended for whoever holds it."""
    with suppress(*_BROKEN, BleError):
        async with asyncio.timeout(_CLOSE_TIMEOUT_S):
            if made._client is not None:  # also where the device has gone: bleak's bus for it is closed here only
                await made._client.disconnect()
    made._end()


def _added(listeners: list[_T], one: _T) -> Callable[[], None]:
    listeners.append(one)

    def end() -> None:
        with suppress(ValueError):
            listeners.remove(one)

    return end
