"""Facts of things as anybody may make them, as the tables tell of their changes, and how long many take."""

import asyncio
import hashlib
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.caller import Caller
from app.clock import LAST_MS
from app.homes.model import Home
from app.homes.queries import insert_home
from app.ids import new_id
from app.policy import SYSTEM
from app.store.connection import open_plain
from app.store.folder import DATABASE
from app.store.tx import Reader, Tx
from app.sync.kinds import Fields, Watch
from pairing.wifi import WifiNetwork
from tests.api.harness import Api
from tests.api.things import bind
from tests.sync.placing import OURS, House, Node, entities_of, furnish, kinds_of, memory_is_disk, ok, put

# What a fact is found by, or what only this node says of its row.
UNSAID = {
    "devices": {"id", "version", "updated_at"},
    "bindings": {"hardware_id"},
    "device_users": {"id", "version"},
    "groups": {"id", "version"},
    "wifi_networks": {"id"},
    "hub": {"hub_id"},
}
Columns = set[tuple[str, str]]
NOT_OURS = ("json_each", "sqlite_master")
SYNCED = 500
# Of this test's home: the ids that facts may name, there or not.
NAMES = tuple(f"thing-{n}" for n in range(6))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A home on two nodes."""
    async with Node(tmp_path / "here") as here, Node(tmp_path / "there") as there:
        made = House(here, there)
        await made.found()
        yield made


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Api]:
    """A node nobody uses."""
    async with Node(tmp_path / "node") as api:
        yield api


# what is watched


def columns_read(folder: Path, api: Api, home_id: str, entities: dict[str, list[str]]) -> dict[str, Columns]:
    """Which columns of which tables `read_in` of each kind asks for, as SQLite itself says."""
    found: dict[str, Columns] = {}
    for name, kind in kinds_of(api).items():
        # A connection of its own for each: what is prepared already is not asked about.
        db = open_plain(folder / DATABASE, read_only=True)
        read: Columns = set()

        def note(action: int, table: str | None, column: str | None, *_: object, read: Any = read) -> int:
            if action == sqlite3.SQLITE_READ and table and column and table not in NOT_OURS:
                read.add((table, column))
            return sqlite3.SQLITE_OK

        db.set_authorizer(note)
        for entity_id in entities[name]:
            assert kind.read_in(Reader(db), home_id, entity_id, None) is not None
        db.close()
        found[name] = read
    return found


async def test_every_column_a_fact_is_read_from_is_watched(house: House) -> None:
    await house.fill()
    entities = {name: list(found) for name, found in (await entities_of(house.here, house.home_id)).items()}
    assert all(entities[name] for name in OURS)
    folder = house.here.store.path.parent
    read = await asyncio.to_thread(columns_read, folder, house.here, house.home_id, entities)
    for name, kind in kinds_of(house.here).items():
        watched = {(watch.table, column) for watch in kind.watches for column in watch.columns or ()}
        said = {(table, column) for table, column in read[name] if column not in UNSAID.get(table, ())}
        # Where it is read of its device that this is of the home, the device says so itself.
        assert said - watched - {("devices", "home_id")} <= _of_other_kinds(house.here, name), name
        assert said, name


def _of_other_kinds(api: Api, name: str) -> Columns:
    """`names` asks whether there is such a device by its whole entry."""
    devices = kinds_of(api)["device"].watches[0]
    return {("devices", column) for column in devices.columns or ()} if name == "names" else set()


class Noted:
    """The facts that watches tell of, as triggers over their tables."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._seen: list[tuple[str, str, str]] = []

    async def begin(self) -> None:
        await self._api.store.attach(self._prepare, self._capture)

    def _prepare(self, db: sqlite3.Connection) -> None:
        db.execute("CREATE TEMP TABLE noted(home_id, kind, id)")
        for name, kind in kinds_of(self._api).items():
            for n, watch in enumerate(kind.watches):
                for verb, rows in (("INSERT", ("NEW",)), ("UPDATE", ("OLD", "NEW")), ("DELETE", ("OLD",))):
                    db.execute(_trigger(f"{name}_{n}_{verb}", name, watch, verb, rows))

    def _capture(self, tx: Tx) -> None:
        sql = "SELECT DISTINCT home_id, kind, id FROM noted WHERE id IS NOT NULL AND home_id IS NOT NULL"
        self._seen += tx.all(sql)
        tx.run("DELETE FROM noted")

    def taken(self) -> set[tuple[str, str, str]]:
        """Since it was last asked."""
        seen, self._seen = set(self._seen), []
        return seen


def _trigger(name: str, kind: str, watch: Watch, verb: str, rows: tuple[str, ...]) -> str:
    of = f" OF {','.join(watch.columns)}" if verb == "UPDATE" and watch.columns is not None else ""
    about = watch.many or f"SELECT {watch.id} AS id, {watch.home_id} AS home_id"
    note = "".join(
        f"INSERT INTO noted SELECT home_id, '{kind}', id FROM ({about.replace('$.', f'{row}.')});" for row in rows
    )
    return f"CREATE TEMP TRIGGER {name} AFTER {verb}{of} ON main.{watch.table} BEGIN {note} END"


