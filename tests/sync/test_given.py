"""A home is given to a cloud by a hub that is cut off, or killed, at every step of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from app.sync import authority as authority_module
from app.sync import engine as engine_module
from app.sync import replica as replica_module
from app.sync.cloud_end import Peer
from app.sync.line import Line, LineLost
from app.sync.wire import Answer, Found, Request, Restate, Snapshot
from tests.api.harness import Api
from tests.api.households import account_of, new_home
from tests.sync.copies import Copy, copy_in, the_same
from tests.sync.direct import DirectLine
from tests.sync.pair import Ends, enrolled, joined, owner
from tests.sync.together import WAIT, link

ROOMS = 8


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long before the next try, and a home takes several pages."""
    monkeypatch.setattr(engine_module, "MOST_BACKOFF_S", 0.05)
    monkeypatch.setattr(replica_module, "ROWS_AT_ONCE", 4)
    monkeypatch.setattr(authority_module, "ROWS_AT_ONCE", 4)


class Breaking:
    """A door whose lines break at the nth request of a kind: before the cloud hears it, or before it answers."""

    def __init__(self, cloud: Api, hub: Api) -> None:
        self._cloud = cloud
        self._hub = hub
        self.at: type[Request] | None = None
        self.after = 0
        self.heard = False
        self.broke = asyncio.Event()

    @asynccontextmanager
    async def line(self) -> AsyncIterator[Line]:
        peer = Peer(self._hub.services.hub.view().id, self._hub.services.sync.node)
        line = BreakingLine(self, self._cloud, peer)
        disconnect = self._cloud.services.sync.cloud_end.connect(peer, line.tell)
        try:
            yield line
        finally:
            disconnect()


class BreakingLine(DirectLine):
    def __init__(self, door: Breaking, cloud: Api, peer: Peer) -> None:
        super().__init__(cloud, peer)
        self._door = door

    async def ask(self, request: Request) -> Answer:
        door = self._door
        if door.at is None or not isinstance(request, door.at):
            return await super().ask(request)
        door.after -= 1
        if door.after >= 0:
            return await super().ask(request)
        door.at = None
        if door.heard:
            await super().ask(request)
        door.broke.set()
        raise LineLost("cut")


class Given:
    """Anna's home with rooms, at her hub alone; `again` is the hub in its next life."""

    def __init__(self, folder: Path, cloud: Api, hub: Api) -> None:
        self.folder = folder
        self.cloud = cloud
        self.hub = hub
        self.at_hub: httpx2.AsyncClient
        self.home = ""
        self.door: Breaking

    async def begin(self) -> None:
        self.cloud.services.enrolment.cloud_end.known("https://cloud.example", None)
        joined(self.hub, self.cloud)
        at_cloud = await owner(self.cloud, "anna")
        self.at_hub = await owner(self.hub, "anna")
        known = enrolled(self.hub)
        both = Ends(self.cloud, self.hub, at_cloud, self.at_hub)
        path, _ = await both.ask()
        assert (await at_cloud.post(f"{path}/confirm")).status_code == 200
        await known.wait()
        await link(self.hub, self.at_hub, self.cloud, at_cloud)
        await self.talk()
        self.home = await new_home(self.at_hub)
        for number in range(ROOMS):
            assert (await self.at_hub.post(f"{self.home}/rooms", json={"name": f"{number}"})).status_code == 201

    async def talk(self) -> None:
        """The hub has a connection that breaks."""
        await self.hub.services.sync.close()
        self.door = Breaking(self.cloud, self.hub)
        engine = self.hub.services.sync.join(self.cloud.services.hub.view().id, "Cloud", self.door)
        engine.start()
        async with asyncio.timeout(WAIT):
            while engine.line is None:
                await asyncio.sleep(0.01)

    async def same(self) -> None:
        """Both ends have the same, in the life the log began with."""
        home_id = self.home.rpartition("/")[2]
        async with asyncio.timeout(WAIT):
            while True:
                answer = await self.at_hub.get(f"{self.home}/sync")
                view = answer.json()
                head = self.cloud.services.sync.cloud_end.heads.get(home_id, ("", 0))
                if view["state"] == "synced" and not view["to_push"] and (view["epoch"], view["head"]) == head:
                    break
                await asyncio.sleep(0.01)
        assert head[1] < 1 << 40
        copies = [await _copy(api, name, home_id) for name, api in (("hub", self.hub), ("cloud", self.cloud))]
        the_same(copies)
        assert sum(it.kind == "room" for it in copies[1].entities) == ROOMS


async def _copy(api: Api, name: str, home_id: str) -> Copy:
    return await api.store.read(lambda reader: copy_in(reader, name, api.services.facts, home_id))


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
        given = Given(tmp_path, cloud, hub)
        await given.begin()
        given.door.at, given.door.after, given.door.heard = at, after, heard
        await _give(given)
        await given.same()


@pytest.mark.parametrize(("at", "after", "heard"), SAMPLED)
async def test_a_hub_that_is_gone_and_back(tmp_path: Path, at: type[Request], after: int, heard: bool) -> None:
    """What was in its memory is lost; what it had on disk goes on, though nobody asks for it a second time."""
    async with Api(tmp_path / "cloud", is_cloud=True) as cloud:
        async with Api(tmp_path / "hub") as hub:
            given = Given(tmp_path, cloud, hub)
            await given.begin()
            given.door.at, given.door.after, given.door.heard = at, after, heard
            asking = asyncio.create_task(_give_once(given))
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
                await _give(given)
            await given.same()


async def _give_once(given: Given) -> None:
    await given.at_hub.post(f"{given.home}/sync")


async def _give(given: Given) -> None:
    """As Anna does it: again, if it was not done."""
    async with asyncio.timeout(WAIT):
        while (await given.at_hub.post(f"{given.home}/sync")).status_code != 200:
            await asyncio.sleep(0.02)
