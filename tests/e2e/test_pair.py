"""`doorstep pair` against `doorstep device`: two processes and a hub, with a PIN, with a code, and without luck."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.commands.child import ROOT, Child, ChildEnded, HubProcess

PIN = "12345678"
WIFI = {"DOORSTEP_WIFI_PASSWORD": "correct horse battery"}


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[HubProcess]:
    """A claimed hub with one home; `ready` tells its owner's token as well."""
    data = tmp_path / "hub"
    async with HubProcess(data, environ={"DOORSTEP_LOG_LEVEL": "debug"}) as running:
        who = {"code": running.ready["claim_code"], "login": "anna", "password": "correct horse", "phone": "test"}
        async with running.client() as api:
            claimed = await api.post("/api/hub/claim", {**who, "name": "Anna"})
        running.ready["token"] = claimed["session"]["access_token"]
        async with running.client(running.ready["token"]) as api:
            await api.post("/api/homes", {"name": "Home", "time_zone": "Etc/UTC"})
        yield running


async def pair(
    hub: HubProcess, *options: str, environ: dict[str, str] | None = None
) -> tuple[int, list[dict[str, Any]]]:
    """The exit code of `doorstep pair`, and what it printed."""
    lines = []
    async with Child("pair", "--data", hub.ready["data"], *options, environ=environ) as pairing:
        try:
            while True:
                lines.append(await pairing.line())
        except ChildEnded:
            return await pairing.ended(), lines


async def ended_as(hub: HubProcess) -> list[str]:
    """The states of the home's pairing sessions."""
    async with hub.client(hub.ready["token"]) as api:
        (home,) = [home async for home in api.pages("/api/homes")]
        return [session["state"] async for session in api.pages(f"/api/homes/{home['id']}/pairing")]


async def test_with_the_pin_on_the_label(hub: HubProcess) -> None:
    async with Child("device", "--product", "lamp", "--pin", PIN) as lamp:
        ready = await lamp.until(event="ready")
        code, lines = await pair(hub, "--device", ready["id"], "--label-pin", PIN, "--name", "Desk")
        assert (code, lines[-1]["key"]) == (0, "joined")
        await lamp.until(event="linked")


async def test_what_is_there_to_be_paired_is_listed_until_it_is(hub: HubProcess) -> None:
    async with asyncio.timeout(60), Child("device", "--product", "lamp", "--pin", PIN, "--name", "Desk") as lamp:
        ready = await lamp.until(event="ready")
        async with hub.client(hub.ready["token"]) as api:
            (home,) = [home async for home in api.pages("/api/homes")]
            inbox = f"/api/homes/{home['id']}/pairing/inbox"
            while ready["id"] not in {each["id"] for each in await api.get(inbox)}:
                await asyncio.sleep(0.1)
            (seen,) = [each for each in await listed(hub) if each["id"] == ready["id"]]
            assert (seen["product"], seen["name"], seen["method"], seen["paired"]) == ("lamp", "Desk", "wired", False)
            code, _ = await pair(hub, "--device", ready["id"], "--label-pin", PIN)
            assert code == 0
            assert ready["id"] not in {each["id"] for each in await api.get(inbox)}


async def listed(hub: HubProcess) -> list[dict[str, Any]]:
    """What `doorstep pair --list` shows."""
    arguments = ("-m", "app", "pair", "--data", hub.ready["data"], "--list", "--json")
    environ = {**os.environ, "DOORSTEP_NO_BOOTSTRAP": "1"}
    listing = await asyncio.create_subprocess_exec(sys.executable, *arguments, env=environ, cwd=ROOT, stdout=PIPE)
    shown, _ = await listing.communicate()
    assert listing.returncode == 0
    found: list[dict[str, Any]] = json.loads(shown)
    return found


async def test_with_a_compared_code(hub: HubProcess) -> None:
    async with Child("device", "--product", "plug") as plug:
        ready = await plug.until(event="ready")
        code, lines = await pair(hub, "--address", f"{ready['host']}:{ready['port']}", "--yes")
        assert (code, lines[-1]["key"]) == (0, "joined")
        shown = await plug.until(event="code")
        assert shown["code"] in [line["detail"].get("code") for line in lines]


async def test_a_wrong_pin_is_told_as_such(hub: HubProcess) -> None:
    async with Child("device", "--product", "lamp", "--pin", PIN) as lamp:
        ready = await lamp.until(event="ready")
        code, lines = await pair(hub, "--device", ready["id"], "--label-pin", "00000000")
        assert (code, lines[-1]["error"]["code"]) == (7, "wrong_pin")


async def test_nobody_can_be_asked_with_json(hub: HubProcess) -> None:
    async with Child("device", "--product", "lamp", "--pin", PIN) as lamp:
        ready = await lamp.until(event="ready")
        code, lines = await pair(hub, "--device", ready["id"])
        assert code == 2
        assert "--label-pin" in lines[-1]["error"]["hint"]
        assert await ended_as(hub) == ["cancelled"]


async def test_that_is_all_where_fewer_come_than_were_wanted(hub: HubProcess) -> None:
    wifi = ("--method", "qr_shown", "--ssid", "Lindenweg", "--want", "2")
    async with Child("pair", "--data", hub.ready["data"], *wifi, environ=WIFI) as pairing:
        session = (await pairing.line())["session"]
        await pairing.until(key="searching")
        code, _ = await pair(hub, "--finish", session)
        assert code == 0
        assert await pairing.ended() == 7
    assert await ended_as(hub) == ["cancelled"]


async def test_interrupted_it_cancels_the_session(hub: HubProcess) -> None:
    async with Child("pair", "--data", hub.ready["data"], "--device", "d-nobody") as pairing:
        await pairing.until(key="searching")
        pairing.send(signal.SIGINT)
        assert await pairing.ended() == 130
    assert await ended_as(hub) == ["cancelled"]
    assert await hub.stop() == 0
