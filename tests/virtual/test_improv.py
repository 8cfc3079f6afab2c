"""A virtual Improv device is told its network by our client, over bleak and over a virtual air, and brought in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.devices.product.catalogue import built_in
from app.virtual.device import VirtualDevice
from app.virtual.setup_improv import ImprovMode
from app.virtual.station import ListedNetworks
from ble.radio import Radio
from ble.virtual.radio import VirtualRadio
from pairing.ap.setup import SeenNetwork
from pairing.improv.messages import Info
from pairing.methods.ble_wifi import BleWifi, Patience
from pairing.session.states import Request
from pairing.session.states import State as SessionIs
from tests.ble.rig import Rig, rigged
from tests.pairing.methods.hub import MethodHub

LAMP = built_in().get("lamp")
INFO = Info("doorstep", "1.0", "virtual", "Improv lamp")
HOME = {"Home ☕": "the password"}
SEEN = (SeenNetwork("Home ☕", rssi=-40), SeenNetwork("other", rssi=-70, open=True))
WAIT = 60.0


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with asyncio.timeout(WAIT), rigged(tmp_path) as made:
        yield made


@asynccontextmanager
async def lamp_on(air: int, *, authorized: bool = True) -> AsyncIterator[tuple[VirtualDevice, ImprovMode]]:
    assert LAMP is not None
    mode = ImprovMode(air, INFO, networks=SEEN, authorized=authorized)
    async with VirtualDevice(LAMP, setup=mode, station=ListedNetworks(HOME)) as device:
        await device.wait("setup")
        yield device, mode


class Hub(MethodHub):
    def __init__(self, radio: Radio) -> None:
        self.mine: set[str] = set()
        quick = Patience(others=0.2, announcing=20.0, asking=0.05)
        super().__init__(lambda lan: BleWifi(lan, radio, patience=quick), self.mine)


@pytest.mark.parametrize("real", [False, True], ids=["virtual air", "bleak"])
async def test_our_client_provisions_it_and_the_device_is_brought_in(rig: Rig, real: bool) -> None:
    radio: Radio = await rig.radio() if real else VirtualRadio(rig.air.port)
    if not real:
        await radio.open()
    hub = Hub(radio)
    async with lamp_on(rig.air.port) as (device, _):
        hub.mine.add(device.id)
        request = Request(home="h-1", account="a-1", method="ble_wifi", inputs={"ssid": "Home ☕"})
        session = await hub.runner.start(request, {"wifi_password": "the password"})
        async for step in hub.runner.watch(session.id):
            if step.key == "confirm":
                await hub.runner.confirm(session.id, True)
        ended = hub.log.state(session.id)
        assert ended.state is SessionIs.JOINED, ended
        assert device.state.paired
    await hub.runner.close()
    await radio.close()
