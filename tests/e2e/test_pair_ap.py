"""AP mode through the command and the API: the phone tells the device in its setup network what the hub hands over."""

import asyncio
import json
import os
import secrets
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from app.client import Client
from app.commands.child import ROOT, Child, HubProcess
from app.commands.exits import Exit
from pairing.ap.protocomm import ProtocommSetup
from pairing.ap.setup import Connected, Failed
from pairing.protocomm.client import Proof
from pairing.protocomm.http import HttpCarrier
from pairing.wifi import WifiNetwork
from tests.e2e.claimed import hub
from tests.e2e.living import WAIT
from tests.e2e.seeing import Seeing
from tests.e2e.test_pair_codes import until_ended

__all__ = ["hub"]

SSID, PASSWORD, POP = "Lindenweg ☕", "correct horse battery", "4711-0815"


@asynccontextmanager
async def waiting_device() -> AsyncIterator[tuple[Seeing, dict[str, Any]]]:
    """A lamp in setup mode, and where its setup network would be."""
    command = ("-m", "app", "device", "--json", "--method", "ap", "--pop", POP, "--wifi", f"{SSID}={PASSWORD}")
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "DOORSTEP_NO_BOOTSTRAP": "1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environ
    )
    lamp = Seeing(process)
    try:
        yield lamp, await lamp.until("setup_network")
    finally:
        process.kill()
        await process.communicate()


async def until(api: Client, path: str, done: str) -> dict[str, Any]:
    """The session once it is in this state, or has come to this step."""
    async with asyncio.timeout(WAIT):
        while True:
            session: dict[str, Any] = await api.get(path)
            if session["state"] == done or done in [step["key"] for step in session["steps"]]:
                return session
            assert session["state"] not in ("failed", "expired", "cancelled"), session
            await asyncio.sleep(0.05)


async def tell(where: dict[str, Any], handed: dict[str, Any], password: str) -> object:
    """What a phone does, once it has joined the setup network: what the device says became of it."""
    async with HttpCarrier(where["host"], where["port"]) as carrier:
        setup = ProtocommSetup(carrier.ask, Proof(POP), entropy=secrets.token_bytes)
        assert await setup.send(WifiNetwork(handed["ssid"], password), handed["token"].encode())
        async with asyncio.timeout(WAIT):
            while not isinstance(status := await setup.status(), Connected | Failed):
                await asyncio.sleep(0.05)
        return status


async def test_a_phone_tells_the_device_and_the_hub_brings_it_in(hub: HubProcess) -> None:
    async with waiting_device() as (lamp, where), hub.client(hub.ready["token"]) as api:
        (home,) = [home async for home in api.pages("/api/homes")]
        wanted = {"method": "ap", "ssid": SSID, "wifi_password": PASSWORD}
        path = f"/api/homes/{home['id']}/pairing"
        path = f"{path}/{(await api.post(path, wanted))['id']}"
        session = await until(api, path, "phone_local")
        handed = await api.get(f"{path}/handover")
        assert (handed["ssid"], handed["password"]) == (SSID, PASSWORD)
        assert isinstance(await tell(where, handed, "mistyped on the phone"), Failed)
        assert isinstance(await tell(where, handed, handed["password"]), Connected)
        await until(api, path, "confirming")
        await api.post(f"{path}/confirm", {"accepted": True})
        session = await until(api, path, "joined")
        assert len(session["device_ids"]) == 1
        assert PASSWORD not in json.dumps(session)
        assert handed["token"] not in json.dumps(session)
        await lamp.until("linked")


async def by_command(hub: HubProcess, where: dict[str, Any], pop: str, password: str) -> tuple[int, dict[str, Any]]:
    """The exit code of `doorstep pair` with the phone's part in it, and the last it said."""
    at = ("--setup-address", f"{where['host']}:{where['port']}", "--pop", pop, "--yes")
    environ = {"DOORSTEP_WIFI_PASSWORD": password}
    async with Child(
        "pair", "--data", hub.ready["data"], "--method", "ap", "--ssid", SSID, *at, environ=environ
    ) as told:
        return await until_ended(told)


async def test_the_command_can_be_the_phone(hub: HubProcess) -> None:
    async with waiting_device() as (lamp, where):
        code, last = await by_command(hub, where, POP, PASSWORD)
        assert (code, last["key"]) == (Exit.OK, "joined")
        await lamp.until("linked")


async def test_the_command_says_why_the_device_was_not_told(hub: HubProcess) -> None:
    async with waiting_device() as (_, where):
        code, last = await by_command(hub, where, "another", PASSWORD)
        assert (code, last["error"]["code"]) == (Exit.DEVICE, "proof_failed")
        code, last = await by_command(hub, where, POP, "mistyped by me")
        assert (code, last["error"]["code"]) == (Exit.DEVICE, "wifi_not_joined")
