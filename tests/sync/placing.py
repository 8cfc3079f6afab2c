"""A home that stands on two nodes, and what is carried between them without a network."""

from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
from litestar.types import ASGIApp, Receive, Scope, Send

from app.caller import BY_SYSTEM, Caller
from app.devices.memory import Memory
from app.devices.model import NewDevice
from app.homes import queries as home_queries
from app.homes.model import Home, Room
from app.policy import SYSTEM
from app.server import application
from app.services import Services
from app.store.prepare import open_store
from app.store.tx import Reader, Tx
from app.sync.kinds import RANK, Item, Kind
from pairing.wifi import WifiNetwork
from tests.api.harness import Api
from tests.api.households import account_of, join
from tests.api.things import bind

OURS = ("wifi_network", "device", "names", "device_user", "group")
Entities = dict[str, dict[str, dict[str, Any]]]


def kinds_of(api: Api) -> dict[str, Kind]:
    """Those of things, in the order they are put."""
    found = (kind for kind in api.services.facts if kind.name in OURS)
    return {kind.name: kind for kind in sorted(found, key=lambda kind: RANK[kind.name])}


async def entities_of(api: Api, home_id: str) -> Entities:
    """Every fact of a home, by kind and id."""

    def ask(reader: Reader) -> Entities:
        return {name: dict(_entities(reader, kind, home_id)) for name, kind in kinds_of(api).items()}

    return await api.store.read(ask)


