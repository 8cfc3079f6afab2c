"""The virtual radio and devices on its air: GATT over loopback HCI, and each fault of bumble's controller mended."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from ble.errors import Disconnected, NoSlot, NotOffered, NotReachable, RadioOff
from ble.radio import Advertisement, Radio, uuid16
from ble.virtual.advertised import Advert
from ble.virtual.air import Air
from ble.virtual.device import Characteristic, Service, serve
from ble.virtual.radio import VirtualRadio

SERVICE, ECHO, SILENT, NAMED = uuid16(0xFF10), uuid16(0xFF11), uuid16(0xFF12), uuid16(0x2901)
LONG = "5d1f7a60-3c8e-4b0a-9e52-d002000000ff"
PATIENCE_S = 20


def fresh_address() -> str:
    return ":".join(f"{octet:02X}" for octet in bytes([0xF0, *random.randbytes(5)]))


@asynccontextmanager
async def on_air() -> AsyncIterator[tuple[Air, VirtualRadio]]:
    async with Air().serve() as air:
        radio = VirtualRadio(air.hci, slots=1)
        await radio.open()
        try:
            yield air, radio
        finally:
            await radio.close()


def table(written: Callable[[bytes], None] = lambda _: None) -> tuple[Service, ...]:
    everything = ("read", "write", "write-without-response", "notify")
    echo = Characteristic(
        uuid=ECHO, properties=everything, read=lambda: b"value", write=written, descriptors={NAMED: b"echo"}
    )
    return (Service(SERVICE, (echo, Characteristic(uuid=SILENT, properties=("read",)))),)


async def heard_by(radio: Radio, wanted: Callable[[Advertisement], bool]) -> Advertisement:
    found: asyncio.Future[Advertisement] = asyncio.get_running_loop().create_future()
    stop = radio.listen(lambda one: found.set_result(one) if wanted(one) and not found.done() else None)
    try:
        return await asyncio.wait_for(found, PATIENCE_S)
    finally:
        stop()


async def test_an_advertisement_is_heard_with_its_scan_response_and_rssi() -> None:
    address = fresh_address()
    advert = Advert(name="lamp", services=(SERVICE,), service_data={SERVICE: b"\x01\x02"}, manufacturer_data={7: b"m"})
    async with on_air() as (air, radio):
        air.link.rssi[address] = -71
        async with serve(air.hci, address, table(), advert):
            heard = await heard_by(radio, lambda one: one.name == "lamp")
    assert heard.address == address
    assert heard.rssi == -71
    assert (heard.services, heard.service_data) == ((SERVICE,), {SERVICE: b"\x01\x02"})
    assert heard.manufacturer_data == {7: b"m"}


async def test_what_cannot_be_connected_to_is_heard_and_adverts_change() -> None:
    address = fresh_address()
    async with on_air() as (air, radio):
        beacon = Advert(service_data={LONG: b"1"}, connectable=False)
        async with serve(air.hci, address, table(), beacon) as device:
            await heard_by(radio, lambda one: one.service_data == {LONG: b"1"})
            await device.advertise(Advert(service_data={LONG: b"2"}, connectable=False))
            await heard_by(radio, lambda one: one.service_data == {LONG: b"2"})


async def test_a_connection_reads_writes_and_is_notified() -> None:
    address = fresh_address()
    written: list[bytes] = []
    notified: asyncio.Queue[bytes] = asyncio.Queue()
    async with on_air() as (air, radio), serve(air.hci, address, table(written.append), Advert(name="lamp")) as device:
        async with radio.connect(address, services=(SERVICE,), timeout=PATIENCE_S) as connection:
            assert connection.max_write == 514
            assert connection.characteristics(SERVICE) == [ECHO, SILENT]
            assert await connection.read(ECHO) == b"value"
            assert await connection.descriptor(ECHO, NAMED) == b"echo"
            await connection.subscribe(ECHO, notified.put_nowait)
            await device.notify(ECHO, b"told")
            assert await asyncio.wait_for(notified.get(), PATIENCE_S) == b"told"
            await connection.write(ECHO, bytes(500), response=True)
            with pytest.raises(NotOffered):
                await connection.read(SILENT)
            with pytest.raises(NotOffered):
                await connection.read(LONG)
        assert not connection.connected
    assert written == [bytes(500)]


async def test_range_loss_ends_a_connection_at_once() -> None:
    address = fresh_address()
    async with on_air() as (air, radio), serve(air.hci, address, table(), Advert(name="lamp")):
        async with radio.connect(address, timeout=PATIENCE_S) as connection:
            ended = asyncio.Event()
            connection.on_disconnect(ended.set)
            air.link.out.add(address)
            reading = asyncio.ensure_future(connection.read(ECHO))
            await asyncio.sleep(0)
            air.link.drop(address)
            await asyncio.wait_for(ended.wait(), PATIENCE_S)
            with pytest.raises(Disconnected):
                await reading
        air.link.out.clear()
        async with radio.connect(address, timeout=PATIENCE_S) as again:
            assert await again.read(ECHO) == b"value"


async def test_an_absent_device_is_not_reachable_and_the_radio_goes_on() -> None:
    address = fresh_address()
    async with on_air() as (air, radio), serve(air.hci, address, table(), Advert(name="lamp")):
        with pytest.raises(NotReachable):
            async with radio.connect(fresh_address(), timeout=0.05):
                pass
        async with radio.connect(address, services=(SERVICE,), timeout=PATIENCE_S):
            with pytest.raises(NoSlot):
                async with radio.connect(fresh_address(), timeout=PATIENCE_S):
                    pass


async def test_a_device_that_dies_is_off_the_air() -> None:
    address = fresh_address()
    async with on_air() as (air, radio):
        ended = asyncio.Event()
        async with serve(air.hci, address, table(), Advert(name="lamp")) as device:
            await heard_by(radio, lambda one: one.address == address)
            async with radio.connect(address, timeout=PATIENCE_S) as connection:
                connection.on_disconnect(ended.set)
                await device.disconnect()
                await asyncio.wait_for(ended.wait(), PATIENCE_S)


async def test_a_missing_service_is_not_offered() -> None:
    address = fresh_address()
    async with on_air() as (air, radio), serve(air.hci, address, table(), Advert(name="lamp")):
        with pytest.raises(NotOffered):
            async with radio.connect(address, services=(LONG,), timeout=PATIENCE_S):
                pass


async def test_without_an_air_there_is_no_bluetooth_and_a_sentence_says_so() -> None:
    async with Air().serve() as air:
        hci = air.hci
    radio = VirtualRadio(hci)
    await radio.open()
    assert not radio.state.usable
    assert radio.state.sentence
    with pytest.raises(RadioOff):
        async with radio.connect(fresh_address(), timeout=1):
            pass
    await radio.close()
