"""A hub is lost with what it did since its backup; the one restored of that is another node (PROTOCOL.md 2c)."""

import asyncio
import shutil
import sqlite3
from pathlib import Path

import pytest

from app.store.folder import DATABASE
from app.store.restore import new_incarnation
from app.sync import engine as engine_module
from app.sync.wire import Pull, Push
from tests.api.harness import Api
from tests.api.households import account_of
from tests.sync.giving import ROOMS, Given, give
from tests.sync.pair import joined


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long before the next try."""
    monkeypatch.setattr(engine_module, "MOST_BACKOFF_S", 0.05)


def restore(lost: Path, found: Path) -> None:
    """What `doorstep restore` makes of a backup of that folder."""
    shutil.copytree(lost, found, ignore=shutil.ignore_patterns("lock"))
    with sqlite3.connect(found / DATABASE) as db:
        new_incarnation(db, 0)
    db.close()


async def room(given: Given, name: str) -> None:
    made = await given.at_hub.post(f"{given.home}/rooms", json={"name": name})
    assert made.status_code == 201, made.text


async def live_again(given: Given, hub: Api, token: str) -> None:
    given.hub, given.at_hub = hub, hub.client(token)
    joined(hub, given.cloud)


async def test_a_restored_hub_goes_on_and_what_waited_at_its_backup_is_done_once(tmp_path: Path) -> None:
    async with Api(tmp_path / "cloud", is_cloud=True) as cloud:
        async with Api(tmp_path / "lost") as hub:
            given = Given(cloud, hub)
            await given.begin()
            await give(given)
            await given.same()
            await hub.services.sync.close()
            for number in range(3):
                await room(given, f"waits at the backup {number}")
            token, old = account_of(given.at_hub), hub.services.sync.node
        await asyncio.to_thread(restore, tmp_path / "lost", tmp_path / "found")
        async with Api(tmp_path / "lost") as hub:
            await live_again(given, hub, token)
            await given.talk()
            await room(given, "since the backup")
            await given.same(ROOMS + 4)
        async with Api(tmp_path / "found") as hub:
            # A backup opens no session: she signs in anew.
            await hub.store.write(lambda tx: hub.phone_in(tx, token, "anew", "Anna's phone"))
            await live_again(given, hub, "anew")
            assert hub.services.sync.node != old
            await room(given, "after it was restored")
            await given.talk()
            await given.same(ROOMS + 5)
            names = {it["name"] for it in (await given.at_hub.get(f"{given.home}/rooms?limit=100")).json()["items"]}
            assert {"since the backup", "after it was restored", "waits at the backup 2"} <= names
            assert (await given.at_hub.get(f"{given.home}/conflicts")).json()["items"] == []


@pytest.mark.parametrize("heard", [False, True], ids=["unheard", "unanswered"])
@pytest.mark.parametrize("at", [Push, Pull])
async def test_an_act_whose_answer_is_lost_is_done_once(tmp_path: Path, at: type, heard: bool) -> None:
    async with Api(tmp_path / "cloud", is_cloud=True) as cloud, Api(tmp_path / "hub") as hub:
        given = Given(cloud, hub)
        await given.begin()
        await give(given)
        await given.same()
        given.door.at, given.door.heard = at, heard
        await room(given, "made while it breaks")
        made = await given.at_cloud.post(f"{given.home}/rooms", json={"name": "made at the cloud"})
        assert made.status_code == 201
        await given.door.broke.wait()
        await given.same(ROOMS + 2)
        assert (await given.at_hub.get(f"{given.home}/conflicts")).json()["items"] == []
