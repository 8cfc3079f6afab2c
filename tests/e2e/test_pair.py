"""`doorstep pair` against `doorstep device`: two processes and a hub, with a PIN, with a code, and without luck."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

from app.commands.child import ROOT, Child, HubProcess
from tests.e2e.claimed import PIN, at, claimed, claimed_hub, ended_as, home_at, pair
from tests.e2e.claimed import shared as hub

__all__ = ["claimed_hub", "hub"]

WIFI = {"DOORSTEP_WIFI_PASSWORD": "correct horse battery"}


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
            inbox = f"/api/homes/{hub.ready['home']}/pairing/inbox"
            while ready["id"] not in {each["id"] for each in await api.get(inbox)}:
                await asyncio.sleep(0.1)
            (seen,) = [each for each in await listed(hub) if each["id"] == ready["id"]]
            assert (seen["product"], seen["name"], seen["method"], seen["paired"]) == ("lamp", "Desk", "wired", False)
            code, _ = await pair(hub, "--device", ready["id"], "--label-pin", PIN)
            assert code == 0
            assert ready["id"] not in {each["id"] for each in await api.get(inbox)}


async def listed(hub: HubProcess) -> list[dict[str, Any]]:
    """What `doorstep pair --list` shows."""
    arguments = ("-m", "app", "pair", *at(hub), "--list", "--json")
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
    async with Child("pair", *at(hub), *wifi, environ=WIFI) as pairing:
        session = (await pairing.line())["session"]
        await pairing.until(key="searching")
        code, _ = await pair(hub, "--finish", session)
        assert code == 0
        assert await pairing.ended() == 7
    assert await ended_as(hub) == ["cancelled"]


async def test_interrupted_it_cancels_the_session_and_the_hub_has_nothing_left_to_do(tmp_path: Path) -> None:
    async with claimed(tmp_path / "hub") as hub:
        await home_at(hub)
        async with Child("pair", *at(hub), "--device", "d-nobody") as pairing:
            await pairing.until(key="searching")
            pairing.send(signal.SIGINT)
            assert await pairing.ended() == 130
        assert await ended_as(hub) == ["cancelled"]
        assert await hub.stop() == 0
