"""A device as a process that calls home, reset through this face: the whole way of the page."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest_asyncio

from app.dialects.bota.model import shown_id
from app.serving import Serving
from app.settings import Settings
from tests.e2e.living import WAIT, Living, living


class Hub:
    """A hub with a port for HTTP, and a program with a key of its owner's."""

    def __init__(self, living: Living, url: str, program: httpx2.AsyncClient) -> None:
        self.api = living.owner
        self.home_id = living.home_id
        self.url = url
        self.program = program

    async def until(self, path: str, true: Any) -> Any:
        """What is at `path` once this is true of it."""
        async with asyncio.timeout(WAIT):
            while not true(found := (await self.api.get(path)).json()):
                await asyncio.sleep(0.02)
        return found


@pytest_asyncio.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    async with living(tmp_path / "hub") as made:
        await made.claim()
        door = Serving(Settings(data=tmp_path / "hub", port=0, tls=False))
        endpoint = await door.open(made.node.asgi)
        key = {"name": "Program", "dialect": "bota", "scopes": ["manage", "read"]}
        secret = (await made.owner.post("/api/me/keys", json=key)).json()["secret"]
        try:
            async with made.client(secret) as program:
                yield Hub(made, endpoint.url, program)
        finally:
            await door.close()


class Process:
    """What it says, line by line."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self.child = child

    async def until(self, event: str) -> Any:
        """The next line of that event."""
        assert self.child.stdout is not None
        async with asyncio.timeout(WAIT):
            while line := await self.child.stdout.readline():
                if (said := json.loads(line))["event"] == event:
                    return said
        raise AssertionError(f"it ended before {event}")


@asynccontextmanager
async def virtual(hub: Hub, product: str, device_id: str, token: str, every: str) -> AsyncIterator[Process]:
    """`doorstep device` while the context lasts."""
    link = ("--link", "heartbeat", "--at", hub.url, "--every", every)
    who = ("--product", product, "--device-id", device_id, "--secret", token)
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", "device", "--json", *link, *who),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "DOORSTEP_NO_BOOTSTRAP": "1"},
    )
    try:
        yield Process(child)
    finally:
        if child.returncode is None:
            child.terminate()
        assert await child.wait() == 0


async def register(hub: Hub, node_id: str) -> tuple[str, str, str]:
    """(its id, what it calls itself, its token)."""
    body = {"product_id": "lamp", "node_id": node_id, "link": "heartbeat"}
    made = (await hub.api.post(f"/api/homes/{hub.home_id}/devices", json=body)).json()
    return made["device"]["id"], made["device_id"], made["secret"]


async def test_it_reports_obeys_is_reset_and_is_nobodys(hub: Hub) -> None:
    device_id, wire_id, token = await register(hub, "1")
    path, shown = f"/api/devices/{device_id}", f"/v1/devices/{shown_id(device_id)}"
    async with virtual(hub, "lamp", wire_id, token, "0.2") as device:
        await device.until("heartbeat")
        await hub.until(path, lambda found: found["online"] and "light" in found["services"])
        command = {"service": "light", "values": {"on": True}, "expires_in": WAIT}
        asked = (await hub.api.post(f"{path}/commands", json=command)).json()
        await device.until("command")
        ended = await hub.until(f"{path}/commands/{asked['id']}", lambda found: found.get("ended_at") is not None)
        assert (ended["state"], ended["outcome"]["values"]) == ("answered", {"on": True})
        alive = (await hub.program.get(shown)).json()
        assert (alive["status"], alive["signal_strength_dbm"], alive["firmware_version"]) == ("bound", -60, "1.0.0")
        reset = await hub.program.post(f"{shown}/reset")
        assert (reset.status_code, reset.json()["status"], reset.json()["bound_at"]) == (200, "unbound", None)
        assert (await device.until("reset"))["by"] == "hub"
        await device.until("unpaired")
        assert await device.child.wait() == 0
    found = await hub.until(f"{path}/reset", lambda found: found["state"] == "confirmed")
    assert found["delivered_at"] is not None
    headers = {"Authorization": f"Bearer {token}"}
    assert (await hub.program.post("/v1/heartbeat", headers=headers)).status_code == 401
    kept = (await hub.api.get(path)).json()
    assert kept["services"]["light"]["reported"]["on"]["value"] is True
    again = await register(hub, "1")
    assert again[0] == device_id
    async with virtual(hub, "lamp", wire_id, again[2], "0.2") as device:
        await device.until("heartbeat")
        await hub.until(path, lambda found: found["online"])


async def test_one_that_was_away_is_told_when_it_calls(hub: Hub) -> None:
    device_id, wire_id, token = await register(hub, "2")
    assert (await hub.program.post(f"/v1/devices/{shown_id(device_id)}/reset")).status_code == 200
    async with virtual(hub, "lamp", wire_id, token, "60") as device:
        await device.until("reset")
        await device.until("unpaired")
        assert await device.child.wait() == 0
    await hub.until(f"/api/devices/{device_id}/reset", lambda found: found["state"] == "confirmed")


async def test_one_with_another_token_is_refused_and_goes_on(hub: Hub) -> None:
    _, wire_id, _ = await register(hub, "3")
    async with virtual(hub, "lamp", wire_id, "dvt_another", "0.1") as device:
        for _ in range(2):
            assert (await device.until("refused"))["status"] == 401