def _entities(reader: Reader, kind: Kind, home_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for entity_id in kind.ids_in(reader, home_id):
        fields = kind.read_in(reader, home_id, entity_id, None)
        assert fields is not None, f"{kind.name} {entity_id} is listed and not there"
        yield entity_id, fields


async def entity_of(api: Api, home_id: str, kind: str, entity_id: str) -> dict[str, Any] | None:
    """One fact."""
    return await api.store.read(lambda reader: kinds_of(api)[kind].read_in(reader, home_id, entity_id, None))


async def put(
    api: Api, home_id: str, kind: str, changes: Mapping[str, Mapping[str, Any] | None], by: Caller = BY_SYSTEM
) -> None:
    """In one act."""
    items = [Item(entity_id, fields, by) for entity_id, fields in changes.items()]
    await api.store.write(lambda tx: kinds_of(api)[kind].put_in(tx, home_id, items))


async def carry(source: Api, target: Api, home_id: str, *, by: Caller = BY_SYSTEM) -> None:
    """Have `target` what `source` has: what goes goes first, the last kind first."""
    wanted, there = await entities_of(source, home_id), await entities_of(target, home_id)

    def act(tx: Tx) -> None:
        kinds = kinds_of(target)
        for name, kind in reversed(kinds.items()):
            kind.put_in(tx, home_id, [Item(each, None, by) for each in there[name].keys() - wanted[name].keys()])
        for name, kind in kinds.items():
            kind.put_in(tx, home_id, [Item(each, fields, by) for each, fields in wanted[name].items()])

    await target.store.write(act)


async def furnish(
    api: Api, home: Home, rooms: list[Room] | None = None, owner: httpx2.AsyncClient | None = None
) -> httpx2.AsyncClient:
    """A home with these rooms, and its owner, on another node; returns the owner's client there."""
    owner = owner or await api.person("anna")

    def act(tx: Tx) -> None:
        home_queries.insert_home(tx, home)
        api.services.standings.keep_home(tx, home)
        for room in rooms or ():
            home_queries.insert_room(tx, room)
            api.services.rooms.rooms.put(tx, room.id, room)

    await api.store.write(act)
    await join(api, f"/homes/{home.id}", owner, "owner")
    return owner


class Node(Api):
    """A hub whose face is made when somebody first speaks to it: of a test's time it is most."""

    async def __aenter__(self) -> "Node":
        self.store = await open_store(self._folder, clock=self.clock)
        self.services = Services(self.store, self._limits)
        await self.services.start("Doorstep")
        made: list[ASGIApp] = []

        async def face(scope: Scope, receive: Receive, send: Send) -> None:
            if not made:
                made.append(application(self.services, self.services.credentials, self.clock).asgi)
            await made[0](scope, receive, send)

        self.app = face
        return self


class House:
    """A home on a hub of its own (`here`) and, empty, on another node (`there`)."""

    def __init__(self, here: Api, there: Api) -> None:
        self.here, self.there = here, there
        self.home_id = self.room_id = ""
        self.anna: httpx2.AsyncClient
        self.anna_there: httpx2.AsyncClient

    async def found(self) -> None:
        self.anna = await self.here.person("anna")
        by = Caller(self.here.actor(account_of(self.anna)))
        services = self.here.services
        self.home_id = (await services.homes.create(by, name="Lindenweg", time_zone="Europe/Berlin")).id
        self.room_id = (await services.rooms.create(by, self.home_id, name="Kitchen", icon="")).id
        self.anna_there = await furnish(self.there, await self.home(), await self.rooms())

    async def home(self) -> Home:
        home = await self.here.store.read(lambda reader: home_queries.home(reader, self.home_id))
        assert home is not None
        return home

    async def rooms(self) -> list[Room]:
        return await self.here.store.read(lambda reader: home_queries.rooms_of(reader, self.home_id))

    async def carry(self) -> None:
        """What is here is there, too."""
        await carry(self.here, self.there, self.home_id)
        assert await entities_of(self.there, self.home_id) == await entities_of(self.here, self.home_id)
        await memory_is_disk(self.there)

    async def fill(self) -> dict[str, Any]:
        """One or several of everything."""
        services = self.here.services
        lamp = await bind(self.here, self.home_id, "lamp-1", room_id=self.room_id, name="Reading", serial="S1")
        gateway = await bind(self.here, self.home_id, "gateway-1", product="gateway", firmware="1.2")
        child = await bind_behind(self.here, self.home_id, "gateway-1/7", gateway)
        frozen = await bind(self.here, self.home_id, "lamp-2", room_id=self.room_id)
        reset = await bind(self.here, self.home_id, "lamp-3")
        alerting = {"icon": "desk-lamp", "position": 3, "offline_alert_after": 0}
        ok(await self.anna.patch(f"/api/devices/{lamp}", json=alerting))
        ok(await self.anna.patch(f"/api/devices/{lamp}/names", json={"names": {"light": {"on": "Bulb"}}}))
        ok(await self.anna.post(f"/api/devices/{frozen}/freeze"))
        ok(await self.anna.post(f"/api/devices/{reset}/reset", json={}))
        person = {"nick_name": "Ben", "sex": "male", "weight": 70_000}
        user = ok(await self.anna.post(f"/api/devices/{lamp}/users", json=person)).json()["id"]
        members = {"name": "Evening", "devices": [frozen, lamp, child], "least": "admin"}
        group = ok(await self.anna.post(f"/api/homes/{self.home_id}/groups", json=members)).json()["id"]
        wifi = WifiNetwork("Linden", "secret-12345", "aa:bb:cc:dd:ee:ff")
        await self.here.store.write(lambda tx: services.networks.joined_in(tx, SYSTEM, self.home_id, wifi))
        devices = {"lamp": lamp, "gateway": gateway, "child": child, "frozen": frozen, "reset": reset}
        return {"devices": devices, "user": user, "group": group}


def ok(answer: httpx2.Response) -> httpx2.Response:
    assert answer.status_code in (200, 201, 202, 204), answer.text
    return answer


async def bind_behind(api: Api, home_id: str, hardware: str, gateway_id: str, product: str = "lamp") -> str:
    new = NewDevice(home_id=home_id, hardware_id=hardware, product_id=product, gateway_id=gateway_id)
    return (await api.store.write(lambda tx: api.services.devices.bind_in(tx, BY_SYSTEM, new))).id


def remembered(memory: Memory) -> dict[str, Any]:
    """All of it, as it can be compared."""
    lives = {live.device.id: (live.device, live.names, live.view().services) for live in memory.devices.values()}
    bonds = {it: bond for it in memory._hardware + memory._removed if (bond := memory.bonds.get(it)) is not None}
    indexes = (memory._bound, memory._hardware, memory._removed, memory._ids)
    return {"lives": lives, "bonds": bonds, "count": len(memory.bonds), "indexes": indexes}


async def memory_is_disk(api: Api) -> None:
    """What is resident is what a start would load."""

    def load(reader: Reader) -> tuple[dict[str, Any], dict[str, Any]]:
        memory = Memory(api.store)
        memory.devices.load(reader)
        memory.bonds.load(reader)
        groups = dict(api.services.groups.access.groups._load(reader))
        return remembered(memory), groups

    devices, groups = await api.store.read(load)
    for part, of_disk in devices.items():
        assert remembered(api.services.devices.memory)[part] == of_disk, part
    access = api.services.groups.access
    assert {it.id: it for it in access.groups.values()} == groups
    of_device: dict[str, set[str]] = {}
    for group in groups.values():
        for device_id in group.devices:
            of_device.setdefault(device_id, set()).add(group.id)
    assert access._of_device == of_device
