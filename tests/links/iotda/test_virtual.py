"""The virtual device as a process, speaking to a whole hub over its real ports."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from app.serving import Serving
from app.settings import Settings
from tests.e2e.living import Living, living

WAIT = 60.0
SECRET = "a-secret-of-24-letters.."
PACKAGE = b"the firmware of a lamp, version 2" * 1000


class Hub:
    """A hub with a port for HTTP and one for MQTT."""

    def __init__(self, living: Living, url: str) -> None:
        self.api = living.owner
        self.living = living
        self.url = url
        assert living.node.mqtt is not None
        self.mqtt = f"mqtt://127.0.0.1:{living.node.mqtt.ports['tcp']}"

    async def register(self, product: str, node_id: str) -> tuple[str, str]:
        body = {"product_id": product, "node_id": node_id, "secret": SECRET}
        made = await self.api.post(f"/api/homes/{self.living.home_id}/devices", json=body)
        assert made.status_code == 201, made.text
        return made.json()["device"]["id"], made.json()["device_id"]

    async def device(self, device_id: str) -> Any:
        return (await self.api.get(f"/api/devices/{device_id}")).json()

    async def command(self, device_id: str, **body: Any) -> Any:
        """The command once it has ended."""
        path = f"/api/devices/{device_id}/commands"
        made = (await self.api.post(path, json={"expires_in": WAIT, **body})).json()
        async with asyncio.timeout(WAIT):
            while (found := (await self.api.get(f"{path}/{made['id']}")).json()).get("ended_at") is None:
                await asyncio.sleep(0.02)
        return found


@pytest_asyncio.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    async with living(tmp_path / "hub") as made:
        await made.claim()
        door = Serving(Settings(data=tmp_path / "hub", port=0, tls=False))
        endpoint = await door.open(made.node.asgi)
        made.node.services.iotda.address.known(endpoint.url)
        try:
            yield Hub(made, endpoint.url)
        finally:
            await door.close()


class Process:
    """What it says, line by line."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self._child = child

    async def until(self, event: str) -> Any:
        """The next line of that event."""
        assert self._child.stdout is not None
        async with asyncio.timeout(WAIT):
            while line := await self._child.stdout.readline():
                said = json.loads(line)
                if said["event"] == event:
                    return said
        raise AssertionError(f"it ended before {event}")

    async def ended(self) -> int:
        """How it ended by itself."""
        async with asyncio.timeout(WAIT):
            return await self._child.wait()


@asynccontextmanager
async def virtual(link: str, at: str, product: str, device_id: str, *more: str) -> AsyncIterator[Process]:
    """`doorstep device` while the context lasts."""
    words = ("-m", "app", "device", "--json", "--link", link, "--at", at, "--product", product)
    who = ("--device-id", device_id, "--secret", SECRET)
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *words,
        *who,
        *more,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "DOORSTEP_NO_BOOTSTRAP": "1"},
    )
    try:
        yield Process(child)
    finally:
        if child.returncode is None:
            child.terminate()
        try:
            async with asyncio.timeout(WAIT):
                assert await child.wait() == 0
        finally:
            if child.returncode is None:
                child.kill()


