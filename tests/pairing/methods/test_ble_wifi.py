"""A lamp is told its Wi-Fi over Bluetooth LE, joins it, and is brought in on the LAN; only the radio is pretended."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from app.devices.product.catalogue import built_in
from app.virtual.device import VirtualDevice
from app.virtual.station import ListedNetworks
from ble.adverts import IMPROV
from ble.radio import Advertisement, RadioState
from pairing.ap.setup import SeenNetwork
from pairing.gatt import profile
from pairing.improv import messages
from pairing.improv.device import ImprovDevice, Inside, Notified
from pairing.improv.messages import Info
from pairing.methods.ble_wifi import BleWifi, Patience
from pairing.session.states import Request, SessionState, State
from pairing.wifi import Provisioned
from tests.pairing.gatt.table import Characteristic, TableConnection, TableRadio
from tests.pairing.methods.hub import MethodHub

LAMP = built_in().get("lamp")
HOME = {"Home ☕": "the password"}
QUICK = Patience(finding=5.0, others=0.0, button=5.0, joining=20.0, asking=0.05, announcing=20.0)


class ImprovMode:
    """A virtual device's way of being told (`app.virtual.setup.Setup`), on a table's radio."""

    def __init__(self, radio: TableRadio, *, address: str = "D0:01", authorized: bool = True) -> None:
        self.radio = radio
        self.address = address
        self.authorized = authorized
        self.identified = asyncio.Event()
        self._letter: asyncio.Queue[Provisioned] = asyncio.Queue()
        self._connection: TableConnection
        self.half: ImprovDevice

    @asynccontextmanager
    async def open(self) -> AsyncIterator["ImprovMode"]:
        inside = Inside(lambda: [SeenNetwork("Home ☕", rssi=-40)], self._letter.put_nowait, self.identified.set)
        self.half = ImprovDevice(Info("doorstep", "1", "virtual", "Lamp"), inside, authorized=self.authorized)
        self.radio.devices[self.address] = self.connected
        try:
            yield self
        finally:
            del self.radio.devices[self.address]

    async def next(self) -> Provisioned:
        return await self._letter.get()

    async def outcome(self, refused: str | None) -> None:
        self.notify(self.half.joined("http://127.0.0.1/") if refused is None else self.half.not_joined())

    def notify(self, values: list[Notified]) -> None:
        for characteristic, value in values:
            self._connection.notify(characteristic, value)

    def advertise(self) -> None:
        data = {IMPROV: self.half.service_data}
        self.radio.advertise(Advertisement(address=self.address, name="Lamp", service_data=data))

    def connected(self) -> TableConnection:
        def reading(name: str) -> Callable[[], bytes]:
            return lambda: self.half.read(name)

        names = (messages.STATE, messages.ERROR, messages.CAPABILITIES, messages.RESULT)
        table = {name: Characteristic(messages.SERVICE, read=reading(name)) for name in names}
        table[messages.COMMAND] = Characteristic(
            messages.SERVICE, write=lambda part: self.notify(self.half.write(part))
        )
        table[profile.TOKEN] = Characteristic(profile.SERVICE, write=self.half.take_token)
        self._connection = TableConnection(table, 244)
        self._connection.on_disconnect(self.half.forget_client)
        return self._connection


class Hub(MethodHub):
    def __init__(self, radio: TableRadio, patience: Patience = QUICK) -> None:
        self.radio = radio
        self.mine: set[str] = set()
        super().__init__(lambda lan: BleWifi(lan, radio, patience=patience), self.mine)

    async def start(self, password: str = "the password", **inputs: str) -> str:
        request = Request(home="h-1", account="a-1", method="ble_wifi", inputs={"ssid": "Home ☕", **inputs})
        return (await self.runner.start(request, {"wifi_password": password})).id

    async def ended(self, session_id: str, *modes: ImprovMode) -> SessionState:
        while not self.radio.listened_to and not self.log.state(session_id).state.terminal:
            await asyncio.sleep(0)
        for mode in modes:
            mode.advertise()
        async for step in self.runner.watch(session_id):
            if step.key == "confirm":
                await self.runner.confirm(session_id, True)
        return self.log.state(session_id)


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    made = Hub(TableRadio())
    async with asyncio.timeout(60):
        yield made
        await made.runner.close()
    assert not made.radio.listened_to
    assert not any(connection.connected for connection in made.radio.connections)


@asynccontextmanager
async def lamp_on(hub: Hub, mode: ImprovMode) -> AsyncIterator[VirtualDevice]:
    assert LAMP is not None
    async with VirtualDevice(LAMP, setup=mode, station=ListedNetworks(HOME)) as device:
        await device.wait("setup")
        hub.mine.add(device.id)
        yield device


def keys(state: SessionState) -> list[str]:
    return [step.key for step in state.steps]


async def test_a_lamp_is_told_its_network_and_brought_in(hub: Hub) -> None:
    mode = ImprovMode(hub.radio)
    async with lamp_on(hub, mode) as lamp:
        ended = await hub.ended(await hub.start(), mode)
        assert ended.state is State.JOINED, ended
        assert lamp.state.paired
    assert [key for key in keys(ended) if key in ("connecting", "telling_device", "device_told")] == [
        "connecting",
        "telling_device",
        "device_told",
        "connecting",
    ]


async def test_a_wrong_password_is_what_the_device_says_it_is(hub: Hub) -> None:
    mode = ImprovMode(hub.radio)
    async with lamp_on(hub, mode):
        ended = await hub.ended(await hub.start("not the password"), mode)
    assert ended.failure is not None
    assert ended.failure.cause == "wifi_password_wrong"


async def test_a_button_is_asked_for(hub: Hub) -> None:
    mode = ImprovMode(hub.radio, authorized=False)
    async with lamp_on(hub, mode):
        session = await hub.start()
        ending = asyncio.create_task(hub.ended(session, mode))
        await mode.identified.wait()  # the lamp has shown which one is meant
        mode.notify(mode.half.authorize())
        ended = await ending
    assert ended.state is State.JOINED, ended
    assert "press_button" in keys(ended)


async def test_a_button_that_nobody_presses() -> None:
    hub = Hub(TableRadio(), Patience(finding=5.0, others=0.0, button=0.0))
    mode = ImprovMode(hub.radio, authorized=False)
    async with asyncio.timeout(60), lamp_on(hub, mode):
        ended = await hub.ended(await hub.start(), mode)
        await hub.runner.close()
    assert ended.failure is not None
    assert ended.failure.cause == "button_not_pressed"


async def test_two_that_wait_are_told_apart_by_name_or_not_at_all(hub: Hub) -> None:
    one, two = ImprovMode(hub.radio), ImprovMode(hub.radio, address="D0:02")
    async with lamp_on(hub, one), lamp_on(hub, two):
        ended = await hub.ended(await hub.start(), one, two)
    assert ended.failure is not None
    assert ended.failure.cause == "several_setup_networks"
    assert not hub.radio.connections


async def test_none_is_heard() -> None:
    hub = Hub(TableRadio(), Patience(finding=0.0))
    ended = await hub.ended(await hub.start())
    await hub.runner.close()
    assert ended.failure is not None
    assert ended.failure.cause == "not_found"


async def test_no_bluetooth(hub: Hub) -> None:
    hub.radio.state = RadioState(usable=False, reason="off", sentence="Bluetooth is switched off.")
    ended = await hub.ended(await hub.start())
    assert ended.failure is not None
    assert ended.failure.cause == "radio_off"