async def test_each_act_tells_which_facts_it_changed(house: House) -> None:
    noted = Noted(house.here)
    await noted.begin()
    home, api, anna = house.home_id, house.here, house.anna
    lamp, other = await bind(api, home, "lamp-1"), await bind(api, home, "lamp-2")
    assert {(home, "device", lamp), (home, "device", other)} <= noted.taken()
    api.services.devices.online(lamp)
    await api.store.write(lambda tx: api.services.devices.presence._put_seen(tx, [lamp]))
    await api.services.devices.reported(lamp, "light", {"on": True})
    assert noted.taken() == set()
    device = f"/api/devices/{lamp}"
    ok(await anna.patch(f"{device}/names", json={"names": {"light": {"on": "Bulb"}}}))
    assert (home, "names", lamp) in noted.taken()
    user = ok(await anna.post(f"{device}/users", json={"nick_name": "Ben", "sex": "male"})).json()["id"]
    assert noted.taken() == {(home, "device_user", user)}
    made = ok(await anna.post(f"/api/homes/{home}/groups", json={"name": "Both", "devices": [lamp, other]})).json()
    assert noted.taken() == {(home, "group", made["id"])}
    await api.store.write(lambda tx: api.services.networks.joined_in(tx, SYSTEM, home, WifiNetwork("Linden")))
    assert [kind for _, kind, _ in noted.taken()] == ["wifi_network"]
    await api.store.write(lambda tx: tx.run("UPDATE bindings SET public_key=? WHERE hardware_id='lamp-1'", (b"k",)))
    assert noted.taken() == {(home, "device", lamp)}
    by = Caller(api.actor(str(anna.headers["authorization"]).removeprefix("Bearer ")))
    second = (await api.services.homes.create(by, name="Lake", time_zone="Europe/Berlin")).id
    ok(await anna.post(f"{device}/transfer", json={"home_id": second}))
    moved = noted.taken()
    kinds = ("device", "names")
    assert {(at, kind, lamp) for at in (home, second) for kind in kinds} <= moved
    assert {(home, "device_user", user), (home, "group", made["id"])} <= moved
    user = ok(await anna.post(f"{device}/users", json={"nick_name": "Eva", "sex": "female"})).json()["id"]
    noted.taken()
    ok(await anna.delete(device))
    gone = noted.taken()
    assert {(second, "device", lamp), (second, "names", lamp), (second, "device_user", user)} <= gone
    for _, kind, entity_id in gone:
        assert await api.store.read(lambda r, k=kind, i=entity_id: kinds_of(api)[k].read_in(r, second, i, {})) is None  # type: ignore[misc]


# whatever they are


def text(least: int = 0) -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=["Cs"]), min_size=least, max_size=12)


MS = st.integers(0, LAST_MS)
WHOLE = st.integers(-(2**53), 2**53)
DEVICE = st.fixed_dictionaries(
    {"product_id": st.sampled_from(["lamp", "plug", "gateway", "hoverboard-9"]), "owner_epoch": st.integers(1, 9)},
    optional={
        "hardware_id": st.sampled_from(NAMES),
        "public_key": st.binary(min_size=1, max_size=40).map(bytes.hex),
        "gateway_id": st.sampled_from(NAMES),
        "room_id": text(1),
        "link": text(),
        "trust": text(),
        "name": text(),
        "icon": text(),
        "position": WHOLE,
        "firmware": text(),
        "serial": text(),
        "holder": text(1),
        "standby": text(1),
        "bound_at": MS,
        "unbound_at": MS,
        "frozen_at": MS,
        "offline_alert_after": WHOLE,
    },
)
PART = st.tuples(st.text("abc", min_size=1), st.text("abc/", min_size=1)).map("/".join)
USER = st.fixed_dictionaries(
    {"device_id": st.sampled_from(NAMES), "sex": st.sampled_from(["male", "female"])},
    optional={"nick_name": text(), "contact": text(), "birthday": MS, "height": WHOLE, "weight": WHOLE},
)
GROUP = st.builds(
    lambda said, places: said | {f"device/{device_id}": at for device_id, at in places.items()},
    st.fixed_dictionaries(
        {"created_at": MS, "least": st.sampled_from(["owner", "admin", "member", "guest"])},
        optional={"name": text(), "icon": text()},
    ),
    st.dictionaries(st.sampled_from(NAMES), WHOLE),
)
NETWORK = st.fixed_dictionaries(
    {"ssid": text(1).filter(lambda it: len(it.encode()) <= 32), "secured": st.booleans(), "created_at": MS},
    optional={"bssid": st.just("aa:bb:cc:dd:ee:ff"), "used_at": MS},
)
ENTITIES = st.fixed_dictionaries(
    {
        "wifi_network": st.dictionaries(st.sampled_from(NAMES), st.none() | NETWORK),
        "device": st.dictionaries(st.sampled_from(NAMES), st.none() | DEVICE),
        "names": st.dictionaries(st.sampled_from(NAMES), st.none() | st.dictionaries(PART, text(1))),
        "device_user": st.dictionaries(st.sampled_from(NAMES), st.none() | USER),
        "group": st.dictionaries(st.sampled_from(NAMES), st.none() | GROUP),
    }
)


