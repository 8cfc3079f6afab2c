"""A cloud and hubs of one home, each the whole program, with everything recorded that crosses between them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import httpx2

from app.caller import BY_SYSTEM
from app.devices.credential_model import NewRegistration
from app.devices.sensors import SensorSecret
from app.links.mesh.service import _new_network
from app.links.mesh.store import HomeStore
from app.policy import SYSTEM
from app.store.hub import read_hub
from app.store.tx import Tx
from app.sync import queries
from app.sync.cloud_end import Peer
from app.sync.contact import Contact
from app.sync.engine import Engine
from app.sync.enrolment.model import EnrolledHub
from app.sync.hub_cards import place_of
from app.sync.line import Door
from app.sync.wire import Answer, Found, Request, encode
from tests.api.harness import Api
from tests.api.households import account_of
from tests.api.things import bind, home_of
from tests.sync.sides import client_of, key_of, known_at

PASSWORD = "canary-wifi-0815"
SECRET = "canary0device0secret0of0thirtytwo"
SENSOR_KEY = bytes(range(64, 80))
CARD = b"canary of where devices reach the hub"


class Hub:
    """One of them, and its talk with the cloud: as the engine talks, but only when it is told to."""

    def __init__(self, api: Api, node: str, cloud: Api, wire: list[bytes]) -> None:
        self.api, self.node = api, node
        self.id = api.services.hub.view().id
        self._cloud, self._wire = cloud, wire
        self._peer = Peer(self.id, node)
        sync = api.services.sync
        contact = Contact(api.store, api.services.standings, "cloud")
        self._engine = Engine(
            api.store, sync.replica, sync.copies, cast("Door", None), cloud_id="cloud", contact=contact
        )
        self.owner: httpx2.AsyncClient

    async def ask(self, request: Request) -> Answer:
        """`app.sync.line.Line`: over no network."""
        answer = await self._cloud.services.sync.cloud_end.answer(self._peer, request)
        self._wire += [encode(request), encode(answer)]
        return answer

    def told(self) -> AsyncIterator[Answer]:
        """Nothing: whoever drives this knows when to ask."""
        raise NotImplementedError

    async def found(self, home_id: str) -> None:
        """Bring a home to the cloud."""
        await self.ask(Found(0, home_id, "Lindenweg"))

    async def talk(self) -> None:
        """Say and hear everything there is now."""
        await self._engine._greet(self, again=True)
        while await self._engine._round(self):
            pass

    async def hear(self, home_id: str) -> None:
        """Hear what there is of a home, and say nothing."""
        await self._engine._greet(self, again=True)
        while await self._engine._catching_up._pull(self, home_id):
            pass

    async def secret(self, place: str) -> bytes | None:
        """What the vault has there."""
        return await self.api.store.read(lambda reader: self.api.store.vault.fetch(reader, place))

    async def keys(self, home_id: str) -> dict[str, Any]:
        """As its owner sees them here."""
        answer = await self.owner.get(f"/api/homes/{home_id}/keys")
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body


class Estate:
    """Anna's home, founded at the hub `one` with a secret of each sort in it. `wire`: what has crossed."""

    def __init__(self, cloud: Api, hubs: dict[str, Hub], wire: list[bytes]) -> None:
        self.cloud = cloud
        self.hubs = hubs
        self.wire = wire
        # How every node names her.
        self.anna = ""
        self.home = ""
        self.network = ""
        self.places: dict[str, bytes] = {}

    @property
    def one(self) -> Hub:
        """Where the home comes from."""
        return self.hubs["one"]

    @property
    def two(self) -> Hub:
        """A second."""
        return self.hubs["two"]

    @property
    def path(self) -> str:
        """In the API."""
        return f"/api/homes/{self.home}"

    async def level(self) -> None:
        """Everybody talks until nobody has anything to say."""
        for _ in range(6):
            for hub in self.hubs.values():
                await hub.talk()

    async def build(self) -> None:
        """The home, before it has a cloud."""
        hub = self.one
        hub.owner = await hub.api.person("anna")
        self.anna = await key_of(hub.api, account_of(hub.owner))
        self.home = await home_of(hub.owner)
        await self.set_password(PASSWORD)
        await bind(hub.api, self.home, "lamp-1")
        new = NewRegistration(product_id="lamp", node_id="n1", secret=SECRET, link="mqtt")
        made = await hub.api.store.write(
            lambda tx: hub.api.services.devices.credentials.register_in(tx, BY_SYSTEM, self.home, new)
        )
        sensor = await bind(hub.api, self.home, "sensor-1")
        await hub.api.store.write(
            lambda tx: hub.api.services.devices.sensors.keep_in(tx, sensor, SensorSecret(SENSOR_KEY, 7))
        )
        await hub.api.store.write(partial(self._mesh_in, hub))
        card = place_of(self.home, hub.id)
        await hub.api.store.write(lambda tx: hub.api.store.vault.keep(tx, card, CARD))
        rows = ("bindings/lamp-1", f"device-secrets/{made.device.id}/primary", f"sensors/{sensor}")
        more = (card, f"wifi_network/{self.network}", f"mesh/{self.home}/own", f"mesh/{self.home}/net/0")
        self.places = {row: await hub.secret(row) or b"" for row in (*rows, *more)}
        assert all(len(secret) >= 8 for secret in self.places.values())

    def _mesh_in(self, hub: Hub, tx: Tx) -> None:
        HomeStore(hub.api.store, self.home).create_in(tx, _new_network(), "00000000-0000-4000-8000-000000000001")

    async def set_password(self, password: str, hub: Hub | None = None) -> None:
        """The home's Wi-Fi has this one from now on."""
        owner = (hub or self.one).owner
        made = await owner.post(f"{self.path}/networks", json={"ssid": "Linde", "password": password})
        assert made.status_code == 201, made.text
        self.network = made.json()["id"]

    async def enrol(self, name: str) -> None:
        """The cloud takes a hub in, and has it serve the home if that is there."""
        hub, hubs = self.hubs[name], self.cloud.services.enrolment.hubs
        account = await self.cloud.person(f"owner of {name}")
        row = EnrolledHub(hub.id, b"k" * 32, b"s" * 32, name, account_of(account), hub.node, 1, 1, 1, None, None)
        await self.cloud.store.write(lambda tx: hubs.keep_in(tx, SYSTEM, "hub.enrolled", row))

    async def join(self) -> None:
        """The home has a cloud, and its first hub the first key."""
        await self.enrol("one")
        await self.one.found(self.home)
        await self.level()

    async def attach(self, name: str) -> Hub:
        """Another hub serves the home; nobody has let it in."""
        await self.enrol(name)
        hub, hubs = self.hubs[name], self.cloud.services.enrolment.hubs
        await self.cloud.store.write(lambda tx: hubs.attach_in(tx, hub.id, self.home))
        await self.level()
        hub.owner = await client_of(hub.api, self.anna)
        return hub

    async def detach(self, name: str) -> None:
        """A hub serves the home no longer."""
        hub, hubs = self.hubs[name], self.cloud.services.enrolment.hubs
        await self.cloud.store.write(lambda tx: hubs.detach_in(tx, hub.id, self.home))

    async def at_cloud(self) -> httpx2.AsyncClient:
        """Anna, there."""
        return await client_of(self.cloud, self.anna)

    async def register_phone(self, reader_id: str, key: bytes, at: Hub | None = None) -> None:
        """Anna has the home's secrets sealed for a phone, too."""
        api = (at or self.one).api
        row = "INSERT INTO readers(id,account_id,name,seal_key,created_at) VALUES(?,?,?,?,1)"
        await self._phones_change(api, row, lambda account_id: (reader_id, account_id, "a phone", key))

    async def remove_phone(self, reader_id: str, at: Hub | None = None) -> None:
        """And no more."""
        api = (at or self.one).api
        await self._phones_change(api, "DELETE FROM readers WHERE id=?", lambda _: (reader_id,))

    async def _phones_change(self, api: Api, sql: str, row: Callable[[str], tuple[Any, ...]]) -> None:
        account_id = await known_at(api, self.anna)

        def act(tx: Tx) -> None:
            tx.run(sql, row(account_id))
            api.services.sealing.readers_changed_in(tx, BY_SYSTEM, account_id)

        await api.store.write(act)

    async def admit(self, hub: Hub, at: Hub) -> httpx2.Response:
        """Anna reads the code off a hub, and types it at another."""
        code = (await hub.keys(self.home))["code"]
        return await at.owner.post(f"{self.path}/hubs/{hub.id}/admit", json={"code": code})

    async def entities(self, kind: str) -> dict[str, dict[str, Any]]:
        """As the cloud has them."""
        found = await self.cloud.store.read(lambda reader: queries.entities_of(reader, self.home, kind))
        return {it.id: it.fields for it in found}


@asynccontextmanager
async def estate(folder: Path, *names: str) -> AsyncIterator[Estate]:
    """A cloud, and hubs of these names; the home is built at the hub "one"."""
    wire: list[bytes] = []
    async with AsyncExitStack() as stack:
        cloud = await stack.enter_async_context(Api(folder / "cloud", is_cloud=True))
        hubs = {}
        for name in ("one", *names):
            api = await stack.enter_async_context(Api(folder / name))
            hubs[name] = Hub(api, (await api.store.read(read_hub)).node_id, cloud, wire)
        made = Estate(cloud, hubs, wire)
        await made.build()
        yield made
