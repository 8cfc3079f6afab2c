"""A hub is killed in each state of a pairing: the session goes on or ends with a cause, and no device is half there."""

import asyncio
import contextlib
import sqlite3
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

import pytest

from app.store.folder import DATABASE
from app.virtual.device import VirtualDevice
from tests.crash.killing import PIN, TIMES, Phone, Trap, again, back_and_whole, killed_at, lamp, left
from tests.e2e.living import WAIT

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
    folder: Path, monkeypatch: pytest.MonkeyPatch, moment: str | int, how: dict[str, Any], after: float = 0.0
) -> bool:
    """Whether there was such a moment."""
    trap = Trap(moment, folder / "data", after)
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


@pytest.mark.full
@pytest.mark.parametrize(("moment", "how"), MOMENTS, ids=lambda value: value if isinstance(value, str) else None)
async def test_killed_again_and_again_in_each_state(tmp_path: Path, moment: str, how: dict[str, Any]) -> None:
    chance = Random(f"{moment} {how}")
    for time in range(TIMES):
        with pytest.MonkeyPatch.context() as monkeypatch:
            assert await killed_and_back(tmp_path / str(time), monkeypatch, moment, how, chance.uniform(0, 0.1))


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
