"""A lamp that knows no network yet, told one in every way there is: on it only if name and password are right.

Hub, phone, air and lamp are processes; the lamp joins, announces itself, is recognised by what it was told, and obeys.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.lan.house import House, Newcomer, living
from tests.lan.lan import Lan
from tests.lan.wifi import Wifi

pytestmark = pytest.mark.asyncio(loop_scope="module")
SSID, PASSWORD = "Cottage Wi-Fi", "correct horse"
PATIENCE = 60.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wlan(namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[House, Wifi]]:
    """A house with Wi-Fi, whose hub waits for people."""
    data = tmp_path_factory.mktemp("chain") / "hub"
    async with Lan() as lan, Wifi(lan, SSID, PASSWORD) as wifi, living(lan, data, patience=PATIENCE) as house:
        yield house, wifi


async def test_a_code_shown_to_its_camera(wlan: tuple[House, Wifi]) -> None:
    house, wifi = wlan
    async with Newcomer(await wifi.host("camera"), "qr") as lamp:
        path = await house.start(method="qr_shown", ssid=SSID, wifi_password="wrong horse")
        await house.until(path, "searching")
        await lamp.say(f"scan {await house.phone.text(f'{path}/qr')}")
        assert (await lamp.until(event="not_joined"))["reason"] == "wrong_password"
        await house.phone.done("POST", f"{path}/cancel")
        path = await house.start(method="qr_shown", ssid=SSID, wifi_password=PASSWORD)
        await house.until(path, "searching")
        await lamp.say(f"scan {await house.phone.text(f'{path}/qr')}")
        session = await house.finish(path, lamp)
        assert session["state"] == "joined", session["failure"]
        await house.obeys(session["device_ids"][0])


async def test_ez(wlan: tuple[House, Wifi]) -> None:
    house, wifi = wlan
    async with Newcomer(await wifi.host("ez"), "ez", "--air-interface", "wlan0") as lamp:
        wrong = await house.start(method="ez", ssid=SSID, wifi_password="wrong horse")
        assert (await lamp.until(event="not_joined"))["reason"] == "wrong_password"
        await house.phone.done("POST", f"{wrong}/cancel")
        session = await house.finish(await house.start(method="ez", ssid=SSID, wifi_password=PASSWORD), lamp)
        assert session["state"] == "joined", session["failure"]
        await house.obeys(session["device_ids"][0])
