"""The command `doorstep device`, as a person starts it: a process of its own, with its lines, signals and disk."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.virtual.notices import Notice
from pairing.errors import ConnectionLostError
from pairing.messages import Command
from tests.virtual.hub import WAIT, Hub


class Started:
    """A device process; `wait` reads its lines."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.id = ""
        self.port = 0

    async def wait(self, event: str) -> Notice:
        assert self.process.stdout is not None
        async with asyncio.timeout(WAIT):
            while said := await self.process.stdout.readline():
                found = json.loads(said)
                if found.get("event") == event:
                    return Notice(event, found)
        raise AssertionError(f"it ended without {event}")

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")

    async def ended(self) -> int:
        async with asyncio.timeout(WAIT):
            return await self.process.wait()


@asynccontextmanager
async def started(*words: str) -> AsyncIterator[Started]:
    command = (sys.executable, "-m", "app", "device", "--json", "--unannounced", *words)
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    device = Started(process)
    try:
        ready = (await device.wait("ready")).details
        device.id, device.port = ready["id"], ready["port"]
        yield device
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_it_is_a_lamp_with_a_disk_and_a_button(tmp_path: Path) -> None:
    state = str(tmp_path / "lamp.json")
    async with Hub().on() as hub:
        async with started("--state", state) as device:
            await hub.pair(device)
            await hub.link_up(device)
            hub.order(device, Command("c1", "set", "light", {"on": True}))
            assert (await hub.answer()).ok
            device.say('put light {"brightness": 77}')
            await device.wait("values")
            while (await hub.report("light")).values != {"brightness": 77}:
                pass
            device.process.terminate()
            assert await device.ended() == 0
        async with started("--state", state) as again:
            assert again.id == device.id
            await hub.link_up(again)
            again.process.send_signal(signal.SIGUSR1)
            assert (await again.wait("reset")).details["by"] == "hand"
            assert await hub.heard("reset") == device.id
            again.say("dance")
            await again.wait("misunderstood")
            again.say("quit")
            assert await again.ended() == 0


async def test_it_dies_as_by_a_power_cut_and_comes_back(tmp_path: Path) -> None:
    state = str(tmp_path / "lamp.json")
    async with Hub().on() as hub:
        async with started("--state", state, "--misbehave", "dies-at=prepared", "--pin", "48151623") as device:
            with pytest.raises(ConnectionLostError):
                await hub.pair(device, pin="48151623")
            assert await device.ended() == -signal.SIGKILL
        async with started("--state", state, "--pin", "48151623") as again:
            assert again.id == device.id
            await hub.pair(again, pin="48151623")
            await hub.link_up(again)


@pytest.mark.parametrize(
    ("words", "code", "exit_code"),
    [
        (("--product", "unicorn"), "unknown_product", 2),
        (("--misbehave", "nicely"), "unknown_misbehaviour", 2),
        (("--host", "192.0.2.1"), "cannot_start", 6),
    ],
)
async def test_what_cannot_be_is_said(words: tuple[str, ...], code: str, exit_code: int) -> None:
    command = (sys.executable, "-m", "app", "device", "--json", "--unannounced", *words)
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    async with asyncio.timeout(WAIT):
        out, _ = await process.communicate()
    assert json.loads(out)["error"]["code"] == code
    assert process.returncode == exit_code


async def test_one_process_a_device(tmp_path: Path) -> None:
    state = str(tmp_path / "lamp.json")
    async with started("--state", state):
        command = (sys.executable, "-m", "app", "device", "--json", "--unannounced", "--state", state)
        second = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
        async with asyncio.timeout(WAIT):
            out, _ = await second.communicate()
        assert json.loads(out)["error"]["code"] == "state_in_use"
        assert second.returncode == 6
