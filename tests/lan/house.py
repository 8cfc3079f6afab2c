"""Anna's house: her hub on one host of a LAN, her phone on another, and lamps; each a process, as people start them."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from app.commands.child import Child, HubProcess
from tests.lan.lan import ROOT, Host, Lan
from tests.lan.wifi import Radio

ENDS: Final = ("joined", "failed", "cancelled", "expired")
PATIENCE: Final = 2.0
"""Seconds the hub searches, if nothing else is said. Who is there is heard within a fifth of one."""
WAIT: Final = 60.0
LOOK_SECONDS: Final = 0.02

Session = dict[str, Any]


class HastyHub(HubProcess):
    """A hub that searches for as long as a test can wait."""

    module = "tests.lan.hub"


class Lamp(Child):
    """A virtual lamp on a host; `id` and `port` are known once it is ready."""

    def __init__(self, host: Host, *more: str | Path) -> None:
        super().__init__("device", "--lan", *more, through=host.through)
        self.ready: dict[str, Any] = {}

    async def _entered(self) -> None:
        self.ready = await self.until(event="ready")

    @property
    def id(self) -> str:
        """Its own id."""
        return str(self.ready["id"])

    @property
    def port(self) -> int:
        """Where it is paired."""
        return int(self.ready["port"])


class Newcomer(Child):
    """A virtual lamp whose radio is on the air, and that knows no network yet; `id` is known once it has joined one."""

    def __init__(self, radio: Radio, method: str, *more: str | Path) -> None:
        words = ("device", "--lan", "--method", method, "--air", radio.socket, *more)
        super().__init__(*words, through=radio.host.through, listens=True)

    async def _entered(self) -> None:
        await self.until(event="setup")


class Phone:
    """The app on Anna's phone: every request leaves from the phone's host."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._lock = asyncio.Lock()

    async def ask(self, method: str, path: str, body: object = None, **query: str | int) -> tuple[int, Any]:
        """The status, and what the hub says; 0 where it cannot be reached."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._lock, asyncio.timeout(WAIT):
            self._process.stdin.write(msgspec.json.encode((method, path, body, query)) + b"\n")
            status, said = msgspec.json.decode(await self._process.stdout.readline())
        return status, said

    async def text(self, path: str) -> str:
        """What is there to read, if it is there."""
        said: str = await self.done("TEXT", path)
        return said

    async def done(self, method: str, path: str, body: object = None, **query: str | int) -> Any:
        """What the hub says, which must be no refusal."""
        status, said = await self.ask(method, path, body, **query)
        assert status == 200, (status, said)
        return said


class House:
    """`home` is its path in the API."""

    def __init__(self, lan: Lan, hub: HubProcess, hub_host: Host, phone: Phone, home: str) -> None:
        self.lan = lan
        self.hub = hub
        self.hub_host = hub_host
        self.phone = phone
        self.home = home
        self._guests = 0

    @asynccontextmanager
    async def guest(self, *, routed: bool = True, bridge: str = "home") -> AsyncIterator[Host]:
        """One more host, taken away again with the context."""
        self._guests += 1
        host = await self.lan.host(f"guest{self._guests}", routed=routed, bridge=bridge)
        try:
            yield host
        finally:
            await self.lan.remove(host)

    async def start(self, **wanted: object) -> str:
        """Begin a pairing session; its path."""
        session = await self.phone.done("POST", f"{self.home}/pairing", {"method": "wired", **wanted})
        return f"{self.home}/pairing/{session['id']}"

    async def until(self, path: str, *states: str) -> Session:
        """The session once it is in one of these states, or has ended."""
        async with asyncio.timeout(WAIT):
            while True:
                session: Session = await self.phone.done("GET", path)
                if session["state"] in (*states, *ENDS):
                    return session
                await asyncio.sleep(LOOK_SECONDS)

    async def step(self, path: str, key: str) -> dict[str, str]:
        """The details of the session's first step of this kind, once it has come to it."""
        async with asyncio.timeout(WAIT):
            while True:
                session = await self.phone.done("GET", path)
                if found := [step for step in session["steps"] if step["key"] == key]:
                    return dict(found[0]["detail"])
                assert session["state"] not in ENDS, session
                await asyncio.sleep(LOOK_SECONDS)

    async def finish(self, path: str, lamp: Child | None = None) -> Session:
        """The session's end; the code it asks about is compared with what the lamp shows."""
        session = await self.until(path, "confirming")
        if session["state"] == "confirming":
            assert lamp is not None, session
            (asked,) = [one for one in session["attempts"] if one["state"] == "confirming"]
            await lamp.until(event="code", code=asked["code"])
            await self.phone.done("POST", f"{path}/confirm", {"accepted": True})
            session = await self.until(path)
        return session

    async def pair(self, lamp: Lamp, **wanted: object) -> str:
        """The id of the device that the lamp is from now on."""
        session = await self.finish(await self.start(device_id=lamp.id, **wanted), lamp)
        assert session["state"] == "joined", session["failure"]
        return str(session["device_ids"][0])

    async def fails(self, **wanted: object) -> str:
        """The cause that a session, of whose devices nobody is asked about, ends with."""
        session = await self.finish(await self.start(**wanted))
        assert session["state"] == "failed", session
        return str(session["failure"]["cause"])

    async def obeys(self, device: str) -> None:
        """A command is answered by the device itself."""
        order = {"service": "light", "values": {"on": True}, "expires_in": 60}
        done = await self.phone.done("POST", f"/api/devices/{device}/commands", order, wait=20)
        assert done["state"] == "answered", done

    async def devices(self) -> list[str]:
        """The ids of the home's devices."""
        return [device["id"] for device in (await self.phone.done("GET", f"{self.home}/devices"))["items"]]


@asynccontextmanager
async def living(
    lan: Lan, data: Path, *, patience: float = PATIENCE, phone_host: Host | None = None
) -> AsyncIterator[House]:
    """A house on the LAN, its hub claimed and with a home. The phone is on a host of its own, or on the one given."""
    hub_host, phone_host = await lan.host("hub"), phone_host or await lan.host("phone")
    hasty = {"DOORSTEP_TEST_PATIENCE": str(patience)}
    async with (
        HastyHub(data, "--lan", environ=hasty, through=hub_host.through) as hub,
        phone_on(phone_host, hub, hub_host) as phone,
    ):
        home = await phone.done("POST", "/api/homes", {"name": "Cottage", "time_zone": "Europe/Berlin"})
        yield House(lan, hub, hub_host, phone, f"/api/homes/{home['id']}")


@asynccontextmanager
async def phone_on(host: Host, hub: HubProcess, hub_host: Host) -> AsyncIterator[Phone]:
    """A phone on the host, whose person owns the hub from now on."""
    url = f"https://{hub_host.address}:{hub.ready['port']}"
    process = await asyncio.create_subprocess_exec(
        *host.through,
        *(sys.executable, "-m", "tests.lan.phone", url, hub.ready["pin"], hub.ready["claim_code"]),
        stdin=PIPE,
        stdout=PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"ready\n"
        yield Phone(process)
    finally:
        process.stdin.close()
        await process.wait()
