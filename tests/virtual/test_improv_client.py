"""Others' client, `py-improv-ble-client`, tells our virtual Improv device its network: by bleak, on the fake BlueZ."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from bleak import BleakScanner
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from improv_ble_client import ImprovBLEClient, State, device_filter
from improv_ble_client.errors import ProvisioningFailed

from tests.ble.rig import Rig, rigged
from tests.virtual.test_improv import lamp_on

WAIT = 60.0


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rigged(tmp_path) as made:
        yield made


@asynccontextmanager
async def found(*, scanning: bool) -> AsyncIterator[tuple[BLEDevice, AdvertisementData]]:
    """The device that waits for its network; `scanning`: while the context lasts, the scan goes on."""
    heard: asyncio.Future[tuple[BLEDevice, AdvertisementData]] = asyncio.get_running_loop().create_future()

    def hear(device: BLEDevice, advert: AdvertisementData) -> None:
        if device_filter(advert) and not heard.done():
            heard.set_result((device, advert))

    scanner = BleakScanner(hear)
    await scanner.start()
    try:
        there = await heard
        if not scanning:
            await scanner.stop()
        yield there
    finally:
        if scanning:
            await scanner.stop()


@pytest.mark.parametrize("scanning", [False, True], ids=["after a scan", "while scanning"])
async def test_it_is_told_a_wrong_password_and_then_the_right_one(rig: Rig, scanning: bool) -> None:
    there = lamp_on(rig.air.port)
    async with asyncio.timeout(WAIT), there as (lamp, _), found(scanning=scanning) as (device, advert):
        client = ImprovBLEClient(device, advert)
        assert not await client.need_authorization()
        assert (await client.get_device_info()).device_name == b"Improv lamp"
        gone = asyncio.Event()
        await client.subscribe_state_updates(lambda state: gone.set() if state is State.DISCONNECTED else None)
        with pytest.raises(ProvisioningFailed):
            await client.provision("Home ☕", "a wrong one", None)
        assert (await lamp.wait("not_joined")).details["reason"] == "wrong_password"
        await gone.wait()  # after a failure it hangs up, in a task of its own: what it is asked before that is lost
        states = list[State]()
        await client.provision("Home ☕", "the password", states.append)
        assert states == [State.PROVISIONING, State.PROVISIONED]
        await lamp.wait("joined")
        await lamp.wait("ready")
