"""A home is given to a cloud by a hub that is cut off, or killed, at every step of it."""

import asyncio
from pathlib import Path

import pytest

from app.sync import authority as authority_module
from app.sync import engine as engine_module
from app.sync import snapshots
from app.sync.wire import Found, Request, Restate, Snapshot
from tests.api.harness import Api
from tests.api.households import account_of
from tests.sync.giving import Given, give, give_once
from tests.sync.pair import joined
from tests.waiting import WAIT


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long before the next try, and a home takes several pages."""
    monkeypatch.setattr(engine_module, "MOST_BACKOFF_S", 0.05)
    monkeypatch.setattr(snapshots, "ROWS_AT_ONCE", 4)
    monkeypatch.setattr(authority_module, "ROWS_AT_ONCE", 4)


STEPS = [(Found, 0), (Restate, 0), (Restate, 1), (Snapshot, 0), (Snapshot, 1)]
EACH = [
    pytest.param(at, after, heard, id=f"{at.__name__} {after} {'unanswered' if heard else 'unheard'}")
    for at, after in STEPS
    for heard in (False, True)
]
SOME = {"Found 0 unanswered", "Restate 1 unanswered", "Snapshot 1 unheard"}
SAMPLED = [it if it.id in SOME else pytest.param(*it.values, id=it.id, marks=pytest.mark.full) for it in EACH]


@pytest.mark.full
@pytest.mark.parametrize(("at", "after", "heard"), EACH)
async def test_a_connection_that_breaks(tmp_path: Path, at: type[Request], after: int, heard: bool) -> None:
    async with Api(tmp_path / "cloud", is_cloud=True) as cloud, Api(tmp_path / "hub") as hub:
        given = Given(cloud, hub)
        await given.begin()
        given.door.at, given.door.after, given.door.heard = at, after, heard
        await give(given)
        await given.same()


@pytest.mark.parametrize(("at", "after", "heard"), SAMPLED)
async def test_a_hub_that_is_gone_and_back(tmp_path: Path, at: type[Request], after: int, heard: bool) -> None:
    """What was in its memory is lost; what it had on disk goes on, though nobody asks for it a second time."""
    async with Api(tmp_path / "cloud", is_cloud=True) as cloud:
        async with Api(tmp_path / "hub") as hub:
            given = Given(cloud, hub)
            await given.begin()
            given.door.at, given.door.after, given.door.heard = at, after, heard
            asking = asyncio.create_task(give_once(given))
            async with asyncio.timeout(WAIT):
                await given.door.broke.wait()
            await hub.services.sync.close()
            await asyncio.wait([asking])
            token = account_of(given.at_hub)
        async with Api(tmp_path / "hub") as again:
            given.hub, given.at_hub = again, again.client(token)
            joined(again, cloud)
            await given.talk()
            if at is Found and not heard:
                await give(given)
            await given.same()
