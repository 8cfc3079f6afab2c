"""`doorstep device --method ap`: a process of its own, told its Wi-Fi in its setup network, then on the LAN."""

import asyncio
import json
import secrets
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pairing.ap.protocomm import ProtocommSetup
from pairing.ap.setup import Connected, Failed, Reason, Setup, Status
from pairing.ap.tuya_setup import TuyaSetup
from pairing.errors import ProofFailedError
from pairing.protocomm.client import Proof
from pairing.protocomm.http import HttpCarrier
from pairing.wifi import WifiNetwork
from tests.virtual.hub import WAIT

HOST = "127.0.0.1"
HOME = WifiNetwork("Home", "the password")
TOKEN = b"DSabcdefghijkm"
WAYS = {"1": ("--security", "1", "--pop", "abcd1234"), "2": ("--pop", "abcd1234"), "tuya": ("--tuya",)}


@asynccontextmanager
async def device(*words: str) -> AsyncIterator[Process]:
    command = ("-m", "app", "device", "--json", "--method", "ap", "--wifi", f"{HOME.ssid}={HOME.password}", *words)
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdin=PIPE, stdout=PIPE)
    try:
        yield process
    finally:
        process.kill()
        await process.communicate()


async def said(process: Process, event: str) -> dict[str, Any]:
    assert process.stdout is not None
    async with asyncio.timeout(WAIT):
        while line := await process.stdout.readline():
            found: dict[str, Any] = json.loads(line)
            if found.get("event") == event:
                return found
    raise AssertionError(f"it ended without {event}")


@asynccontextmanager
async def setup_of(where: dict[str, Any], pop: str = "abcd1234") -> AsyncIterator[Setup]:
    if where["speaks"] == "tuya":
        yield TuyaSetup((where["host"],), port=where["port"])
        return
    async with HttpCarrier(where["host"], where["port"]) as carrier:
        yield ProtocommSetup(carrier.ask, Proof(pop), entropy=secrets.token_bytes)


async def outcome(setup: Setup) -> Status:
    async with asyncio.timeout(WAIT):
        while not isinstance(status := await setup.status(), Connected | Failed):
            await asyncio.sleep(0.05)
    return status


@pytest.mark.parametrize("way", WAYS)
async def test_it_is_told_its_network_and_comes_onto_the_lan(way: str) -> None:
    async with device(*WAYS[way]) as process:
        where = await said(process, "setup_network")
        async with setup_of(where) as setup:
            assert await setup.send(HOME, TOKEN) is True
            if setup.reports:
                assert await outcome(setup) == Connected(HOST)
        assert (await said(process, "joined"))["ssid"] == "Home"
        assert (await said(process, "ready"))["paired"] is False


async def test_it_says_what_is_wrong_and_takes_another_try() -> None:
    async with device(*WAYS["2"]) as process:
        where = await said(process, "setup_network")
        async with setup_of(where, "wrong") as stranger:
            with pytest.raises(ProofFailedError):
                await stranger.send(HOME, TOKEN)
        async with setup_of(where) as setup:
            assert [seen.ssid for seen in await setup.scan()] == ["Home"]
            await setup.send(WifiNetwork("Home", "another password"), TOKEN)
            assert await outcome(setup) == Failed(Reason.AUTH)
            await setup.send(WifiNetwork("Away", "the password"), TOKEN)
            assert await outcome(setup) == Failed(Reason.NOT_FOUND)
            await setup.send(HOME, TOKEN)
            assert await outcome(setup) == Connected(HOST)
        await said(process, "ready")
