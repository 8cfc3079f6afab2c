"""`doorstep serve` is killed -9 while it pairs a lamp that is a process of its own: one session, one whole lamp."""

import asyncio
import random
import secrets
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.commands.child import Child, HubProcess
from pairing.device import FileDeviceStore, new_state
from tests.crash.killing import ENDS, obeys
from tests.e2e.living import WAIT
from tests.e2e.verbs import command
from tests.e2e.witness import Witness
from tests.security.canaries import Canaries

PASSWORD = {"DOORSTEP_PASSWORD": "correct horse battery"}
# Seconds before whatever the lamp says: each state lasts long enough to be killed in.
SLOW = 0.3
KILLS, LONGEST = 40, 6.0


class Home:
    """Anna's home on the hub that serves `data`, over its lives."""

    def __init__(self, data: Path, lamp_id: str) -> None:
        self._data = data
        self._lamp_id = lamp_id
        self._token = ""
        self._path = ""
        self.api: httpx2.AsyncClient
        self.hub: HubProcess

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """A life of the hub, which ends by SIGKILL."""
        async with HubProcess(self._data, "--no-tls") as self.hub:
            if not self._token:
                _, claimed = await command("account", "claim", "anna", "--data", self._data, environ=PASSWORD)
                _, home = await command("home", "create", "Cottage", "--data", self._data)
                self._token, self._path = claimed["session"]["access_token"], f"/api/homes/{home['id']}"
            async with Witness(Canaries()).client(self.hub.ready["url"], self._token) as self.api:
                yield
            await self.kill()

    async def kill(self) -> None:
        """kill -9; safe to call twice."""
        self.hub.send(signal.SIGKILL)
        await self.hub.ended()

    async def start(self, key: str) -> str:
        """The path of the session the phone started with this key, now or in a life before."""
        pairing = f"{self._path}/pairing"
        wanted = {"method": "wired", "device_id": self._lamp_id}
        started = await self.api.post(pairing, json=wanted, headers={"Idempotency-Key": key})
        assert started.status_code == 201, started.text
        return f"{pairing}/{started.json()['id']}"

    async def until(self, path: str, *states: str) -> dict[str, Any]:
        """The session once it is in one of these states."""
        async with asyncio.timeout(WAIT):
            while True:
                session: dict[str, Any] = (await self.api.get(path)).json()
                if session["state"] in states:
                    return session
                await asyncio.sleep(0.01)

    async def confirm(self, path: str, session: dict[str, Any], lamp: Child) -> None:
        """Say yes to the code, which the lamp shows as well."""
        (code,) = [one["code"] for one in session["attempts"] if one["state"] == "confirming"]
        await lamp.until(event="code", code=code)
        await self.api.post(f"{path}/confirm", json={"accepted": True})

    async def finish(self, path: str, lamp: Child) -> dict[str, Any]:
        """The session's end; each code it asks about is compared and confirmed."""
        code = ""
        while (session := await self.until(path, "confirming", *ENDS))["state"] == "confirming":
            (asked,) = [one["code"] for one in session["attempts"] if one["state"] == "confirming"]
            if asked == code:  # said yes to, and the hub has not come to it yet
                await asyncio.sleep(0.01)
                continue
            code = asked
            await self.confirm(path, session, lamp)
        return session

    async def devices(self) -> list[str]:
        """The ids of the home's devices."""
        return [device["id"] for device in (await self.api.get(f"{self._path}/devices")).json()["items"]]

    async def joined_and_obeying(self, path: str, lamp: Child) -> str:
        """The session ends with the one device there is, and that does what it is told."""
        session = await self.finish(path, lamp)
        assert session["state"] == "joined", session["failure"]
        (device_id,) = await self.devices()
        assert session["device_ids"] == [device_id]
        await obeys(self.api, device_id)
        return device_id


async def new_lamp(state: Path) -> str:
    """A lamp that has not been switched on yet; its id."""
    lamp = new_state(secrets.token_bytes)
    await asyncio.to_thread(FileDeviceStore(state).save, lamp)
    return lamp.identity.device_id


def lamp_at(state: Path) -> Child:
    return Child("device", "--product", "lamp", "--state", state, "--misbehave", f"slow={SLOW}")


async def test_killed_searching_confirming_and_joining(tmp_path: Path) -> None:
    home = Home(tmp_path / "hub", await new_lamp(tmp_path / "lamp.json"))
    async with home.served():
        path = await home.start("once")
        await home.until(path, "searching")
    async with lamp_at(tmp_path / "lamp.json") as lamp:
        async with home.served():
            await home.until(path, "confirming")
        async with home.served():
            await home.confirm(path, await home.until(path, "confirming"), lamp)
            await home.until(path, "joining")
        async with home.served():
            assert await home.start("once") == path
            await home.joined_and_obeying(path, lamp)


async def pair(home: Home, key: str, lamp: Child) -> str:
    """The device that is in the home at the end."""
    return await home.joined_and_obeying(await home.start(key), lamp)


@pytest.mark.full
async def test_killed_at_many_random_moments(tmp_path: Path, figure: Callable[[str], None]) -> None:
    home, dice, joined = Home(tmp_path / "hub", await new_lamp(tmp_path / "lamp.json")), random.Random(8), 0
    async with lamp_at(tmp_path / "lamp.json") as lamp:
        for _ in range(KILLS):
            async with home.served():
                phone = asyncio.create_task(pair(home, f"pairing {joined}", lamp))
                await asyncio.wait({phone}, timeout=dice.uniform(0.0, LONGEST))
                if not phone.done():
                    await home.kill()
                    await asyncio.gather(phone, return_exceptions=True)
                    continue
                device_id = phone.result()
                joined += 1
                assert (await home.api.delete(f"/api/devices/{device_id}")).status_code == 204
                await lamp.until(event="reset")
    assert joined > 0
    figure(f"serve killed -9 x {KILLS} while it paired: {joined} devices joined, each once and whole")
