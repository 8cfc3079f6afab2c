"""Bluetooth without an adapter for bleak's own BlueZ code: an air, a private bus, a fake org.bluez, devices."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from ble.bleak_radio import BleakRadio, Watch
from ble.errors import NotOffered
from ble.radio import Advertisement, Radio, RadioState, uuid16
from ble.virtual.air import Air
from ble.virtual.peripheral import Characteristic, Peripheral, Service
from tests.ble.bluez.bus import Daemon, system_bus
from tests.ble.bluez.fake import FakeBluez

LAMP = "d0025700-9a4b-4c3e-8f1d-6b0e5a7c2d10"
SWITCH = "d0025701-9a4b-4c3e-8f1d-6b0e5a7c2d10"
SECRET = "d0025702-9a4b-4c3e-8f1d-6b0e5a7c2d10"
BROKEN = "d0025703-9a4b-4c3e-8f1d-6b0e5a7c2d10"

QUICK = Watch(silence_s=1.0, check_s=0.1, retry_s=0.1, patience_s=0.5, fresh_s=5.0, call_s=5.0)


class Lamp(Peripheral):
    """A device with something to read, write and be notified of, and two ways to fail."""

    def __init__(self) -> None:
        self.value = b"\x00"
        self.written: list[bytes] = []
        self.subscribed = asyncio.Event()
        self.gone = asyncio.Event()
        switch = Characteristic(
            uuid=SWITCH,
            read=lambda: self.value,
            write=self.written.append,
            notify=True,
            subscribed=self.subscribed.set,
            descriptors={uuid16(0x2901): b"switch"},
        )
        parts = [switch, Characteristic(uuid=SECRET, write=self._refuse), Characteristic(uuid=BROKEN, read=self._fail)]
        super().__init__([Service(LAMP, parts)], disconnected=self.gone.set)

    def _refuse(self, _: bytes) -> None:
        raise NotOffered

    def _fail(self) -> bytes:
        raise ZeroDivisionError


async def lamp_on(stack: AsyncExitStack, air: Air) -> Lamp:
    lamp = Lamp()
    await lamp.join(air.port)
    stack.push_async_callback(lamp.close)
    await lamp.advertise(services=[LAMP], name="lamp")
    return lamp


class Rig:
    """`bluez` is up and has an adapter; each radio made is open."""

    def __init__(self, air: Air, daemon: Daemon, bluez: FakeBluez, stack: AsyncExitStack) -> None:
        self.air, self.daemon, self.bluez = air, daemon, bluez
        self._stack = stack

    async def lamp(self) -> Lamp:
        return await lamp_on(self._stack, self.air)

    async def radio(self, watch: Watch = QUICK, slots: int = 4) -> BleakRadio:
        radio = BleakRadio(watch=watch, slots=slots)
        self._stack.push_async_callback(radio.close)
        await radio.open()
        return radio


@asynccontextmanager
async def rigged(folder: Path, *, abort_s: float = 0.5) -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        daemon = await stack.enter_async_context(system_bus(folder))
        await daemon.start()
        air = await stack.enter_async_context(Air())
        bluez = FakeBluez(air.port, daemon.address, abort_s=abort_s)
        stack.push_async_callback(bluez.stop)
        await bluez.start()
        inner = await stack.enter_async_context(AsyncExitStack())
        yield Rig(air, daemon, bluez, inner)


async def hear(radio: Radio, wanted: Callable[[Advertisement], bool]) -> Advertisement:
    """The next advertisement that is wanted."""
    found: asyncio.Future[Advertisement] = asyncio.get_running_loop().create_future()
    end = radio.listen(lambda advert: found.set_result(advert) if not found.done() and wanted(advert) else None)
    try:
        async with asyncio.timeout(15):
            return await found
    finally:
        end()


async def hear_lamp(radio: Radio, lamp: Lamp) -> Advertisement:
    return await hear(radio, lambda advert: advert.address == lamp.address)


async def state_of(radio: Radio, wanted: Callable[[RadioState], bool]) -> RadioState:
    """Its state, once that is as wanted."""
    came = asyncio.Event()
    end = radio.on_state(lambda _: came.set())
    try:
        async with asyncio.timeout(15):
            while not wanted(radio.state):
                came.clear()
                await came.wait()
        return radio.state
    finally:
        end()
