"""A cloud and its hubs in one process, with lines between them that a test can cut, or lose answers on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from app.sync import engine as engine_module
from app.sync import queries
from app.sync.cloud_end import Peer
from app.sync.enrolment import queries as hub_queries
from app.sync.enrolment.model import EnrolledHub
from app.sync.line import LineLost
from app.sync.wire import Answer, Found, Request, decode_answer, decode_request, encode
from tests.api.fake_link import FakeLink
from tests.api.harness import Api
from tests.api.households import account_of
from tests.api.things import bind, home_of
from tests.sync.pair import owner
from tests.sync.sides import client_of, key_of
from tests.waiting import WAIT, until

CLOUD_ID = "cloud-1"


class DirectLine:
    """One connection: messages are encoded and decoded as on the wire."""

    def __init__(self, hub: "HubSide") -> None:
        self._hub = hub
        self.notices: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def ask(self, request: Request) -> Answer:
        hub = self._hub
        hub.asked.append(request)
        if type(request) in hub.lost_requests:
            hub.lost_requests.remove(type(request))
            self.cut()
        if self.is_cut:
            raise LineLost("cut")
        end = hub.cloud.services.sync.cloud_end
        answer: Answer = decode_answer(encode(await end.answer(hub.peer, decode_request(encode(request)))))
        if type(request) in hub.lost_answers:
            hub.lost_answers.remove(type(request))
            self.cut()
            raise LineLost("the answer was lost")
        return answer

    is_cut = False

    def cut(self) -> None:
        self.is_cut = True
        self.notices.put_nowait(None)

    async def told(self) -> AsyncIterator[Answer]:
        while (notice := await self.notices.get()) is not None:
            yield decode_answer(notice)
        raise LineLost("cut")

    def tell(self, notice: Answer) -> bool:
        if not self.is_cut:
            self.notices.put_nowait(encode(notice))
        return not self.is_cut


class HubSide:
    """A hub with its door to the cloud, which stands open while `up` is set."""

    def __init__(self, cloud: Api, api: Api) -> None:
        self.cloud = cloud
        self.api = api
        self.link = FakeLink(api)
        self.up = asyncio.Event()
        self.present: DirectLine | None = None
        self.asked: list[Request] = []
        self.lost_answers: list[type] = []
        self.lost_requests: list[type] = []
        self.node = ""

    @property
    def id(self) -> str:
        return self.api.services.hub.view().id

    @property
    def peer(self) -> Peer:
        return Peer(self.id, self.node)

    @asynccontextmanager
    async def line(self) -> AsyncIterator[DirectLine]:
        await self.up.wait()
        self.present = line = DirectLine(self)
        end = self.cloud.services.sync.cloud_end.connect(self.peer, line.tell)
        try:
            yield line
        finally:
            line.is_cut = True
            end()

    async def enrol(self, owner_id: str) -> None:
        """The cloud knows the hub."""
        rows = await self.api.store.read(lambda r: r.all("SELECT node_id FROM hub"))
        self.node = rows[0][0]
        seal = self.id.encode().ljust(32, b"0")[:32]
        hub = EnrolledHub(self.id, seal, seal, "a hub", owner_id, self.node, 1, 1, 1_000, None, None)

        def act(tx: Any) -> None:
            hub_queries.put_hub(tx, hub)
            self.cloud.services.enrolment.hubs.rows.put(tx, hub.id, hub)

        await self.cloud.store.write(act)

    def start(self) -> None:
        """Begin to talk."""
        self.up.set()
        self.api.services.sync.join(CLOUD_ID, "Cloud", self).start()

    async def away(self) -> None:
        """The connection is lost, and there is none until `up` is set."""
        self.up.clear()
        if self.present is not None:
            self.present.cut()
        talk = self.api.services.sync.talk()
        await until(lambda: talk is not None and not talk.connected)
        await until(lambda: not self.cloud.services.sync.cloud_end.is_connected(self.id))

    async def back(self) -> None:
        """And it stands again."""
        self.up.set()
        talk = self.api.services.sync.talk()
        await until(lambda: talk is not None and talk.connected)


class World:
    """A home of Anna's on `hub`, brought to the cloud; `at_cloud` is her client there, `at_hub` here."""

    def __init__(self, cloud: Api, hub: HubSide, stack: AsyncExitStack, folder: Path) -> None:
        self.cloud = cloud
        self.hub = hub
        self._stack = stack
        self._folder = folder
        self.home = ""
        self.key = ""
        self.at_hub: httpx2.AsyncClient
        self.at_cloud: httpx2.AsyncClient

    async def lamp(self, name: str = "d-1", **fields: Any) -> str:
        """A lamp held by the first hub, which the cloud has heard of."""
        device_id = await bind(self.hub.api, self.home, name, **fields)
        await until(lambda: self.cloud.services.devices.memory.get(device_id) is not None)
        return device_id

    async def second(self) -> HubSide:
        """Another hub of the home, level with the cloud."""
        api = await self._stack.enter_async_context(Api(self._folder / "hub2"))
        hub = HubSide(self.cloud, api)
        await hub.enrol(account_of(self.at_cloud))
        hubs = self.cloud.services.enrolment.hubs
        await self.cloud.store.write(lambda tx: hubs.attach_in(tx, hub.id, self.home))
        hub.start()
        self._stack.push_async_callback(api.services.sync.close)
        await level(hub, self.home)
        return hub

    async def desired(self, api: Api, device_id: str) -> dict[str, Any]:
        state = await api.store.read(lambda r: api.services.devices.shadows.state_in(r, device_id, "light"))
        return {name: point.decoded for name, point in state.desired.items()}

    async def reported(self, api: Api, device_id: str) -> dict[str, Any]:
        state = await api.store.read(lambda r: api.services.devices.shadows.state_in(r, device_id, "light"))
        return {name: point.decoded for name, point in state.reported.items()}

    async def shows(self, api: Api, device_id: str, wanted: dict[str, Any]) -> None:
        """Return once a node has that as reported."""
        await until(lambda: self.reported(api, device_id), lambda it: it == wanted)


