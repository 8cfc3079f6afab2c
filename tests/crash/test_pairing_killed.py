"""A hub is killed in each state of a pairing: the session goes on or ends with a cause, and no device is half there."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
import pytest_asyncio

from app.store.folder import DATABASE
from tests.crash.doomed import Moment
from tests.crash.killing import (
    PIN,
    Claimed,
    Kill,
    Phone,
    again,
    back_and_whole,
    claimed,
    killed,
    lamp,
    lamp_to_be_told,
    left,
    nothing_goes_on,
)
from tests.crash.ways import ANY, OF_TWO, WIRED, Way
from tests.e2e.living import WAIT

# How often the full lane kills in each state.
TIMES = 20

WITH_PIN = {"pin": PIN}
STATES: list[tuple[Way, str, dict[str, Any]]] = [
    (WIRED, "created", {}),
    (WIRED, "preparing", {}),
    (WIRED, "searching", {}),
    (OF_TWO, "found", {}),
    (WIRED, "asking", WITH_PIN),
    (WIRED, "proving", {}),
    (WIRED, "confirming", {}),
    (WIRED, "Confirmed", {}),
    (WIRED, "joining", {}),
    (WIRED, "joining", WITH_PIN),
    (WIRED, "committed", {}),
    (WIRED, "Registered", {}),
    (WIRED, "joined", {}),
    (ANY, "created", {}),
    (ANY, "preparing", {}),
    (ANY, "Ready", {}),
    (ANY, "Due", {}),
    (ANY, "Heard", {}),
    (ANY, "asking", WITH_PIN),
    (ANY, "proving", {}),
    (ANY, "confirming", {}),
    (ANY, "Confirmed", {}),
    (ANY, "joining", {}),
    (ANY, "committed", {}),
    (ANY, "Registered", {}),
    (ANY, "joined", {}),
]
NAMES = [f"{'any' if way.two else 'wired'}-{at}{'-pin' if how else ''}" for way, at, how in STATES]


# What the default lane leaves to the full one: whatever works, where it is as with a wire.
SAMPLE = [n for n, (way, at, _) in enumerate(STATES) if not way.two or at in ("Due", "Heard", "asking", "committed")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def owner(tmp_path_factory: pytest.TempPathFactory) -> Claimed:
    return await claimed(tmp_path_factory.mktemp("claimed") / "data")


@asynccontextmanager
async def phone_for(way: Way, **how: Any) -> AsyncIterator[Phone]:
    """And its lamp; where it is to be chosen of two, the other one as well."""
    async with AsyncExitStack() as stack:
        if way.two:
            yield await stack.enter_async_context(lamp_to_be_told(**how))
            return
        device = await stack.enter_async_context(lamp(**how))
        if way is not OF_TWO:
            yield Phone(device, {"device_id": device.id})
            return
        await stack.enter_async_context(lamp(name="Another lamp"))
        yield Phone(device, {})


async def killed_and_back(folder: Path, owner: Claimed, kill: Kill, way: Way, how: dict[str, Any]) -> bool:
    """Whether there was such a moment."""
    await asyncio.to_thread(owner.copy, folder)
    async with phone_for(way, **how) as phone:
        if not await killed(folder, owner, kill, way, phone):
            return False
        with pytest.MonkeyPatch.context() as monkeypatch:
            way.set_in(monkeypatch)
            async with again(folder, owner) as hub:
                await back_and_whole(hub, phone)
    return True


@pytest.mark.parametrize(("way", "at", "how"), [STATES[n] for n in SAMPLE], ids=[NAMES[n] for n in SAMPLE])
async def test_killed_in_each_state_it_goes_on_to_one_whole_device(
    tmp_path: Path, owner: Claimed, way: Way, at: str, how: dict[str, Any]
) -> None:
    kill = Kill.drawn(at, Random(f"{way} {at} {how}"))
    assert await killed_and_back(tmp_path / "data", owner, kill, way, how)


@pytest.mark.full
@pytest.mark.parametrize(("way", "at", "how"), STATES, ids=NAMES)
async def test_killed_again_and_again_in_each_state(
    tmp_path: Path, owner: Claimed, way: Way, at: str, how: dict[str, Any]
) -> None:
    chance = Random(f"{way} {at} {how}")
    for time in range(TIMES):
        kill = Kill.drawn(at, chance)
        assert await killed_and_back(tmp_path / str(time), owner, kill, way, how), kill


@pytest.mark.full
@pytest.mark.parametrize("how", [{}, WITH_PIN], ids=["code", "pin"])
async def test_killed_after_each_thing_made_durable(tmp_path: Path, owner: Claimed, how: dict[str, Any]) -> None:
    steps = 0
    while await killed_and_back(tmp_path / str(steps), owner, Kill(Moment(steps)), WIRED, how):
        steps += 1
    assert steps > 8


def sleep_long(folder: Path) -> None:
    """The hub stays off for longer than a session lives: as if this one were an hour older."""
    with contextlib.closing(sqlite3.connect(folder / DATABASE)) as db:
        for at in ("created_at", "expires_at"):
            older = f"json_set(state, '$.{at}', json_extract(state, '$.{at}') - 3600000)"
            db.execute(f"UPDATE pairing_sessions SET {at} = {at} - 3600000, state = {older}")
        db.commit()


@pytest.mark.parametrize("moment", ["searching", "confirming", "joining", "committed"])
async def test_back_too_late_it_ends_with_a_cause(
    tmp_path: Path, owner: Claimed, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    monkeypatch.setattr("pairing.device.PATIENCE", 0.0)  # a device gives up what was not committed within a minute
    folder = await asyncio.to_thread(owner.copy, tmp_path / "data")
    async with phone_for(WIRED) as phone:
        assert await killed(folder, owner, Kill(Moment(moment)), WIRED, phone)
        await asyncio.to_thread(sleep_long, folder)
        async with again(folder, owner) as hub:
            if moment == "committed":
                await back_and_whole(hub, phone)
                return
            session = await phone.pair(hub)
            assert (session["state"], session["failure"]["cause"], session["device_ids"]) == ("expired", "expired", [])
            assert await left(hub) == [0, 0, 0, 0, 0]
            await nothing_goes_on(hub, phone.lamp)
            async with asyncio.timeout(WAIT):
                while phone.lamp.state.candidates:
                    await asyncio.sleep(0.02)
