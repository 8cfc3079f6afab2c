"""A lamp that knows no network yet, told one in every way there is: on it only if name and password are right.

Hub, phone, air and lamp are processes; the lamp joins, announces itself, is recognised by what it was told, and obeys.
"""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.lan.house import House, Lamp, Newcomer, living
from tests.lan.lan import ROOT, Lan
from tests.lan.wifi import SETUP, Joined, Radio, Wifi

pytestmark = pytest.mark.asyncio(loop_scope="module")
SSID, PASSWORD = "Cottage Wi-Fi", "correct horse"
PIN, POP, SETUP_SSID = "48151623", "4711-0815", "PROV_1234"
PATIENCE = 60.0


class Home:
    """A house with Wi-Fi, whose hub waits for people; the phone is on the air as well."""

    def __init__(self, house: House, wifi: Wifi, phone: Radio, radio: Joined) -> None:
        self.house = house
        self.wifi = wifi
        self._phone = phone
        self.radio = radio

    async def tell(self, pop: str, ssid: str, password: str, token: str) -> str:
        """Have the phone, in a setup network, tell the device there; what that says became of it."""
        words = (f"{SETUP}.1", pop, ssid, password, token)
        process = await asyncio.create_subprocess_exec(
            *(*self._phone.host.through, sys.executable, "-m", "tests.lan.local", *words),
            stdout=PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        said, _ = await process.communicate()
        return said.decode().strip()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Home]:
    """One for all tests here."""
    data = tmp_path_factory.mktemp("chain") / "hub"
    async with Lan() as lan, Wifi(lan, SSID, PASSWORD) as wifi:
        phone = await wifi.host("phone")
        async with Joined(phone) as radio:
            await radio.join(SSID, PASSWORD)
            async with living(lan, data, patience=PATIENCE, phone_host=phone.host) as house:
                yield Home(house, wifi, phone, radio)


async def test_a_code_shown_to_its_camera(home: Home) -> None:
    house, wifi = home.house, home.wifi
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


async def test_ez(home: Home) -> None:
    house, wifi = home.house, home.wifi
    async with Newcomer(await wifi.host("ez"), "ez", "--air-interface", "wlan0") as lamp:
        wrong = await house.start(method="ez", ssid=SSID, wifi_password="wrong horse")
        assert (await lamp.until(event="not_joined"))["reason"] == "wrong_password"
        await house.phone.done("POST", f"{wrong}/cancel")
        session = await house.finish(await house.start(method="ez", ssid=SSID, wifi_password=PASSWORD), lamp)
        assert session["state"] == "joined", session["failure"]
        await house.obeys(session["device_ids"][0])


async def test_a_setup_network_of_its_own(home: Home) -> None:
    house = home.house
    radio = await home.wifi.host("ap", soft_ap=True)
    there = ("--pop", POP, "--setup-host", f"{SETUP}.1", "--setup-port", "80")
    async with Newcomer(radio, "ap", *there) as lamp, Joined(radio) as theirs:
        await theirs.open(SETUP_SSID)
        path = await house.start(method="ap", ssid=SSID, wifi_password=PASSWORD)
        await house.step(path, "phone_local")
        handed = await house.phone.done("GET", f"{path}/handover")
        assert await home.radio.join(SETUP_SSID) == {"joined": True}
        assert await home.tell("0000", SSID, PASSWORD, handed["token"]) == "proof_failed"
        assert await home.tell(POP, SSID, "wrong horse", handed["token"]) == "auth"
        assert await home.tell(POP, SSID, handed["password"], handed["token"]) == "connected"
        await home.radio.join(SSID, PASSWORD)
        session = await house.finish(path, lamp)
        assert session["state"] == "joined", session["failure"]
        await house.obeys(session["device_ids"][0])


@pytest.mark.full
async def test_a_code_printed_on_it(home: Home) -> None:
    house = home.house
    async with house.guest() as host, Lamp(host, "--pin", PIN, "--label") as lamp:
        label = (await lamp.until(event="label"))["text"]
        started = await house.phone.done("POST", f"{house.home}/pairing", {"code": label})
        session = await house.finish(f"{house.home}/pairing/{started['id']}")
        assert session["state"] == "joined", session["failure"]
        await house.obeys(session["device_ids"][0])


@pytest.mark.full
async def test_two_behind_a_gateway(home: Home) -> None:
    house = home.house
    async with house.guest() as host, Lamp(host, "--product", "gateway", "--children", "2") as gateway:
        behind = await house.pair(gateway)
        await gateway.until(event="linked")
        session = await house.finish(await house.start(method="gateway", gateway_id=behind, want=2, seconds=60))
        assert session["state"] == "joined", session["failure"]
        assert len(set(session["device_ids"])) == 2
