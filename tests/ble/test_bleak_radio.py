"""What breaks in the field, reproduced on a fake org.bluez, and survived by the radio over bleak."""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from bleak.backends.bluezdbus.manager import _global_instances

from ble.bleak_radio import BleakRadio
from ble.errors import Disconnected, NoSlot, NotOffered, NotReachable, RadioOff
from ble.radio import RadioState
from ble.virtual.advertised import Advert
from ble.virtual.air import Air
from ble.virtual.device import VirtualDevice, serve
from tests.ble.bluez import FakeBluez, Refused
from tests.ble.test_virtual import ECHO, LONG, PATIENCE_S, SERVICE, SILENT, fresh_address, heard_by, table

IN_PROGRESS = Refused("org.bluez.Error.InProgress", "Operation already in progress")


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A D-Bus of the test's own, known to bleak as the system's."""
    argv = ["dbus-daemon", "--session", "--nofork", "--print-address=1"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        address = daemon.stdout.readline().strip()
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
        yield address
        daemon.terminate()


async def let_go(radio: BleakRadio) -> None:
    """Close the radio, and the bus that bleak keeps for each loop: it would end it with the process only."""
    await radio.close()
    manager = _global_instances.pop(asyncio.get_running_loop(), None)
    if manager is not None and manager._bus is not None:
        manager._bus.disconnect()
        await manager._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]


class Rig:
    def __init__(self, air: Air, bluez: FakeBluez, radio: BleakRadio, device: VirtualDevice, address: str) -> None:
        self.air, self.bluez, self.radio, self.device, self.address = air, bluez, radio, device, address


@asynccontextmanager
async def rig(bus: str, slots: int = 4, quiet_s: float = 60) -> AsyncIterator[Rig]:
    address = fresh_address()
    async with Air().serve() as air, serve(air.hci, address, table(), Advert(name="lamp")) as device:
        bluez = FakeBluez(air.hci, bus)
        await bluez.start()
        radio = BleakRadio(slots=slots, quiet_s=quiet_s, retry_s=0.05)
        await radio.open()
        try:
            yield Rig(air, bluez, radio, device, address)
        finally:
            await let_go(radio)
            await bluez.stop()


async def becomes(radio: BleakRadio, reason: str) -> RadioState:
    changed = asyncio.Event()
    stop = radio.on_state(lambda _: changed.set())
    async with asyncio.timeout(PATIENCE_S):
        while radio.state.reason != reason:
            changed.clear()
            await changed.wait()
    stop()
    return radio.state


async def test_bleaks_own_code_hears_connects_reads_writes_and_is_notified(bus: str) -> None:
    async with rig(bus) as it:
        heard = await heard_by(it.radio, lambda one: one.address == it.address)
        assert heard.name == "lamp"
        told: asyncio.Queue[bytes] = asyncio.Queue()
        async with it.radio.connect(it.address, services=(SERVICE,), timeout=PATIENCE_S) as connection:
            assert connection.max_write == 514
            assert set(connection.characteristics(SERVICE)) == {ECHO, SILENT}
            assert await connection.read(ECHO) == b"value"
            await connection.write(ECHO, bytes(300), response=True)
            await connection.subscribe(ECHO, told.put_nowait)
            await it.device.notify(ECHO, b"told")
            assert await asyncio.wait_for(told.get(), PATIENCE_S) == b"told"
            with pytest.raises(NotOffered):
                await connection.read(SILENT)
        assert not connection.connected


async def test_in_progress_on_scan_and_connect_is_tried_again(bus: str) -> None:
    async with Air().serve() as air, serve(air.hci, address := fresh_address(), table(), Advert(name="lamp")):
        bluez = FakeBluez(air.hci, bus)
        await bluez.start()
        bluez.refuse["StartDiscovery"].append(IN_PROGRESS)
        bluez.refuse["Connect"].append(IN_PROGRESS)
        radio = BleakRadio(retry_s=0.05)
        await radio.open()
        assert not radio.state.usable
        await becomes(radio, "")
        async with radio.connect(address, timeout=PATIENCE_S) as connection:
            assert await connection.read(ECHO) == b"value"
        assert bluez.calls.count("Connect") == 2
        await let_go(radio)
        await bluez.stop()


async def test_every_slot_in_use_is_said_at_once(bus: str) -> None:
    async with rig(bus, slots=1) as it:
        async with it.radio.connect(it.address, timeout=PATIENCE_S):
            with pytest.raises(NoSlot):
                async with it.radio.connect(fresh_address(), timeout=PATIENCE_S):
                    pass
        async with it.radio.connect(it.address, timeout=PATIENCE_S) as connection:
            assert connection.connected


async def test_a_drop_in_the_middle_of_discovery_is_tried_again(bus: str) -> None:
    async with rig(bus) as it:
        it.bluez.drop_discovery = 1
        async with it.radio.connect(it.address, services=(SERVICE,), timeout=PATIENCE_S) as connection:
            assert await connection.read(ECHO) == b"value"


async def test_a_stale_gatt_cache_is_cleared_and_read_afresh(bus: str) -> None:
    async with rig(bus) as it:
        it.bluez.stale = 1
        async with it.radio.connect(it.address, services=(SERVICE,), timeout=PATIENCE_S) as connection:
            assert await connection.read(ECHO) == b"value"
        assert "RemoveDevice" in it.bluez.calls
        with pytest.raises(NotOffered):
            async with it.radio.connect(it.address, services=(LONG,), timeout=PATIENCE_S):
                pass


async def test_a_scan_that_died_silently_is_rebuilt(bus: str) -> None:
    async with rig(bus, quiet_s=0.3) as it:
        await heard_by(it.radio, lambda one: one.address == it.address)
        it.bluez.silent = True
        before = it.bluez.calls.count("StartDiscovery")
        async with asyncio.timeout(PATIENCE_S):
            while it.bluez.calls.count("StartDiscovery") == before:
                await asyncio.sleep(0.01)
        it.bluez.silent = False
        await heard_by(it.radio, lambda one: one.address == it.address)


async def test_a_device_that_the_system_forgot_is_connected_from_a_fresh_advertisement(bus: str) -> None:
    async with rig(bus) as it:
        await heard_by(it.radio, lambda one: one.address == it.address)
        it.bluez.forget_devices()
        async with it.radio.connect(it.address, timeout=PATIENCE_S) as connection:
            assert await connection.read(ECHO) == b"value"


async def test_an_adapter_is_pulled_and_plugged(bus: str) -> None:
    async with rig(bus, quiet_s=0.3) as it:
        it.bluez.pull()
        assert "no Bluetooth adapter" in (await becomes(it.radio, "no_adapter")).sentence
        with pytest.raises(RadioOff):
            async with it.radio.connect(it.address, timeout=1):
                pass
        it.bluez.plug()
        await becomes(it.radio, "")
        await heard_by(it.radio, lambda one: one.address == it.address)


async def test_without_bluetoothd_the_radio_says_so(bus: str) -> None:
    radio = BleakRadio(retry_s=0.05)
    await radio.open()
    assert "bluetoothd" in (await becomes(radio, "no_bluetoothd")).sentence
    await let_go(radio)


async def test_without_a_dbus_the_radio_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
    radio = BleakRadio(retry_s=0.05)
    await radio.open()
    assert "D-Bus" in (await becomes(radio, "no_dbus")).sentence
    await let_go(radio)


async def test_range_loss_ends_the_connection_and_the_next_one_subscribes_anew(bus: str) -> None:
    async with rig(bus) as it:
        async with it.radio.connect(it.address, timeout=PATIENCE_S) as connection:
            ended = asyncio.Event()
            connection.on_disconnect(ended.set)
            it.air.link.drop(it.address)
            await asyncio.wait_for(ended.wait(), PATIENCE_S)
            with pytest.raises(Disconnected):
                await connection.read(ECHO)
        told: asyncio.Queue[bytes] = asyncio.Queue()
        async with it.radio.connect(it.address, timeout=PATIENCE_S) as again:
            await again.subscribe(ECHO, told.put_nowait)
            await it.device.notify(ECHO, b"told")
            assert await asyncio.wait_for(told.get(), PATIENCE_S) == b"told"


async def test_a_device_that_is_not_heard_is_not_reachable(bus: str) -> None:
    async with rig(bus) as it:
        with pytest.raises(NotReachable):
            async with it.radio.connect(fresh_address(), timeout=0.1):
                pass
        with contextlib.suppress(NotReachable):
            async with it.radio.connect(it.address, timeout=PATIENCE_S) as connection:
                assert connection.connected
