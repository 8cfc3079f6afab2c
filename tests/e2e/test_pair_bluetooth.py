"""Pairing over Bluetooth, as processes: an air, a hub, a virtual device, and `doorstep pair` as a person has it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.commands.child import Child, HubProcess
from tests.e2e.claimed import PIN, pair
from tests.e2e.living import WAIT
from tests.e2e.verbs import in_a_process

SSID, PASSWORD = "Home ☕", "the password"


class Around:
    """A claimed hub with a home, on an air."""

    def __init__(self, hub: HubProcess, setting: str) -> None:
        self.hub = hub
        self.setting = setting
        self.home = ""

    def device(self, *words: str, method: str = "ble") -> Child:
        """A device on the same air."""
        return Child("device", "--method", method, "--bluetooth", self.setting, *words, listens=True)

    async def inbox(self, method: str) -> dict[str, Any]:
        """The one device of the inbox that is to be paired so, once it is there."""
        async with asyncio.timeout(WAIT), self.hub.client(self.hub.ready["token"]) as api:
            while True:
                found = await api.get(f"/api/homes/{self.home}/pairing/inbox")
                if mine := [each for each in found if each["method"] == method]:
                    return dict(mine[0])
                await asyncio.sleep(0.05)

    async def switched_on(self) -> dict[str, Any]:
        """The home's only device has been told to switch its light on: the command, and what the device then is."""
        async with self.hub.client(self.hub.ready["token"]) as api:
            (device,) = [each async for each in api.pages(f"/api/homes/{self.home}/devices")]
            path = f"/api/devices/{device['id']}"
            order = {"service": "light", "values": {"on": True}, "expires_in": 60}
            done = await api.post(f"{path}/commands", order, wait=20)
            assert done["state"] == "answered", done
            return dict(await api.get(path))


@pytest.fixture
async def around(tmp_path: Path) -> AsyncIterator[Around]:
    async with Child("air", "--port", "0") as air:
        setting = (await air.until(event="ready"))["setting"]
        async with HubProcess(tmp_path / "hub", "--bluetooth", setting) as hub:
            assert hub.ready["bluetooth"]["usable"]
            made = Around(hub, setting)
            who = {"code": hub.ready["claim_code"], "login": "anna", "password": "correct horse", "phone": "test"}
            async with hub.client() as api:
                claimed = await api.post("/api/hub/claim", {**who, "name": "Anna"})
            hub.ready["token"] = claimed["session"]["access_token"]
            async with hub.client(hub.ready["token"]) as api:
                made.home = (await api.post("/api/homes", {"name": "Home", "time_zone": "Etc/UTC"}))["id"]
            yield made


async def test_a_lamp_with_a_pin_and_no_network_is_found_paired_and_switched(around: Around) -> None:
    async with around.device("--pin", PIN, "--name", "Desk", "--label") as lamp:
        ready = await lamp.until(event="ready")
        label = (await lamp.until(event="label"))["text"]
        seen = await around.inbox("ble")
        assert ready["id"].startswith(seen["id"])
        assert (seen["auth"], seen["address"], seen["name"]) == ("pin", ready["address"], "Desk")
        code, lines = await pair(around.hub, "--method", "ble", "--device", seen["id"], "--label-pin", "00000000")
        assert (code, lines[-1]["error"]["code"]) == (7, "wrong_pin")
        code, lines = await pair(around.hub, "--code", label)
        assert (code, lines[-1]["key"]) == (0, "joined"), lines
        assert (await lamp.until(event="linked"))["over"] == "bluetooth"
        device = await around.switched_on()
        assert (device["link"], device["online"]) == ("ble", True)
        assert device["services"]["light"]["reported"]["on"]["value"] is True


async def test_a_lamp_without_a_pin_shows_a_code_and_is_switched(around: Around) -> None:
    async with around.device("--product", "lamp") as lamp:
        await lamp.until(event="ready")
        seen = await around.inbox("ble")
        assert seen["auth"] == "open"
        code, lines = await pair(around.hub, "--method", "ble", "--yes")
        assert (code, lines[-1]["key"]) == (0, "joined"), lines
        assert (await lamp.until(event="code"))["code"] in [line["detail"].get("code") for line in lines]
        await lamp.until(event="linked")
        await around.switched_on()


async def test_by_improv_a_wrong_wifi_password_is_told_as_such_and_the_right_one_brings_the_device_in(
    around: Around,
) -> None:
    async with around.device("--wifi", f"{SSID}={PASSWORD}", method="improv") as lamp:
        await lamp.until(event="setup")
        seen = await around.inbox("ble_wifi")
        assert seen["auth"] == "open"
        words = ("--method", "ble_wifi", "--ssid", SSID, "--ble-name", seen["address"], "--yes")
        code, lines = await telling(around.hub, "another password", *words)
        assert (code, lines[-1]["error"]["code"]) == (7, "wifi_password_wrong"), lines
        assert (await lamp.until(event="not_joined"))["reason"] == "wrong_password"
        code, lines = await telling(around.hub, PASSWORD, *words)
        assert (code, lines[-1]["key"]) == (0, "joined"), lines
        await lamp.until(event="linked")
        assert (await around.switched_on())["link"] == "lan"


async def test_an_improv_lamp_with_a_button_waits_for_it(around: Around) -> None:
    async with around.device("--wifi", f"{SSID}={PASSWORD}", "--button", method="improv") as lamp:
        await lamp.until(event="setup")
        assert (await around.inbox("ble_wifi"))["auth"] == "button"
        words = ("pair", "--data", around.hub.ready["data"], "--method", "ble_wifi", "--ssid", SSID, "--yes")
        async with Child(*words, environ={"DOORSTEP_WIFI_PASSWORD": PASSWORD}) as pairing:
            await step(pairing, "press_button")
            await lamp.say("press")
            await step(pairing, "joined")


async def step(pairing: Child, key: str) -> None:
    """Until `doorstep pair` shows that step."""
    said = list[dict[str, Any]]()
    while not said or said[-1].get("key") != key:
        said.append(await pairing.line())
        assert "error" not in said[-1], said


async def test_without_an_air_a_device_says_what_to_start() -> None:
    for method in ("ble", "improv"):
        code, said = await in_a_process("device", "--method", method, "--bluetooth", "virtual:1")
        assert (code, said["error"]["code"]) == (6, "radio_off"), said
        assert "doorstep air" in said["error"]["hint"]
    code, said = await in_a_process("device", "--method", "ble")
    assert (code, said["error"]["code"]) == (2, "usage")


async def telling(hub: HubProcess, password: str, *words: str) -> tuple[int, list[dict[str, Any]]]:
    return await pair(hub, *words, environ={"DOORSTEP_WIFI_PASSWORD": password})
