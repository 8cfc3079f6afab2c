"""A hub that is killed while it pairs, as its disk was at that moment, and whoever pairs with it over its lives."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.onboarding.log import DurableLog
from app.onboarding.registrar import HomeRegistrar
from app.store.store import Store
from app.virtual.device import VirtualDevice
from app.virtual.parts import Place
from app.virtual.process import product_named
from pairing.session.log import Activation, Entry, Secrets
from pairing.session.states import SessionState
from tests.e2e.living import WAIT, Living, living

PIN = "31415926"
# How often the full lane kills in each state.
TIMES = 20
ENDS = ("joined", "failed", "cancelled", "expired")
AGAIN = {"Idempotency-Key": "the phone repeats what was not answered"}
# What of a data folder belongs to the process that holds it.
OF_THE_PROCESS = shutil.ignore_patterns("lock", "admin.sock")


class Trap:
    """At its moment, or `after` seconds of it, the hub is as good as killed: what is on its disk is `kept`, and nothing
    follows.

    A moment is a thing made durable: "created", a state or an event of the session, "committed" (the device is in the
    home, the session does not know yet), or how many went before.
    """

    def __init__(self, moment: str | int, folder: Path, after: float = 0.0) -> None:
        self.folder, self.kept = folder, folder.with_name("kept")
        self.sprung = asyncio.Event()
        self._moment = moment
        self._passed = 0
        self._after = after
        self._killed: Store | None = None
        self._springing: asyncio.Task[None] | None = None

    @property
    def springing(self) -> bool:
        """Its moment has come; that of the kill may be still to come."""
        return self._springing is not None

    async def passing(self, store: Store, *moments: str) -> None:
        """These have just become durable."""
        here = self._moment in (*moments, self._passed)
        self._passed += 1
        if here and self._springing is None:
            self._springing = asyncio.create_task(self._spring(store))
            if not self._after:
                self._killed = store
        if store is self._killed:
            await asyncio.Event().wait()

    async def _spring(self, store: Store) -> None:
        await asyncio.sleep(self._after)
        self._killed = store
        # From the writer: nothing is written meanwhile.
        await store.write(lambda tx: shutil.copytree(self.folder, self.kept, ignore=OF_THE_PROCESS))
        self.sprung.set()

    def set_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stand in the way of every hub of this process."""
        create, append, join = DurableLog.create, DurableLog.append, HomeRegistrar.join

        async def created(log: DurableLog, state: SessionState, secrets: Secrets) -> None:
            await create(log, state, secrets)
            await self.passing(log._store, "created")

        async def appended(log: DurableLog, session_id: str, entry: Entry, state: SessionState) -> None:
            await append(log, session_id, entry, state)
            await self.passing(log._store, state.state.value, entry.event)

        async def joined(registrar: HomeRegistrar, session: SessionState, attempt: int, activated: Activation) -> str:
            device_id = await join(registrar, session, attempt, activated)
            await self.passing(registrar._store, "committed")
            return device_id

        monkeypatch.setattr(DurableLog, "create", created)
        monkeypatch.setattr(DurableLog, "append", appended)
        monkeypatch.setattr(HomeRegistrar, "join", joined)


class Phone:
    """Who pairs: asks for the session, again if need be, and answers what it asks."""

    def __init__(self, lamp: VirtualDevice, wanted: dict[str, Any]) -> None:
        self._lamp = lamp
        self._wanted = {"method": "wired", **wanted}

    async def pair(self, hub: Living) -> dict[str, Any]:
        """The session's end."""
        started = await hub.owner.post(hub.pairing, json=self._wanted, headers=AGAIN)
        assert started.status_code == 201, started.text
        path = f"{hub.pairing}/{started.json()['id']}"
        while True:
            session = await hub.until(path, "found", "asking", "confirming", *ENDS)
            if session["state"] in ENDS:
                return session
            await self._answer(hub, path, session)

    async def _answer(self, hub: Living, path: str, session: dict[str, Any]) -> None:
        match session["state"]:
            case "found":
                await hub.owner.post(f"{path}/choose", json={"candidate_id": self._lamp.id})
            case "asking":
                await hub.owner.post(f"{path}/pin", json={"pin": PIN})
            case _:
                (code,) = [one["code"] for one in session["attempts"] if one["state"] == "confirming"]
                await self._compare(code)
                await hub.owner.post(f"{path}/confirm", json={"accepted": True})

    async def _compare(self, code: str) -> None:
        async with asyncio.timeout(WAIT):
            while (await self._lamp.wait("code")).details["code"] != code:
                pass


@asynccontextmanager
async def lamp(**how: Any) -> AsyncIterator[VirtualDevice]:
    place = Place(retry_first=0.05, retry_most=0.2)
    async with VirtualDevice(product_named("lamp"), place=place, **how) as device:
        yield device


async def killed_at(trap: Trap, phone: Phone) -> str | None:
    """Pair until the trap springs; the owner's token. None when it never did."""
    async with living(trap.folder) as hub:
        await hub.claim()
        trap_and_end = {asyncio.create_task(trap.sprung.wait()), asyncio.create_task(phone.pair(hub))}
        async with asyncio.timeout(WAIT):
            await asyncio.wait(trap_and_end, return_when=asyncio.FIRST_COMPLETED)
            if trap.springing:
                await trap.sprung.wait()
        for task in trap_and_end:
            task.cancel()
        await asyncio.gather(*trap_and_end, return_exceptions=True)
        token: str = hub.owner.headers["authorization"].removeprefix("Bearer ")
        return token if trap.sprung.is_set() else None


@asynccontextmanager
async def again(kept: Path, token: str) -> AsyncIterator[Living]:
    """The hub as the kill left it."""
    async with living(kept) as hub:
        hub.owner = hub.client(token)
        (home,) = (await hub.owner.get("/api/homes")).json()["items"]
        hub.home_id = home["id"]
        yield hub


async def back_and_whole(kept: Path, token: str, phone: Phone, device: VirtualDevice) -> None:
    """Started again, the one session goes on to its end: one device, which obeys."""
    async with again(kept, token) as hub:
        session = await phone.pair(hub)
        assert session["state"] == "joined", session["failure"]
        assert [each["id"] for each in (await hub.owner.get(hub.pairing)).json()["items"]] == [session["id"]]
        (shown,) = (await hub.owner.get(f"/api/homes/{hub.home_id}/devices")).json()["items"]
        assert session["device_ids"] == [shown["id"]]
        await obeys(hub.owner, shown["id"])
        await same_on_both_sides(hub, device)


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
