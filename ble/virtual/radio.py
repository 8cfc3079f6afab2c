"""The Radio Protocol over bumble: an adapter on the virtual air, for machines without one."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TypeVar

from bumble.core import BaseBumbleError
from bumble.device import Advertisement as Heard
from bumble.device import Device
from bumble.hci import Address
from bumble.transport import open_transport

from ble.errors import Disconnected, NoSlot, NotOffered, NotReachable, RadioOff
from ble.radio import CONNECT_TIMEOUT_S, Advertisement, RadioState
from ble.virtual.advertised import decoded
from ble.virtual.connection import VirtualConnection
from ble.virtual.controller import named

_T = TypeVar("_T")

SLOTS = 5
"""As many as a common adapter holds at once."""

_ADDRESS = "C0:00:00:00:00:01"
_ON = RadioState(True)
_CLOSED = RadioState(False, "closed", "The virtual Bluetooth adapter is not open.")
_NO_AIR = RadioState(False, "no_adapter", "No virtual air is running at the address that was given.")


class VirtualRadio:
    """An adapter on the air that `hci` names (`Air.hci`). It connects `slots` devices at most at a time."""

    def __init__(self, hci: str, *, address: str = _ADDRESS, slots: int = SLOTS) -> None:
        self._hci, self._address, self._slots = hci, address, slots
        self._state = _CLOSED
        self._open = AsyncExitStack()
        self._device: Device | None = None
        self._listeners: list[Callable[[Advertisement], None]] = []
        self._state_listeners: list[Callable[[RadioState], None]] = []
        self._connecting = asyncio.Lock()  # a controller makes one connection at a time
        self._locks: dict[str, asyncio.Lock] = {}
        self._live: set[VirtualConnection] = set()
        self._used = 0

    @property
    def state(self) -> RadioState:
        return self._state

    def on_state(self, told: Callable[[RadioState], None]) -> Callable[[], None]:
        return _added(self._state_listeners, told)

    async def open(self) -> None:
        try:
            source, sink = await self._open.enter_async_context(await open_transport(self._hci))
        except OSError:
            self._become(_NO_AIR)
            return
        device = self._device = Device.with_hci("doorstep", Address(self._address), source, sink)
        await device.power_on()
        device.on(device.EVENT_ADVERTISEMENT, self._hear)
        await device.start_scanning()
        self._become(_ON)

    async def close(self) -> None:
        self._become(_CLOSED)
        for one in list(self._live):
            with suppress(BaseBumbleError):
                await one.close()
        if self._device is not None:
            await self._device.power_off()
        self._device = None
        await self._open.aclose()

    def listen(self, heard: Callable[[Advertisement], None]) -> Callable[[], None]:
        return _added(self._listeners, heard)

    @asynccontextmanager
    async def connect(
        self,
        address: str,
        *,
        services: Sequence[str] = (),
        timeout: float = CONNECT_TIMEOUT_S,  # noqa: ASYNC109 (the Protocol's)
    ) -> AsyncIterator[VirtualConnection]:
        async with self._one_for(address):
            made = await self._made(address, services, timeout)
            self._live.add(made)
            try:
                yield made
            finally:
                self._live.discard(made)
                with suppress(BaseBumbleError):
                    await made.close()

    @asynccontextmanager
    async def _one_for(self, address: str) -> AsyncIterator[None]:
        """The device's lock and a slot; a lock lives as long as somebody holds or wants it."""
        lock = self._locks.setdefault(address, asyncio.Lock())
        async with lock:
            if self._used >= self._slots:
                raise NoSlot(f"all {self._slots} connections are in use")
            self._used += 1
            try:
                yield
            finally:
                self._used -= 1

    async def _made(self, address: str, services: Sequence[str], seconds: float) -> VirtualConnection:
        device = self._device
        if device is None:
            raise RadioOff(self._state.sentence)
        try:
            async with asyncio.timeout(seconds), self._connecting:
                await self._heard_from(address)
                made = VirtualConnection(await device.connect(Address(address), timeout=seconds))
        except (TimeoutError, BaseBumbleError) as error:
            raise NotReachable(f"{address} could not be connected to") from error
        try:
            await made.discover()
            if missing := [one for one in services if not made.characteristics(one)]:
                raise NotOffered(f"{address} has no {missing[0]}")
        except BaseException:
            with suppress(BaseBumbleError, Disconnected):
                await made.close()
            raise
        return made

    async def _heard_from(self, address: str) -> None:
        fresh = asyncio.Event()
        stop = self.listen(lambda heard: fresh.set() if heard.address == address else None)
        try:
            await fresh.wait()
        finally:
            stop()

    def _hear(self, heard: Heard) -> None:
        advertisement = decoded(named(heard.address), heard.rssi, bytes(heard.data))  # the response included
        for listener in list(self._listeners):
            listener(advertisement)

    def _become(self, state: RadioState) -> None:
        if state != self._state:
            self._state = state
            for told in list(self._state_listeners):
                told(state)


def _added(listeners: list[_T], one: _T) -> Callable[[], None]:
    listeners.append(one)

    def end() -> None:
        with suppress(ValueError):
            listeners.remove(one)

    return end
