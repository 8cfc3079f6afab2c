"""The virtual radio and its devices, against each other: both ends speak real GATT through the air."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import pytest

from ble.errors import Disconnected, NoSlot, NotOffered, NotReachable, RadioOff
from ble.radio import RadioState, uuid16
from ble.virtual.air import Air
from ble.virtual.radio import VirtualRadio
from tests.ble.rig import BROKEN, LAMP, SECRET, SWITCH, Lamp, hear, lamp_on


class Place:
    def __init__(self, air: Air, stack: AsyncExitStack) -> None:
        self.air = air
        self._stack = stack

    async def lamp(self) -> Lamp:
        return await lamp_on(self._stack, self.air)

    async def radio(self, **options: int) -> VirtualRadio:
        radio = VirtualRadio(self.air.port, **options)
        await radio.open()
        self._stack.push_async_callback(radio.close)
        return radio


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with Air() as air, AsyncExitStack() as stack:
        yield Place(air, stack)


async def test_a_device_is_heard_with_its_name_and_strength_and_what_changes(place: Place) -> None:
    radio, lamp = await place.radio(), await place.lamp()
    heard = await hear(radio, lambda advert: advert.address == lamp.address)
    assert heard.name == "lamp"  # fault 1: it is in the scan response
    assert (heard.services, heard.rssi) == ((LAMP,), -50)
    place.air.set_rssi(lamp.address, -71)  # fault 5
    await hear(radio, lambda advert: advert.rssi == -71)
    await lamp.advertise(service_data={uuid16(0x4677): b"\x02\x00"}, manufacturer_data={0x2E5: b"x"})  # fault 9
    changed = await hear(radio, lambda advert: uuid16(0x4677) in advert.service_data)
    assert (changed.name, changed.services, changed.manufacturer_data) == ("", (), {0x2E5: b"x"})  # fault 2: no answer


async def test_what_nobody_can_connect_to_is_heard(place: Place) -> None:
    radio, lamp = await place.radio(), await place.lamp()
    await lamp.advertise(service_data={uuid16(0xFCD2): b"\x40\x01\x61"}, connectable=False)  # fault 6
    assert (await hear(radio, lambda advert: bool(advert.service_data))).address == lamp.address
    with pytest.raises(NotReachable):
        async with radio.connect(lamp.address, timeout=0.5):
            pass


async def test_reading_writing_and_being_notified(place: Place) -> None:
    radio, lamp = await place.radio(), await place.lamp()
    await hear(radio, lambda advert: advert.address == lamp.address)
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
    await lamp.gone.wait()


async def test_what_is_not_offered_is_said_at_once(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    radio, lamp = await place.radio(), await place.lamp()
    await hear(radio, lambda advert: advert.address == lamp.address)
    async with radio.connect(lamp.address) as connection:
        for refused in (
            connection.read(SECRET),  # fault 8: no reader, and yet an answer
            connection.read(BROKEN),
            connection.write(SECRET, b"x", response=True),
            connection.read(uuid16(0x2A00)[:-1] + "0"),
            connection.descriptor(SWITCH, uuid16(0x2908)),
        ):
            with pytest.raises(NotOffered):
                await refused
    with pytest.raises(NotOffered):
        async with radio.connect(lamp.address, services=[uuid16(0x1828)]):
            pass
    assert "a device's handler failed" in caplog.text


async def test_a_device_that_has_gone_does_not_hold_up_the_next(place: Place) -> None:
    radio, lamp, other = await place.radio(), await place.lamp(), await place.lamp()
    for each in (lamp, other):
        await hear(radio, lambda advert, each=each: advert.address == each.address)  # type: ignore[misc]
    place.air.take_away(lamp.address)
    with pytest.raises(NotReachable):  # fault 3: the cancelled attempt ends
        async with radio.connect(lamp.address, timeout=0.3):
            pass
    async with radio.connect(other.address):
        pass
    place.air.bring_back(lamp.address)
    async with radio.connect(lamp.address, timeout=5) as connection:
        assert await connection.read(SWITCH) == b"\x00"


async def test_losing_the_range_ends_a_connection_at_both_ends(place: Place) -> None:
    radio, lamp = await place.radio(), await place.lamp()
    await hear(radio, lambda advert: advert.address == lamp.address)
    ended = asyncio.Event()
    async with radio.connect(lamp.address) as connection:
        connection.on_disconnect(ended.set)
        place.air.drop(lamp.address)
        await ended.wait()
        await lamp.gone.wait()
        with pytest.raises(Disconnected):
            await connection.read(SWITCH)
    async with radio.connect(lamp.address):  # it advertises again by itself
        pass


async def test_a_device_whose_power_goes_is_missed(place: Place) -> None:
    radio, lamp = await place.radio(), await place.lamp()
    await hear(radio, lambda advert: advert.address == lamp.address)
    ended = asyncio.Event()
    async with radio.connect(lamp.address) as connection:
        connection.on_disconnect(ended.set)
        await lamp.close()
        await ended.wait()


async def test_connections_are_counted_and_one_for_each_device(place: Place) -> None:
    radio = await place.radio(slots=1)
    lamp, other = await place.lamp(), await place.lamp()
    for each in (lamp, other):
        await hear(radio, lambda advert, each=each: advert.address == each.address)  # type: ignore[misc]
    async with radio.connect(lamp.address):
        with pytest.raises(NoSlot):
            async with radio.connect(other.address, timeout=0.1):
                pass
        with pytest.raises(NotReachable):
            async with radio.connect(lamp.address, timeout=0.1):
                pass
    async with radio.connect(other.address):
        pass


async def test_a_device_is_a_process_of_its_own(place: Place) -> None:
    radio = await place.radio()
    argv = (sys.executable, "-m", "tests.ble.lamp_process", str(place.air.port))
    process = await asyncio.create_subprocess_exec(*argv)
    try:
        advert = await hear(radio, lambda advert: LAMP in advert.services)
        ended = asyncio.Event()
        async with radio.connect(advert.address, services=[LAMP]) as connection:
            connection.on_disconnect(ended.set)
            assert await connection.read(SWITCH) == b"\x00"
            process.kill()
            await ended.wait()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def test_without_bumble_the_rest_works_and_it_is_said_what_to_install() -> None:
    code = (
        "import sys; sys.modules['bumble'] = None\n"
        "import ble.adverts, ble.radio, ble.slots, ble.bleak_radio\n"
        "import ble.virtual.air"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.stderr.splitlines()[-1].endswith("install it with pip install 'doorstep[virtual]'")


async def test_without_an_air_there_is_no_bluetooth(place: Place) -> None:
    async with Air() as other:
        port = other.port
    radio = VirtualRadio(port)
    await radio.open()
    assert not radio.state.usable
    assert radio.state.reason == "no_adapter"
    with pytest.raises(RadioOff):
        async with radio.connect("D0:00:00:00:00:01"):
            pass
    await radio.close()
    there = await place.radio()
    states: list[RadioState] = []
    there.on_state(states.append)
    await place.air.__aexit__(None, None, None)
    async with asyncio.timeout(5):
        while not states:
            await asyncio.sleep(0)
    assert [state.usable for state in states] == [False]
