"""A hub is killed in each state of a pairing: the session goes on or ends with a cause, and no device is half there."""

import asyncio
import contextlib
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.onboarding.log import DurableLog
from app.onboarding.registrar import HomeRegistrar
from app.store.folder import DATABASE
from app.store.store import Store
from app.virtual.device import VirtualDevice
from app.virtual.parts import Place
from app.virtual.process import product_named
from pairing.session.log import Activation, Entry, Secrets
from pairing.session.states import SessionState
from tests.e2e.living import WAIT, Living, living

PIN = "31415926"
ENDS = ("joined", "failed", "cancelled", "expired")
AGAIN = {"Idempotency-Key": "the phone repeats what was not answered"}
# What of a data folder belongs to the process that holds it.
OF_THE_PROCESS = shutil.ignore_patterns("lock", "admin.sock")


class Trap:
    """At its moment the hub is as good as killed: what is on its disk then is `kept`, and nothing follows.

    A moment is a thing made durable: "created", a state or an event of the session, "committed" (the device is in the
    home, the session does not know yet), or how many went before.
    """

    def __init__(self, moment: str | int, folder: Path) -> None:
        self.folder, self.kept = folder, folder.with_name("kept")
        self.sprung = asyncio.Event()
        self._moment = moment
        self._passed = 0

    async def passing(self, store: Store, *moments: str) -> None:
        """These have just become durable."""
        here = self._moment in (*moments, self._passed)
        self._passed += 1
        if self.sprung.is_set() or not here:
            return
        # From the writer: nothing is written meanwhile.
        await store.write(lambda tx: shutil.copytree(self.folder, self.kept, ignore=OF_THE_PROCESS))
        self.sprung.set()
        await asyncio.Event().wait()

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


MOMENTS = [
    ("created", {}),
    ("preparing", {}),
    ("searching", {}),
    ("found", {}),
    ("asking", {"pin": PIN}),
    ("proving", {}),
    ("confirming", {}),
    ("Confirmed", {}),
    ("joining", {}),
    ("joining", {"pin": PIN}),
    ("committed", {}),
    ("Registered", {}),
    ("joined", {}),
]


async def killed_and_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch, moment: str | int, how: dict[str, Any]
) -> bool:
    """Whether there was such a moment."""
    trap = Trap(moment, folder / "data")
    trap.set_in(monkeypatch)
    async with AsyncExitStack() as stack:
        device = await stack.enter_async_context(lamp(**how))
        wanted: dict[str, Any] = {"device_id": device.id}
        if moment == "found":  # which of two is for the person to say; both have been heard by then on any machine
            monkeypatch.setattr("pairing.session.searching.SETTLE_MS", 3_000)
            await stack.enter_async_context(lamp(name="Another lamp"))
            wanted = {}
        phone = Phone(device, wanted)
        token = await killed_at(trap, phone)
        if token is None:
            return False
        await back_and_whole(trap.kept, token, phone, device)
    return True


@pytest.mark.parametrize(("moment", "how"), MOMENTS, ids=lambda value: value if isinstance(value, str) else None)
async def test_killed_in_each_state_it_goes_on_to_one_whole_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, how: dict[str, Any]
) -> None:
    assert await killed_and_back(tmp_path, monkeypatch, moment, how)


def sleep_long(folder: Path) -> None:
    """The hub stays off for longer than a session lives: as if this one were an hour older."""
    with contextlib.closing(sqlite3.connect(folder / DATABASE)) as db:
        for at in ("created_at", "expires_at"):
            older = f"json_set(state, '$.{at}', json_extract(state, '$.{at}') - 3600000)"
            db.execute(f"UPDATE pairing_sessions SET {at} = {at} - 3600000, state = {older}")
        db.commit()


@pytest.mark.parametrize(
    ("moment", "end"),
    [("searching", "expired"), ("confirming", "expired"), ("joining", "expired"), ("committed", "joined")],
)
async def test_back_too_late_it_ends_with_a_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, end: str
) -> None:
    monkeypatch.setattr("pairing.device.PATIENCE", 0.0)  # a device gives up what was not committed within a minute
    trap = Trap(moment, tmp_path / "data")
    trap.set_in(monkeypatch)
    async with lamp() as device:
        phone = Phone(device, {"device_id": device.id})
        token = await killed_at(trap, phone)
        assert token is not None
        await asyncio.to_thread(sleep_long, trap.kept)
        if end == "joined":
            await back_and_whole(trap.kept, token, phone, device)
        else:
            await back_without(trap.kept, token, phone, device)


async def back_without(kept: Path, token: str, phone: Phone, device: VirtualDevice) -> None:
    """Started again, the session is over and says why; nothing is left of it, on the device neither."""
    async with again(kept, token) as hub:
        session = await phone.pair(hub)
        assert (session["state"], session["failure"]["cause"], session["device_ids"]) == ("expired", "expired", [])
        assert await left(hub) == [0, 0, 0, 0, 0]
        async with asyncio.timeout(WAIT):
            while device.state.candidates:
                await asyncio.sleep(0.02)


@pytest.mark.full
@pytest.mark.parametrize("how", [{}, {"pin": PIN}], ids=["code", "pin"])
async def test_killed_after_each_thing_made_durable(tmp_path: Path, how: dict[str, Any]) -> None:
    steps = 0
    while True:
        with pytest.MonkeyPatch.context() as monkeypatch:
            if not await killed_and_back(tmp_path / str(steps), monkeypatch, steps, how):
                break
        steps += 1
    assert steps > 8