async def level(hub: HubSide, home_id: str) -> None:
    """What there is of the home is the same at both ends."""
    store = hub.api.store

    async def has_log() -> bool:
        return await store.read(lambda reader: queries.shared(reader, home_id)) is not None

    await until(has_log)
    async with asyncio.timeout(WAIT):
        await hub.api.services.sync.level(home_id)


@asynccontextmanager
async def world(folder: Path, monkeypatch: Any) -> AsyncIterator[World]:
    """All of it, connected."""
    monkeypatch.setattr(engine_module, "LEAST_BACKOFF_S", 0.01)
    monkeypatch.setattr(engine_module, "MOST_BACKOFF_S", 0.02)
    monkeypatch.setattr(engine_module, "LOOK_AGAIN_S", 0.2)
    async with AsyncExitStack() as stack:
        cloud = await stack.enter_async_context(Api(folder / "cloud", is_cloud=True))
        api = await stack.enter_async_context(Api(folder / "hub"))
        made = World(cloud, HubSide(cloud, api), stack, folder)
        made.at_hub = await owner(api, "anna")
        made.home = await home_of(made.at_hub)
        made.key = await key_of(api, account_of(made.at_hub))
        # Anna has an account at the cloud, with the same key: she linked them.
        there = await cloud.store.write(lambda tx: cloud.services.people.known_in(tx, made.key, "Anna"))
        await made.hub.enrol(there)
        await cloud.services.sync.cloud_end.answer(made.hub.peer, Found(1, made.home, "Home"))
        made.hub.start()
        stack.push_async_callback(api.services.sync.close)
        await level(made.hub, made.home)
        made.at_cloud = await client_of(cloud, made.key)
        yield made