async def doorstep(*words: str) -> Any:
    """What a verb of the command answers."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app",
        *words,
        "--json",
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "DOORSTEP_NO_BOOTSTRAP": "1"},
    )
    said, _ = await child.communicate()
    assert child.returncode == 0, said
    return json.loads(said)


async def upgraded(hub: Hub, device_id: str) -> Any:
    """Offer the device a package; the upgrade once it has ended."""
    params = {"product_id": "lamp", "version": "v2"}
    made = await hub.api.post("/api/packages", params=params, content=PACKAGE)
    path = f"/api/devices/{device_id}/upgrades"
    assert (await hub.api.post(path, json={"package_id": made.json()["id"]})).status_code == 201
    async with asyncio.timeout(WAIT):
        while (found := (await hub.api.get(path)).json()["items"][0])["state"] not in ("succeeded", "failed"):
            await asyncio.sleep(0.02)
    return found


async def test_a_lamp_by_mqtt_obeys_reports_and_is_upgraded(hub: Hub) -> None:
    device_id, wire_id = await hub.register("lamp", "1")
    async with virtual("mqtt", hub.mqtt, "lamp", wire_id) as lamp:
        await lamp.until("linked")
        done = await hub.command(device_id, service="light", values={"on": True, "brightness": 300})
        assert done["state"] == "answered"
        read = await hub.command(device_id, service="light", kind="get")
        assert read["outcome"]["values"]["brightness"] == 300
        called = await hub.command(device_id, service="light", kind="call", name="blink", params={"times": 3})
        assert called["state"] == "answered"
        assert (await lamp.until("blink"))["times"] == 3
        assert (await upgraded(hub, device_id))["result"] == "success"
        await lamp.until("upgraded")
        view = await hub.device(device_id)
        assert view["online"] is True
        assert view["services"]["light"]["reported"]["on"]["value"] is True


async def test_a_gateway_by_mqtt_brings_its_lamps(hub: Hub) -> None:
    device_id, wire_id = await hub.register("gateway", "1")
    async with virtual("mqtt", hub.mqtt, "gateway", wire_id, "--children", "2") as gateway:
        await gateway.until("linked")
        async with asyncio.timeout(WAIT):
            while True:
                listed = (await hub.api.get(f"/api/homes/{hub.living.home_id}/devices")).json()["items"]
                behind = [each for each in listed if each["gateway_id"] == device_id and each["online"]]
                if len(behind) == 2:
                    break
                await asyncio.sleep(0.02)
        done = await hub.command(behind[0]["id"], service="light", values={"on": True})
        assert done["state"] == "answered"


async def test_a_lamp_by_https_reports(hub: Hub) -> None:
    device_id, wire_id = await hub.register("lamp", "1")
    async with virtual("https", hub.url, "lamp", wire_id) as lamp:
        assert (await lamp.until("reported"))["status"] == 200
        assert (await hub.device(device_id))["services"]["light"]["reported"]["brightness"]["value"] == 1000


async def test_the_command_registers_a_device_and_offers_it_a_package(hub: Hub, tmp_path: Path) -> None:
    token = hub.api.headers["authorization"].removeprefix("Bearer ")
    at = ("--hub", hub.url, "--token", token)
    made = await doorstep("credential", "register", "7", "--name", "Hall lamp", "--secret", SECRET, *at)
    assert (made["device_id"], made["secret"]) == ("lamp_7", SECRET)
    file = tmp_path / "lamp.bin"
    await asyncio.to_thread(file.write_bytes, PACKAGE)
    package = await doorstep("package", "add", str(file), "--product", "lamp", "--version", "v2", *at)
    assert package["size"] == len(PACKAGE)
    offered = await doorstep("package", "offer", package["id"], "Hall lamp", *at)
    assert offered["state"] == "offered"
    renewed = await doorstep("credential", "renew", "Hall lamp", *at)
    assert len(renewed["secret"]) == 32


async def test_a_bad_one_is_not_let_in(hub: Hub) -> None:
    _, wire_id = await hub.register("lamp", "1")
    for link, at in (("mqtt", hub.mqtt), ("https", hub.url)):
        async with virtual(link, at, "lamp", wire_id, "--misbehave", "wrong-credential") as lamp:
            await lamp.until("unlinked")


async def test_one_that_refuses_says_why(hub: Hub) -> None:
    device_id, wire_id = await hub.register("lamp", "1")
    async with virtual(
        "mqtt", hub.mqtt, "lamp", wire_id, "--misbehave", "refuses=busy", "--misbehave", "twice"
    ) as lamp:
        await lamp.until("linked")
        done = await hub.command(device_id, service="light", values={"on": True})
        assert (done["state"], done["outcome"]["error"]) == ("failed", "busy")


@pytest.mark.parametrize("link", ["mqtt", "https"])
async def test_reset_while_it_is_there_it_forgets_and_ends(hub: Hub, link: str) -> None:
    device_id, wire_id = await hub.register("lamp", "8")
    at = hub.mqtt if link == "mqtt" else hub.url
    async with virtual(link, at, "lamp", wire_id, "--every", "0.2") as device:
        await device.until("linked")
        async with asyncio.timeout(WAIT):
            while not (await hub.device(device_id))["services"]:
                await asyncio.sleep(0.02)
        assert (await hub.api.post(f"/api/devices/{device_id}/reset", json={})).status_code == 200
        assert (await device.until("reset"))["by"] == "hub"
        await device.until("unpaired")
        assert await device.ended() == 0
    async with asyncio.timeout(WAIT):
        while (await hub.api.get(f"/api/devices/{device_id}/reset")).json()["state"] != "confirmed":
            await asyncio.sleep(0.02)
    async with virtual(link, at, "lamp", wire_id) as again:
        await again.until("unlinked")
