"""A key of one home, tried on every operation with the ids of another: nothing of that is seen, nothing changed."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio

from app.dialects.tuya.operations import Operation
from app.dialects.tuya.routes import OPERATIONS
from app.policy import Action
from app.store.tx import Reader
from tests.api.harness import Api
from tests.dialects.tuya.signer import TuyaClient, tuya_client
from tests.security.world import LOOSE, Ids, World, build

pytestmark = pytest.mark.asyncio(loop_scope="module")

# What ends the things that the others are tried on, in this order, at the very end.
ENDING = ("DELETE", "reset", "freeze", "transfer")
# What answers of no one home, to whoever is signed in.
OF_NO_HOME = Action.SELF
NAMES = {"uid": "account_id", "space_id": "home_id", "user_id": "user_id"}
STATUS_TOLD = "SELECT 1 FROM events WHERE home_id=? AND type='sync.status'"
FIXED = {"category": "dj", "function_code": "switch_led", "schema": "app", "name": "Renamed", "task_id": "done-1"}


class Tried:
    """The world, and the client of a key of the home `here`."""

    def __init__(self, world: World, client: TuyaClient) -> None:
        self.world = world
        self.client = client

    async def ask(self, operation: Operation, ids: Ids) -> dict[str, Any]:
        """The envelope an operation answers with for the things in `ids`."""
        query = urlencode(everything(ids, ",".join))
        body = None if operation.method == "GET" else everything(ids, list)
        return await self.client.send(operation.method, f"{path_of(operation, ids)}?{query}", body)


def path_of(operation: Operation, ids: Ids) -> str:
    """The operation's path with those ids in it."""
    filled = operation.path
    for name in [part.partition("}")[0] for part in filled.split("{")[1:]]:
        value = getattr(ids, NAMES.get(name, name), "") or FIXED.get(name, "none")
        filled = filled.replace(f"{{{name}}}", value)
    return filled


def everything(ids: Ids, many: Any) -> dict[str, Any]:
    """Whatever any operation takes, naming those things: fields that one does not know it passes over."""
    home = {"name": "Renamed", "geo_name": "", "lat": 1.0, "lon": 1.0}
    member = {"member_account": f"new-{ids.home_id}", "admin": False, "name": "x"}
    shared: dict[str, Any] = {
        "uid": ids.account_id,
        "home_id": ids.home_id,
        "space_id": ids.home_id,
        "asset_id": ids.home_id,
        "parent_id": ids.home_id,
        "owner_id": ids.home_id,
        "group_id": ids.group_id,
        "device_ids": many([ids.device_id]),
        "name": "Renamed",
        "state": 1,
        "type": 1,
        "size": 20,
        "start_time": 0,
        "end_time": 0,
        "codes": "switch_led",
        "pid": "lamp",
    }
    if many is not list:
        return shared | {"space_ids": ids.home_id, "type": "1,2,7", "start_time": 1, "discovery_time": 1}
    return shared | {
        "home": home,
        "member": member,
        "group_name": "Renamed",
        "custom_name": "x",
        "identifier": "switch_led",
        "nick_name": "x",
        "sex": 1,
        "paring_type": "EZ",
        "commands": [{"code": "switch_led", "value": True}],
        "properties": {"switch_led": True},
        "code": "none",
        "duration": 60,
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tried(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tried]:
    async with Api(tmp_path_factory.mktemp("tuya"), LOOSE) as api:
        world = await build(api)
        api.services.devices.online(world.here.device_id)
        # Time has passed in that world: what was asked of its devices expires.
        while api.services.control.dispatch.count(world.there.device_id):
            await asyncio.sleep(0.02)
        # How that home stands to a cloud is told once, some time after it is known.
        while not await api.store.read(lambda reader: reader.one(STATUS_TOLD, (world.there.home_id,))):
            await asyncio.sleep(0.02)
        yield Tried(world, await tuya_client(api, world.client("owner"), world.here.home_id))


def rows_of(reader: Reader, home_id: str) -> dict[str, list[Any]]:
    """Everything on disk about a home and what is in it."""
    tables = [row[0] for row in reader.all("SELECT name FROM sqlite_schema WHERE type='table'")]
    found = {}
    for table in tables:
        columns = [row[1] for row in reader.all(f"PRAGMA table_info({table})")]
        if "home_id" in columns:
            found[table] = reader.all(f"SELECT * FROM {table} WHERE home_id=? ORDER BY 1,2", (home_id,))
        elif "device_id" in columns:
            sql = f"SELECT * FROM {table} WHERE device_id IN (SELECT id FROM devices WHERE home_id=?) ORDER BY 1,2"
            found[table] = reader.all(sql, (home_id,))
    return found


def harmless(operation: Operation) -> bool:
    return not any(word in f"{operation.method} {operation.path}" for word in ENDING)


TRIED = [operation for operation in OPERATIONS if operation.action is not Action.PUBLIC]


async def test_nothing_of_another_home_is_seen_or_changed(tried: Tried) -> None:
    there, store = tried.world.there, tried.world.api.store
    before = await store.read(lambda reader: rows_of(reader, there.home_id))
    secrets = [value for value in (getattr(there, name) for name in there.__struct_fields__) if len(value) > 30]
    for operation in TRIED:
        envelope = await tried.ask(operation, there)
        if envelope["success"]:
            told = json.dumps(envelope["result"])
            assert [secret for secret in secrets if secret in told] == [], operation
            assert "There" not in told, operation
    after = await store.read(lambda reader: rows_of(reader, there.home_id))
    assert {table: [row for row in rows if row not in before[table]] for table, rows in after.items()} == {
        table: [] for table in before
    }
    assert after == before


async def test_the_same_requests_do_something_at_home(tried: Tried) -> None:
    """So that what is refused above is refused for the home it is about."""
    here = tried.world.here
    owner = tried.world.account("owner")
    done: list[Operation] = []
    refused: dict[int, list[str]] = {}
    for operation in sorted(TRIED, key=lambda operation: (not harmless(operation), operation.path)):
        ids = here if "members/{uid}" in operation.path else _mine(here, owner)
        envelope = await tried.ask(operation, ids)
        if envelope["success"]:
            done.append(operation)
        else:
            refused.setdefault(envelope["code"], []).append(f"{operation.method} {operation.path}")
    assert len(done) > len(TRIED) / 2, refused
    assert 500 not in refused, refused


def _mine(ids: Ids, account_id: str) -> Ids:
    """The same things, for who asks as themselves."""
    return Ids(**{name: getattr(ids, name) for name in ids.__struct_fields__} | {"account_id": account_id})
