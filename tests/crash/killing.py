"""A hub is killed while it pairs; whoever pairs with it over its lives, and what must be true in the next one."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from signal import SIGKILL
from typing import Any

import httpx2
from msgspec import Struct

from app.virtual.camera import Camera
from app.virtual.device import VirtualDevice
from app.virtual.parts import Place
from app.virtual.process import product_named
from app.virtual.station import ListedNetworks
from pairing.qr import camera
from pairing.wifi import WifiNetwork
from tests.crash.doomed import Doomed, Moment, doomed
from tests.crash.ways import Way
from tests.e2e.living import WAIT, Living, Reached, living

PIN = "31415926"
SSID, PASSWORD = "Lindenweg", "correct horse battery"
ENDS = ("joined", "failed", "cancelled", "expired")
# What is asked of a dead hub fails at once. Cancelled while it connects, a client would leave its connection open.
SOON = 0.2
AGAIN = {"Idempotency-Key": "the phone repeats what was not answered"}
PLACE = Place(retry_first=0.05, retry_most=0.2)


class Claimed(Struct):
    """A data folder whose hub has an owner and a home; each kill begins with a copy."""

    folder: Path
    token: str
    home_id: str

    def copy(self, folder: Path) -> Path:
        # What belongs to the process that holds a folder is no part of it.
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns("lock", "admin.sock"))
        return folder


async def claimed(folder: Path) -> Claimed:
    async with living(folder) as hub:
        await hub.claim()
        token = hub.owner.headers["authorization"].removeprefix("Bearer ")
        return Claimed(folder, token, hub.home_id)


class Kill(Struct, frozen=True):
    """When: at a moment, or so many seconds later."""

    moment: Moment
    after: float = 0.0

    @classmethod
    def drawn(cls, at: str | int, chance: Random) -> "Kill":
        """Around a moment: while it is made durable, within a tenth of a second of it, or with nothing following it."""
        match chance.randrange(4):
            case 0:
                return cls(Moment(at, "before"), chance.uniform(0, 0.01))
            case 1:
                return cls(Moment(at, "held"), chance.uniform(0, 0.1))
            case _:
                return cls(Moment(at, "once"), chance.uniform(0, 0.1))


class Phone:
    """Who pairs: asks for the session, again if need be, and answers what it asks."""

    def __init__(self, lamp: VirtualDevice, wanted: dict[str, Any]) -> None:
        self.lamp = lamp
        self._wanted = {"method": "wired", **wanted}

    async def pair(self, hub: Reached) -> dict[str, Any]:
        """The session's end."""
        started = await hub.owner.post(hub.pairing, json=self._wanted, headers=AGAIN)
        assert started.status_code == 201, started.text
        path = f"{hub.pairing}/{started.json()['id']}"
        while True:
            session = await hub.until(path, "found", "asking", "confirming", *ENDS)
            if session["state"] in ENDS:
                return session
            await self._answer(hub, path, session)

    async def _answer(self, hub: Reached, path: str, session: dict[str, Any]) -> None:
        match session["state"]:
            case "found":
                await hub.owner.post(f"{path}/choose", json={"candidate_id": self.lamp.id})
            case "asking":
                await hub.owner.post(f"{path}/pin", json={"pin": PIN})
            case _:
                codes = [one["code"] for one in session["attempts"] if one["state"] == "confirming"]
                await self._compare(*codes)
                await hub.owner.post(f"{path}/confirm", json={"accepted": True})

    async def _compare(self, code: str) -> None:
        async with asyncio.timeout(WAIT):
            while (await self.lamp.wait("code")).details["code"] != code:
                pass


class TellingPhone(Phone):
    """It tells the lamp what the session says, once it does."""

    def __init__(self, device: VirtualDevice, lens: Camera) -> None:
        super().__init__(device, {"method": "any", "ssid": SSID, "wifi_password": PASSWORD})
        self._lens = lens
        self._told: set[str] = set()

    async def pair(self, hub: Reached) -> dict[str, Any]:
        telling = asyncio.create_task(self._tell(hub))
        try:
            return await super().pair(hub)
        finally:
            await asyncio.wait({telling}, timeout=SOON)
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)

    async def _tell(self, hub: Reached) -> None:
        while not self._told:
            (session,) = (await hub.owner.get(hub.pairing)).json()["items"] or [None]
            if session is not None:
                handover = await hub.owner.get(f"{hub.pairing}/{session['id']}/handover")
                if handover.status_code == 200:
                    told = handover.json()
                    network = WifiNetwork(told["ssid"], told["password"])
                    self._lens.see(camera.write(network, told["token"].encode()))
                    self._told.add(told["token"])
            await asyncio.sleep(0.02)


@asynccontextmanager
async def lamp(**how: Any) -> AsyncIterator[VirtualDevice]:
    async with VirtualDevice(product_named("lamp"), place=PLACE, **how) as device:
        yield device


