"""EZ on the wire: sent by one program, relayed by the air that loses some of it, overheard and decoded by another.

Our own sender, and @tuyapi/link, which was written by others.
"""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from statistics import median

import msgspec
import pytest
from msgspec import Struct

from tests.lan import tuyapi
from tests.lan.air import Weather
from tests.lan.lan import ROOT, Host, Lan
from tests.lan.wifi import Wifi

SSID, PASSWORD, TOKEN, KEY = "HomeNet", "hunter2 pass", "EUA1b2C3d4Zx9Q", "0123456789abcdef"
ENCODINGS = ("tuya", "esptouch1", "esptouch2", "esptouch2 encrypted", "airkiss")
WITHOUT_TOKEN = ("esptouch1", "airkiss")
HARD_STOP = 120.0
RUNS = 3
ENVIRON = {**os.environ, "PYTHONPATH": str(ROOT)}


class Overheard(Struct, frozen=True):
    """What a lamp made of it, and of how much."""

    encoding: str
    ssid: str
    password: str
    token: str
    frames: int
    groups: int
    seconds: float


@asynccontextmanager
async def speaking(host: Host, command: Sequence[str]) -> AsyncIterator[None]:
    """The sender sends while the context lasts."""
    process = await asyncio.create_subprocess_exec(*host.through, *command, env=ENVIRON, stdout=DEVNULL)
    try:
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def overheard(lan: Lan, command: Callable[[Host], Sequence[str]], weather: Weather, seed: int) -> Overheard:
    """A hub sends, a lamp that is on no network listens."""
    async with Wifi(lan, SSID, PASSWORD, weather=weather, seed=seed) as wifi:
        hub, lamp = await lan.host("hub"), await wifi.host("lamp")
        ears = await asyncio.create_subprocess_exec(
            *(*lamp.host.through, sys.executable, "-m", "tests.lan.overhear", "wlan0", KEY), stdout=PIPE, env=ENVIRON
        )
        assert ears.stdout is not None
        try:
            assert await ears.stdout.readline() == b"listening\n"
            async with speaking(hub, command(hub)), asyncio.timeout(HARD_STOP):
                return msgspec.json.decode(await ears.stdout.readline(), type=Overheard)
        finally:
            if ears.returncode is None:
                ears.kill()
            await ears.wait()


def ours(kind: str) -> Callable[[Host], Sequence[str]]:
    """Our sender of an encoding."""
    encoding, _, encrypted = kind.partition(" ")
    key = [KEY] if encrypted else []
    words = (SSID, PASSWORD, TOKEN, *key)
    return lambda hub: [sys.executable, "-m", "tests.lan.speak", encoding, hub.address, *words]


def theirs() -> Callable[[Host], Sequence[str]]:
    """@tuyapi/link."""
    command = tuyapi.command(tuyapi.require(), SSID, PASSWORD, TOKEN)
    return lambda _: command


def right(found: Overheard, kind: str) -> bool:
    """Whether it is what was sent, to the last octet."""
    token = "" if kind in WITHOUT_TOKEN else TOKEN
    said = (found.encoding, found.ssid, found.password, found.token)
    return said == (kind.partition(" ")[0], SSID, PASSWORD, token)


@pytest.mark.parametrize("kind", ["tuya", pytest.param("esptouch2", marks=pytest.mark.full)])
async def test_ours_is_overheard(lan: Lan, kind: str) -> None:
    assert right(await overheard(lan, ours(kind), Weather(loss=5, late=5, twice=1), seed=1), kind)


async def test_somebody_elses_is_overheard() -> None:
    command = await asyncio.to_thread(theirs)
    async with Lan() as lan:
        assert right(await overheard(lan, command, Weather(), seed=1), "tuya")


async def test_a_switch_that_snoops_leaves_the_broadcasts(lan: Lan) -> None:
    await lan.snooping(True)
    found = await overheard(lan, ours("tuya"), Weather(), seed=1)
    assert right(found, "tuya")
    assert found.groups == 0


@pytest.mark.full
@pytest.mark.parametrize("loss", [0, 5, 20])
@pytest.mark.parametrize("kind", [*ENCODINGS, "@tuyapi/link"])
async def test_every_encoding_at_every_loss(kind: str, loss: int, figure: Callable[[str], None]) -> None:
    command = await asyncio.to_thread(theirs) if kind == "@tuyapi/link" else ours(kind)
    weather = Weather(loss=loss, late=5, twice=1) if loss else Weather()
    found = []
    for run in range(RUNS):
        async with Lan() as lan:
            found.append(await overheard(lan, command, weather, seed=run))
    assert all(right(each, "tuya" if kind == "@tuyapi/link" else kind) for each in found)
    seconds, frames = median(each.seconds for each in found), median(each.frames for each in found)
    figure(f"EZ on the wire, {kind}, {loss} % lost: {RUNS}/{RUNS} decoded, median {seconds:.2f} s, {frames:.0f} frames")
