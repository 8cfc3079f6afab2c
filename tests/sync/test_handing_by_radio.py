"""Two hubs of one home, and what is reached by radio: lamps over Bluetooth, and sensors, on one virtual air."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from app.caller import BY_SYSTEM
from app.devices import queries
from app.devices.model import BLE, SENSOR, Device, NewDevice
from app.devices.product.sensors import product_id_of
from app.devices.sensors import SensorSecret
from app.devices.shadow_state import ServiceState
from app.links import ble as links
from app.links.ble import BleLinks
from app.links.bthome import SensorLink
from app.store.tx import Tx
from app.virtual.device import VirtualDevice
from app.virtual.on_air import OnAir
from app.virtual.parts import Place
from app.virtual.process import product_named
from ble.virtual.air import Air
from ble.virtual.radio import VirtualRadio
from pairing.methods.bthome import DECIPHERED, IN_CLEAR
from tests.ble.rig import state_of
from tests.links.test_bthome import KEY, Sensor
from tests.sync.sealing.estate import Hub
from tests.sync.test_handing import House, living
from tests.sync.test_verbs import run, served
from tests.waiting import until

# Ten times that is longer than a hub needs to connect, and less than a test waits.
HASTY = Place(announced=False, astray_after=0.2)
PATIENT = Place(announced=False)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that is a matter of minutes in a home."""
    monkeypatch.setattr(links, "PAUSE_S", (0.05, 0.2))
    monkeypatch.setattr(links, "CONNECT_WITHIN_S", 3.0)


class Radios:
    """Each hub's radio on one air, on while it is in here."""

    def __init__(self, house: House, air: Air) -> None:
        self.house, self.air = house, air
        self._on: dict[str, AsyncExitStack] = {}

    async def switch_on(self, hub: Hub) -> None:
        """It hears and connects from now on."""
        services, stack = hub.api.services, AsyncExitStack()
        radio = VirtualRadio(self.air.port)
        await radio.open()
        stack.push_async_callback(radio.close)
        await state_of(radio, lambda state: state.usable)
        over = BleLinks(radio, self.house.links[hub.id], services.lan.over_bluetooth)
        sensors = SensorLink(radio, services.devices, hub.api.store)
        for link in (over, sensors):
            link.start()
            stack.push_async_callback(link.stop)
        services.lan.on_missed = over.wanted
        self._on[hub.id] = stack

    async def switch_off(self, hub: Hub) -> None:
        await self._on.pop(hub.id).aclose()

    async def close(self) -> None:
        for stack in self._on.values():
            await stack.aclose()

    def lamp(self, place: Place = PATIENT) -> VirtualDevice:
        """The paired lamp, which has Bluetooth alone."""
        return VirtualDevice(product_named("lamp"), place=place, store=self.house.disk, bluetooth=OnAir(self.air.port))


@pytest.fixture
async def radios(tmp_path: Path) -> AsyncIterator[Radios]:
    async with Air() as air, living(tmp_path, link=BLE) as house:
        made = Radios(house, air)
        await made.switch_on(house.home.one)
        await made.switch_on(house.home.two)
        try:
            yield made
        finally:
            await made.close()


async def test_a_lamp_is_handed_over_and_back(radios: Radios) -> None:
    house = radios.house
    one, two = house.home.one, house.home.two
    async with radios.lamp() as lamp:
        await house.is_at(one)
        assert await house.change(one, hub_id=two.id) == (200, "")
        assert (await lamp.wait("hubs")).details == {"hub": two.id, "standby": one.id}
        await house.home.level()
        await house.is_at(two)
        assert await house.hubs(one) == await house.hubs(two) == (two.id, one.id)
        assert await house.change(two, hub_id=one.id) == (200, "")
        await house.home.level()
        await house.is_at(one)


async def test_one_that_was_out_of_reach_is_told_by_its_former_hub(radios: Radios) -> None:
    house = radios.house
    one, two = house.home.one, house.home.two
    await house.home.level()
    assert await house.change(one, hub_id=two.id) == (200, "")
    await house.home.level()
    async with radios.lamp() as lamp:
        assert (await lamp.wait("hubs")).details == {"hub": two.id, "standby": one.id}
        await house.is_at(two)
    assert house.row(two).owner_epoch == house.row(one).owner_epoch


async def test_who_stands_by_takes_over_once_the_holder_has_no_radio(radios: Radios) -> None:
    house = radios.house
    one, two = house.home.one, house.home.two
    async with radios.lamp(HASTY) as lamp:
        await house.stood_by(lamp)
        await radios.switch_off(one)
        await house.is_at(two)
        assert await house.hubs(two) == (two.id, one.id)
    await house.home.level()
    assert await house.hubs(one) == (two.id, one.id)


async def test_nobody_else_of_the_home_connects(radios: Radios) -> None:
    house = radios.house
    one, two = house.home.one, house.home.two
    await house.home.level()
    hardware = house.row(two).hardware_id
    assert two.api.services.lan.over_bluetooth(hardware[:6]) is None
    assert one.api.services.lan.over_bluetooth(hardware[:6]) == hardware


def _joined_in(tx: Tx, hub: Hub, home_id: str, sensor: Sensor, key: bytes | None) -> Device:
    """What pairing does as one joins."""
    trust = IN_CLEAR if key is None else DECIPHERED
    new = NewDevice(
        home_id=home_id,
        hardware_id=sensor.id,
        product_id=product_id_of((1, 2, 3)),
        name="Attic",
        link=SENSOR,
        trust=trust,
    )
    device = hub.api.services.devices.bind_in(tx, BY_SYSTEM, new)
    hub.api.services.devices.sensors.keep_in(tx, device.id, SensorSecret(key, -1))
    return device


@pytest.mark.parametrize("key", [None, KEY], ids=["in clear", "enciphered"])
async def test_a_sensor_is_heard_by_the_hub_it_is_handed_to(radios: Radios, tmp_path: Path, key: bytes | None) -> None:
    house = radios.house
    one, two = house.home.one, house.home.two
    sensor = Sensor()
    await sensor.join(radios.air.port)
    device = await one.api.store.write(lambda tx: _joined_in(tx, one, house.home.home, sensor, key))
    await house.home.level()
    house.lamp = device.id

    async def say(percent: int, counter: int) -> None:
        said = bytes((0x01, percent))
        await (sensor.say(said) if key is None else sensor.whisper(said, counter))

    await say(90, 1)
    await _measured(one, device.id, 90)
    await house.home.level()
    assert await house.change(two, standby_id=two.id) == (409, "hub_unfit")
    assert await house.change(two, hub_id=two.id) == (200, "")
    await house.home.level()
    assert await house.hubs(one) == await house.hubs(two) == (two.id, None)
    await say(80, 2)
    await _measured(two, device.id, 80)
    at_one = await one.api.store.read(lambda r: queries.service_state(r, device.id, "sensor"))
    assert at_one.reported["battery"].decoded == 90
    await sensor.close()
    async with served(two.api, two.owner, tmp_path) as at:
        code, told = await run("hold", "Attic", *at)
    assert code == 0
    assert "It can be handed to" in told


async def _measured(hub: Hub, device_id: str, percent: int) -> None:
    def reported() -> Awaitable[ServiceState]:
        return hub.api.store.read(lambda r: queries.service_state(r, device_id, "sensor"))

    await until(reported, lambda it: "battery" in it.reported and it.reported["battery"].decoded == percent)