@asynccontextmanager
async def lamp_to_be_told(**how: Any) -> AsyncIterator[Phone]:
    """Of a lamp that does not know its network yet."""
    lens = Camera()
    async with lamp(setup=lens, station=ListedNetworks({SSID: PASSWORD}), **how) as device:
        await device.wait("setup")
        yield TellingPhone(device, lens)


def client_of(hub: Doomed, owner: Claimed) -> httpx2.AsyncClient:
    # In a thread: its first one loads what it is made of.
    return httpx2.AsyncClient(base_url=hub.url, headers={"Authorization": f"Bearer {owner.token}"}, timeout=WAIT)


async def killed(folder: Path, owner: Claimed, kill: Kill, way: Way, phone: Phone) -> bool:
    """Pair with a hub in a process of its own until it is killed; whether that moment came."""
    async with doomed(folder, kill.moment, way) as hub:
        reached = Reached()
        reached.home_id = owner.home_id
        async with await asyncio.to_thread(client_of, hub, owner) as reached.owner:
            pairing = asyncio.create_task(phone.pair(reached))
            moment = asyncio.create_task(asyncio.to_thread(hub.moment))
            try:
                await asyncio.wait({pairing, moment}, timeout=WAIT, return_when=asyncio.FIRST_COMPLETED)
                if not moment.done():  # the session is over, and the hub has nothing more to say
                    await asyncio.to_thread(hub.end)
                if not await moment:
                    return False
                await asyncio.sleep(kill.after)
                assert await asyncio.to_thread(hub.kill) == -SIGKILL
                await asyncio.wait({pairing}, timeout=SOON)
                return True
            finally:
                pairing.cancel()
                await asyncio.to_thread(hub.kill)
                await asyncio.gather(pairing, moment, return_exceptions=True)


@asynccontextmanager
async def again(folder: Path, owner: Claimed) -> AsyncIterator[Living]:
    """The hub as the kill left it."""
    async with living(folder) as hub:
        hub.owner, hub.home_id = hub.client(owner.token), owner.home_id
        yield hub


async def back_and_whole(hub: Living, phone: Phone) -> None:
    """Started again, the one session goes on to its end: one device, which obeys."""
    session = await phone.pair(hub)
    assert session["state"] == "joined", session["failure"]
    assert [each["id"] for each in (await hub.owner.get(hub.pairing)).json()["items"]] == [session["id"]]
    (shown,) = (await hub.owner.get(f"/api/homes/{hub.home_id}/devices")).json()["items"]
    assert session["device_ids"] == [shown["id"]]
    await obeys(hub.owner, shown["id"])
    await same_on_both_sides(hub, phone.lamp)
    await nothing_goes_on(hub, phone.lamp)


async def obeys(owner: httpx2.AsyncClient, device_id: str) -> None:
    order = {"service": "light", "values": {"on": True}, "expires_in": 60}
    done = await owner.post(f"/api/devices/{device_id}/commands", params={"wait": 20}, json=order)
    assert done.json()["state"] == "answered", done.text


async def same_on_both_sides(hub: Living, device: VirtualDevice) -> None:
    """Hub and device hold the same binding, and nothing is left of how it came about."""
    peer, state = hub.node.services.lan.peer(device.id), device.state
    assert peer is not None
    assert state.active is not None
    assert (peer.credential, state.pending) == (state.active.credential, None)
    assert await left(hub) == [1, 1, 1, 0, 0]


async def left(hub: Living) -> list[int]:
    """How many devices, bindings, joins, open sessions and secrets of sessions are on the disk."""
    tables = (
        "devices",
        "bindings WHERE unbound_at IS NULL",
        "pairing_joins",
        "pairing_sessions WHERE ended=0",
        "secrets WHERE row LIKE 'pairing_session/%'",
    )
    return await hub.node.store.read(
        lambda reader: [reader.all(f"SELECT count(*) FROM {table}")[0][0] for table in tables]
    )


async def nothing_goes_on(hub: Living, device: VirtualDevice) -> None:
    """The session is over on the network as well: nobody listens for devices, or speaks where one is paired."""
    async with asyncio.timeout(WAIT):
        while hub.node.discovery.listeners or _in_session() or await asyncio.to_thread(_connections, device.port):
            await asyncio.sleep(0.02)


def _in_session() -> list[str]:
    names = (task.get_name() for task in asyncio.all_tasks())
    return [name for name in names if name.startswith("pairing session")]


def _connections(port: int) -> int:
    """How many connections from or to that port are open on this machine."""
    open_ = 0
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, ours, theirs, state, *_ = line.split()
            ended = state in {"06", "0A"}  # TIME_WAIT, LISTEN
            open_ += not ended and f"{port:04X}" in (ours.rpartition(":")[2], theirs.rpartition(":")[2])
    return open_
