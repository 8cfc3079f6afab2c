"""A home that a hub gives to a cloud, over a connection that breaks where a test wants it to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2

from app.sync.cloud_end import Peer
from app.sync.line import Line, LineLost
from app.sync.wire import Answer, Request
from tests.api.harness import Api
from tests.api.households import new_home
from tests.sync.copies import copy_of, the_same
from tests.sync.direct import DirectLine
from tests.sync.pair import Ends, enrolled, joined, owner
from tests.sync.together import level, link
from tests.waiting import until

ROOMS = 8


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

    def __init__(self, cloud: Api, hub: Api) -> None:
        self.cloud = cloud
        self.hub = hub
        self.at_hub: httpx2.AsyncClient
        self.at_cloud: httpx2.AsyncClient
        self.home = ""
        self.door: Breaking

    async def begin(self) -> None:
        self.cloud.services.enrolment.cloud_end.known("https://cloud.example", None)
        joined(self.hub, self.cloud)
        self.at_cloud = at_cloud = await owner(self.cloud, "anna")
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
        await until(lambda: engine.line is not None)

    async def same(self, rooms: int = ROOMS) -> None:
        """Both ends have the same, in the life the log began with."""
        home_id = self.home.rpartition("/")[2]
        await level(self.home, self.hub, self.at_hub, self.cloud)
        assert self.cloud.services.sync.cloud_end.heads[home_id][1] < 1 << 40
        copies = [await copy_of(api, name, home_id) for name, api in (("hub", self.hub), ("cloud", self.cloud))]
        the_same(copies)
        assert sum(it.kind == "room" for it in copies[1].entities) == rooms


async def give_once(given: Given) -> None:
    await given.at_hub.post(f"{given.home}/sync")


async def give(given: Given) -> None:
    """As Anna does it: again, if it was not done."""
    await until(lambda: given.at_hub.post(f"{given.home}/sync"), lambda it: it.status_code == 200)