# Each is much of a home: making a failing one smaller takes minutes.
@settings(
    max_examples=25,
    deadline=None,
    phases=(Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rounds=st.lists(ENTITIES, min_size=1, max_size=3))
async def test_whatever_is_put_stands_as_far_as_it_can(node: Api, rounds: list[dict[str, Any]]) -> None:
    mark = new_id(1)
    home = Home(mark, "Any", "Europe/Berlin", None, None, "", epoch=1, version=1, created_at=0)
    await node.store.write(lambda tx: insert_home(tx, home))

    def own(name: str) -> str:
        return f"{mark}-{name}"

    for changes in rounds:
        for kind, entities in changes.items():
            mine = {own(it): None if said is None else _own(own, kind, it, said) for it, said in entities.items()}
            await put(node, home.id, kind, mine)
            there = (await entities_of(node, home.id))[kind]
            bound: dict[str, int] = dict(
                await node.store.read(lambda r: r.all("SELECT hardware_id, owner_epoch FROM bindings"))
            )
            for entity_id, said in mine.items():
                if said is None:
                    assert entity_id not in there
                elif kind == "device" and (holder := _holder(there, said)) not in (None, entity_id):
                    # That hardware is another's, bound no earlier: this one is not, or as it was with its own.
                    assert there[holder]["owner_epoch"] >= said["owner_epoch"]
                elif entity_id in there:
                    assert _kept(kind, there[entity_id]) == _kept(
                        kind, said | _left(kind, said, there[entity_id], bound)
                    )
                else:
                    assert kind != "group"
            await put(node, home.id, kind, mine)
            assert (await entities_of(node, home.id))[kind] == there
    await memory_is_disk(node)
    for live in node.services.devices.memory.in_place(home.id):
        assert live.device.id.encode() in live.inside()
        assert live.outside()


def _holder(there: dict[str, dict[str, Any]], said: Fields) -> str | None:
    """Whose hardware it is."""
    return next((it for it, fields in there.items() if fields["hardware_id"] == said["hardware_id"]), None)


def _own(own: Any, kind: str, name: str, said: dict[str, Any]) -> dict[str, Any]:
    """With the ids of this home."""
    given = {k: own(v) if k in ("hardware_id", "gateway_id", "device_id") else v for k, v in said.items()}
    if kind == "device":
        given.setdefault("hardware_id", own(f"of {name}"))
    return {"device/" + own(k.partition("/")[2]) if k.startswith("device/") else k: v for k, v in given.items()}


def _left(kind: str, said: Fields, there: Fields, bound: dict[str, int]) -> dict[str, Any]:
    """What may be otherwise than it was put: what is not there, what only rises."""
    if kind == "device":
        assert there["owner_epoch"] >= said["owner_epoch"]
        loose = ("room_id", "gateway_id", "owner_epoch", "public_key")
        assert there.get("gateway_id") in (None, said.get("gateway_id"))
        assert "room_id" not in there
        stale = bound[said["hardware_id"]] > said["owner_epoch"]
        return {k: there.get(k) for k in loose if k != "public_key" or stale}
    if kind == "group":
        return {k: there.get(k) for k in said if k.startswith("device/")}
    return {}


def _kept(kind: str, fields: Fields) -> dict[str, Any]:
    """As it reads: without what says nothing, and with what is so by itself."""
    usual = {"position": 0, "bound_at": 0} if kind == "device" else {}
    return usual | {k: v for k, v in fields.items() if v is not None and v != ""}


# how long it takes


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.full)])
async def test_a_first_sync_of_many_devices(node: Api, count: int) -> None:
    home = Home(new_id(1), "Large", "Europe/Berlin", None, None, "", epoch=1, version=1, created_at=0)
    await furnish(node, home)
    ids = [new_id(1_700_000_000_000 + n) for n in range(count)]
    wanted = {device_id: _lamp(n) for n, device_id in enumerate(ids)}
    began = time.perf_counter()
    for start in range(0, count, SYNCED):
        await put(node, home.id, "device", {it: wanted[it] for it in ids[start : start + SYNCED]})
    took = time.perf_counter() - began
    print(f"{count} devices put in batches of {SYNCED}: {took:.2f} s, {took / count * 1e6:.0f} us each")
    assert (await entities_of(node, home.id))["device"] == wanted
    await memory_is_disk(node)


def _lamp(n: int) -> dict[str, Any]:
    key = hashlib.sha256(str(n).encode()).hexdigest()
    own = {"name": f"Lamp {n}", "hardware_id": key[:32], "public_key": key, "firmware": "1.0", "icon": "lamp"}
    held = {"holder": "hub-b", "owner_epoch": 1, "bound_at": 1_700_000_000_000, "position": 0}
    return {"product_id": "lamp", "link": "lan", "trust": "first-use", **own, **held}
