"""The radio of a real adapter, over bleak.

What breaks in the field, and what is done about it here: one owner of the adapter scans without end; a scan that falls
silent is built anew; connections are made from a device just heard, never from a bare address; each has its slot and
its time limit; services are looked at after connecting, and again without BlueZ's cache where one is missing.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from bleak import BleakScanner
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakError
from bleak_retry_connector import (
    BleakClientWithServiceCache,
    BleakOutOfConnectionSlotsError,
    establish_connection,
)
from bluetooth_adapters import get_bluetooth_adapter_details
from msgspec import Struct

from ble import absence
from ble.bleak_radio.causes import absence_of
from ble.bleak_radio.connection import BleakConnection
from ble.errors import NoSlot, NotOffered, NotReachable, RadioOff
from ble.listeners import Listeners
from ble.radio import CONNECT_TIMEOUT_S, Advertisement, RadioState
from ble.slots import Slots

_log = logging.getLogger(__name__)

SLOTS: Final = 4
"""Adapters hold from 5 (CSR) to 7 (Broadcom), and other programs connect as well."""
MAX_KNOWN: Final = 1024
"""Devices remembered; anybody can invent addresses."""
CALL_TIMEOUT_S: Final = 20.0


class Watch(Struct, frozen=True):
    """Times, in seconds. `silence_s` without an advertisement makes a new scan; `check_s` is between looks at adapters.

    What ails the adapter is told after `patience_s` where it may pass by itself.
    """

    silence_s: float = 90.0
    check_s: float = 5.0
    retry_s: float = 5.0
    patience_s: float = 10.0
    fresh_s: float = 30.0
    call_s: float = CALL_TIMEOUT_S


WATCH: Final = Watch()


class _Known(Struct):
    device: BLEDevice
    at: float


class BleakRadio:
    """The system's first adapter that is switched on. `state` says why there is none."""

    def __init__(self, *, slots: int = SLOTS, watch: Watch = WATCH) -> None:
        self._watch = watch
        self._slots = Slots(slots)
        self._state = absence.CLOSED
        self._states = Listeners[RadioState]()
        self._adverts = Listeners[Advertisement]()
        self._known: dict[str, _Known] = {}
        self._news = asyncio.Event()
        self._last = 0.0
        self._task: asyncio.Task[None] | None = None
        self._connections: set[BleakConnection] = set()

    @property
    def state(self) -> RadioState:
        return self._state

    @property
    def in_use(self) -> int:
        return len(self._connections)

    def on_state(self, told: Callable[[RadioState], None]) -> Callable[[], None]:
        return self._states.add(told)

    def listen(self, heard: Callable[[Advertisement], None]) -> Callable[[], None]:
        return self._adverts.add(heard)

    async def open(self) -> None:
        first = asyncio.Event()
        self._task = asyncio.create_task(self._run(first))
        await first.wait()

    async def close(self) -> None:
        for connection in list(self._connections):
            await connection.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self._is(absence.CLOSED)

    @asynccontextmanager
    async def connect(
        self,
        address: str,
        *,
        services: Sequence[str] = (),
        timeout: float = CONNECT_TIMEOUT_S,  # noqa: ASYNC109 - the Protocol's
    ) -> AsyncIterator[BleakConnection]:
        ends = _now() + timeout
        if not self._state.usable:
            raise RadioOff(self._state.sentence)
        async with self._slots.hold(address, ends):
            connection = await self._offering(address, services, ends)
            self._connections.add(connection)
            try:
                yield connection
            finally:
                self._connections.discard(connection)
                await connection.close()

    async def _offering(self, address: str, services: Sequence[str], ends: float) -> BleakConnection:
        """Connected, with these services: a cache that lacks one is cleared, and the device asked itself."""
        connection = await self._connected(address, ends)
        if _missing(connection, services):
            await connection.forget()
            self._known.pop(address, None)
            connection = await self._connected(address, ends, cache=False)
            if missing := _missing(connection, services):
                await connection.close()
                raise NotOffered(f"no service {missing[0]}")
        return connection

    async def _connected(self, address: str, ends: float, *, cache: bool = True) -> BleakConnection:
        connection = BleakConnection(address, self._watch.call_s)
        try:
            async with asyncio.timeout_at(ends):
                device = await self._fresh(address)
                connection.client = await establish_connection(
                    BleakClientWithServiceCache,
                    device,
                    address,
                    disconnected_callback=lambda _: connection.ended(),
                    use_services_cache=cache,
                )
        except BleakOutOfConnectionSlotsError as error:
            raise NoSlot("the adapter holds no more connections") from error
        except (TimeoutError, BleakError, EOFError, OSError) as error:
            if "connection-limit" in str(error):
                raise NoSlot("the adapter holds no more connections") from error
            if not self._state.usable:
                raise RadioOff(self._state.sentence) from error
            self._known.pop(address, None)  # the system may have forgotten it: hear it again before the next attempt
            raise NotReachable(str(error) or "no answer in time") from error
        return connection

    async def _fresh(self, address: str) -> BLEDevice:
        """The device as it was heard last, if that is not long ago; else as it is heard next."""
        while (known := self._known.get(address)) is None or _now() - known.at > self._watch.fresh_s:
            self._news.clear()
            await self._news.wait()
        return known.device

    async def _run(self, first: asyncio.Event) -> None:
        """Scan, and scan again where that ends; what fails for a moment only is not told."""
        failing_since: float | None = None
        while True:
            scanner: BleakScanner | None = None
            try:
                scanner = BleakScanner(self._hear)
                async with asyncio.timeout(self._watch.call_s):
                    await scanner.start()
                self._last, failing_since = _now(), None
                self._is(RadioState(True))
                first.set()
                await self._until_unwell()
            except Exception as error:
                failing_since = failing_since or _now()
                state = absence_of(error)
                if state not in (absence.BUSY, absence.FAILED) or _now() - failing_since >= self._watch.patience_s:
                    self._is(state)
                    first.set()
                await asyncio.sleep(self._watch.retry_s)
            finally:
                if scanner is not None:
                    await self._end(scanner)

    async def _until_unwell(self) -> None:
        """Until the scan must be built anew: nothing heard for too long, or no adapter that is on."""
        while _now() - self._last < self._watch.silence_s:
            await asyncio.sleep(min(self._watch.check_s, self._watch.silence_s))
            async with asyncio.timeout(self._watch.call_s):
                adapters = await get_bluetooth_adapter_details()
            if not any(each.get("org.bluez.Adapter1", {}).get("Powered") for each in adapters.values()):
                return
        _log.warning("nothing heard over Bluetooth for %.0f s: scanning anew", self._watch.silence_s)

    async def _end(self, scanner: BleakScanner) -> None:
        try:
            async with asyncio.timeout(self._watch.call_s):
                await scanner.stop()
        except Exception as error:
            _log.debug("a scan could not be ended: %r", error)

    def _hear(self, device: BLEDevice, data: AdvertisementData) -> None:
        self._last = _now()
        self._known.pop(device.address, None)
        self._known[device.address] = _Known(device, self._last)
        while len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._news.set()
        self._adverts.tell(
            Advertisement(
                address=device.address,
                name=data.local_name or "",
                rssi=data.rssi,
                services=tuple(data.service_uuids),
                service_data={uuid: bytes(each) for uuid, each in data.service_data.items()},
                manufacturer_data={company: bytes(each) for company, each in data.manufacturer_data.items()},
            )
        )

    def _is(self, state: RadioState) -> None:
        if state != self._state:
            self._state = state
            _log.debug("bluetooth: %s", state.sentence or "in use")
            self._states.tell(state)


def _missing(connection: BleakConnection, services: Sequence[str]) -> list[str]:
    return [each for each in services if not connection.characteristics(each)]


def _now() -> float:
    return asyncio.get_running_loop().time()
