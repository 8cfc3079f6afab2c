"""bleak's own BlueZ code against a fake org.bluez: what works, and the eight problems of the field survived."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ble.bleak_radio import BleakRadio
from ble.errors import Disconnected, NoSlot, NotOffered, NotReachable, RadioOff
from ble.radio import uuid16
from tests.ble.bluez.bus import DBusFailure, system_bus
from tests.ble.bluez.fake import FAILED, IN_PROGRESS, FakeBluez
from tests.ble.rig import BROKEN, LAMP, QUICK, SECRET, SWITCH, Rig, hear, hear_lamp, rigged, state_of


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rigged(tmp_path) as made:
        yield made


async def test_hearing_connecting_reading_writing_and_being_notified(rig: Rig) -> None:
    radio, lamp = await rig.radio(), await rig.lamp()
    assert radio.state.usable
    advert = await hear_lamp(radio, lamp)
    assert (advert.name, advert.services, advert.rssi) == ("lamp", (LAMP,), -50)
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    async with radio.connect(lamp.address, services=[LAMP]) as connection:
        assert connection.max_write == 514
        assert connection.characteristics(LAMP) == (SWITCH, SECRET, BROKEN)
        await connection.write(SWITCH, b"\x01", response=True)
        await connection.write(SWITCH, b"\x02", response=False)
        lamp.value = bytes(400)
        assert await connection.read(SWITCH) == bytes(400)
        assert lamp.written == [b"\x01", b"\x02"]
        assert await connection.descriptor(SWITCH, uuid16(0x2901)) == b"switch"
        await connection.subscribe(SWITCH, heard.put_nowait)
        await lamp.subscribed.wait()
        await lamp.notify(SWITCH, b"now")
        assert await heard.get() == b"now"
        for refused in (
            connection.read(SECRET),
            connection.read(BROKEN),
            connection.write(SECRET, b"x", response=True),
            connection.read(uuid16(0x2A37)),
            connection.descriptor(SWITCH, uuid16(0x2908)),
        ):
            with pytest.raises(NotOffered):
                await refused
    await lamp.gone.wait()
    with pytest.raises(Disconnected):
        await connection.read(SWITCH)


async def test_1_an_adapter_that_is_busy_for_a_moment_is_asked_again(rig: Rig) -> None:
    busy = DBusFailure(IN_PROGRESS, "Operation already in progress")
    rig.bluez.faults.refuse = {"StartDiscovery": [busy, busy], "Connect": [busy, busy]}
    lamp, radio = await rig.lamp(), await rig.radio()
    assert radio.state.usable
    await hear_lamp(radio, lamp)
    async with radio.connect(lamp.address) as connection:
        assert await connection.read(SWITCH) == b"\x00"


async def test_2_slots_are_kept_below_the_limit_and_the_adapters_own_limit_is_named(rig: Rig) -> None:
    radio = await rig.radio(slots=1)
    lamp, other = await rig.lamp(), await rig.lamp()
    await hear_lamp(radio, lamp)
    await hear_lamp(radio, other)
    async with radio.connect(lamp.address):
        with pytest.raises(NoSlot):
            async with radio.connect(other.address, timeout=0.2):
                pass
    full = DBusFailure(FAILED, "le-connection-concurrent-connection-limit")
    rig.bluez.faults.refuse = {"Connect": [full] * 10}
    with pytest.raises(NoSlot):
        async with radio.connect(other.address):
            pass
    rig.bluez.faults.refuse = {}
    async with radio.connect(other.address):
        pass


async def test_3_a_connection_lost_during_the_discovery_is_made_again(rig: Rig) -> None:
    radio, lamp = await rig.radio(), await rig.lamp()
    await hear_lamp(radio, lamp)
    rig.bluez.faults.drops = 2
    async with radio.connect(lamp.address, services=[LAMP]) as connection:
        assert await connection.read(SWITCH) == b"\x00"
    assert rig.bluez.calls.count("Connect") >= 3
    rig.air.take_away(lamp.address)
    with pytest.raises(NotReachable):
        async with radio.connect(lamp.address, timeout=1.0):
            pass


async def test_4_services_missing_from_an_old_cache_are_asked_for_again(rig: Rig) -> None:
    radio, lamp = await rig.radio(), await rig.lamp()
    await hear_lamp(radio, lamp)
    rig.bluez.faults.stale[lamp.address] = {LAMP}
    async with radio.connect(lamp.address, services=[LAMP]) as connection:
        assert await connection.read(SWITCH) == b"\x00"
    assert "RemoveDevice" in rig.bluez.calls
    with pytest.raises(NotOffered):
        async with radio.connect(lamp.address, services=[uuid16(0x1828)]):
            pass


async def test_5_a_scan_that_has_fallen_silent_is_built_anew(rig: Rig) -> None:
    radio, lamp = await rig.radio(), await rig.lamp()
    await hear_lamp(radio, lamp)
    scans = rig.bluez.calls.count("StartDiscovery")
    rig.bluez.faults.deaf = True
    async with asyncio.timeout(10):
        while rig.bluez.calls.count("StartDiscovery") == scans:
            await asyncio.sleep(0.05)
    rig.bluez.faults.deaf = False
    await hear_lamp(radio, lamp)
    assert radio.state.usable


async def test_6_a_device_is_connected_to_while_the_scan_goes_on(rig: Rig) -> None:
    radio, lamp = await rig.radio(), await rig.lamp()
    rig.bluez.faults.forget = True
    await hear_lamp(radio, lamp)
    async with radio.connect(lamp.address):
        assert "StopDiscovery" not in rig.bluez.calls
    with pytest.raises(NotReachable):  # never by an address alone
        async with radio.connect("D0:00:00:00:00:01", timeout=0.2):
            pass
    assert rig.bluez.calls.count("Connect") == 1


async def test_7_without_a_bus_without_a_daemon_and_without_an_adapter_the_hub_runs_on(tmp_path: Path) -> None:
    async with system_bus(tmp_path) as daemon:
        radio = BleakRadio(watch=QUICK)
        await radio.open()
        try:
            assert radio.state.reason == "no_dbus"
            with pytest.raises(RadioOff, match="container"):
                async with radio.connect("D0:00:00:00:00:01"):
                    pass
            await daemon.start()
            await state_of(radio, lambda state: state.reason == "no_daemon")
        finally:
            await radio.close()


async def test_7_an_adapter_is_pulled_switched_off_and_plugged_in_again(rig: Rig) -> None:
    radio, lamp = await rig.radio(), await rig.lamp()
    await hear_lamp(radio, lamp)
    ended = asyncio.Event()
    async with radio.connect(lamp.address) as connection:
        connection.on_disconnect(ended.set)
        await rig.bluez.pull()
        await ended.wait()
    await state_of(radio, lambda state: state.reason == "no_adapter")
    await rig.bluez.plug(powered=False)
    await state_of(radio, lambda state: state.reason == "powered_off")
    await rig.bluez.pull()
    await rig.bluez.plug()
    await state_of(radio, lambda state: state.usable)
    await hear_lamp(radio, lamp)


async def test_7_a_bus_that_is_begun_anew_is_found_again(rig: Rig) -> None:
    radio, lamp = await rig.radio(), await rig.lamp()
    await hear_lamp(radio, lamp)
    await rig.bluez.stop()
    await rig.daemon.stop()
    await state_of(radio, lambda state: not state.usable)
    await rig.daemon.start()
    again = FakeBluez(rig.air.port, rig.daemon.address)
    await again.start()
    try:
        await state_of(radio, lambda state: state.usable)
        await hear_lamp(radio, lamp)
    finally:
        await again.stop()


async def test_8_notifications_told_twice_are_heard_once_and_after_each_connection(rig: Rig) -> None:
    radio, lamp = await rig.radio(), await rig.lamp()
    rig.bluez.faults.doubled = True
    for _ in range(2):
        await hear_lamp(radio, lamp)
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        lamp.subscribed.clear()
        async with radio.connect(lamp.address) as connection:
            await connection.subscribe(SWITCH, lambda value: None)
            await connection.subscribe(SWITCH, heard.put_nowait)  # takes the first one's place
            await lamp.subscribed.wait()
            for value in (b"1", b"2", b"3"):
                await lamp.notify(SWITCH, value)
            assert [await heard.get() for _ in range(3)] == [b"1", b"2", b"3"]
    assert "AcquireNotify" not in rig.bluez.calls


async def test_a_subscription_that_was_refused_is_made_by_the_next_try(rig: Rig) -> None:
    radio, lamp = await rig.radio(), await rig.lamp()
    await hear_lamp(radio, lamp)
    rig.bluez.faults.refuse = {"StartNotify": [DBusFailure("org.bluez.Error.Failed", "not now")]}
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    async with radio.connect(lamp.address) as connection:
        with pytest.raises(NotOffered):
            await connection.subscribe(SWITCH, heard.put_nowait)
        await connection.subscribe(SWITCH, heard.put_nowait)
        await lamp.subscribed.wait()
        await lamp.notify(SWITCH, b"1")
        assert await heard.get() == b"1"


async def test_losing_the_range_ends_a_connection_and_what_waits_for_it(rig: Rig) -> None:
    radio, lamp = await rig.radio(), await rig.lamp()
    await hear_lamp(radio, lamp)
    ended = asyncio.Event()
    async with radio.connect(lamp.address) as connection:
        connection.on_disconnect(ended.set)
        rig.air.drop(lamp.address)
        await ended.wait()
        assert not connection.connected
        with pytest.raises(Disconnected):
            await connection.write(SWITCH, b"\x01", response=True)
    await hear(radio, lambda advert: advert.address == lamp.address)
