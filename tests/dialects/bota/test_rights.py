"""Everybody at Bota's two operations: a key is let do what its account may, within its scopes, and nothing else is."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from app.accounts.codes import hash_token
from app.accounts.model import Key
from app.dialects.bota.model import shown_id
from app.policy import Scope
from tests.api.harness import NEVER, Api
from tests.security.rehearsal import rehearsing
from tests.security.rights import HIDDEN, NO, RIGHTS, YES
from tests.security.world import CANARY, INVALID, LOOSE, VALID, World, build

pytestmark = pytest.mark.asyncio(loop_scope="module")

PEOPLE = [name for name in VALID if not name.startswith("key_")]
STATUS = {YES: 200, NO: 403, HIDDEN: 404}
RESETS, READS = RIGHTS["manage the device"], RIGHTS["see the device"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with Api(tmp_path_factory.mktemp("bota"), LOOSE) as api:
        yield await build(api)


@pytest.fixture(autouse=True)
def nothing_is_kept(world: World) -> Iterator[None]:
    with rehearsing(world.api.store, [], []):
        yield


def key_of(world: World, actor: str, name: str, **fields: Any) -> httpx2.AsyncClient:
    """A client with a Bota key of theirs, however little they may have one; in memory alone."""
    secret = f"sk_live_{name}"
    wanted = {"scopes": frozenset(Scope), "home_id": None, "dialect": "bota", "created_at": 0, "expires_at": NEVER}
    key = Key(
        id=f"bota-{name}",
        account_id=world.account(actor),
        name=name,
        secret_hash=hash_token(secret),
        **(wanted | fields),
    )
    world.api.services.credentials.keys.change(key.id, key)
    return world.api.client(secret)


async def asked(world: World, client: httpx2.AsyncClient, device_id: str = "") -> tuple[httpx2.Response, ...]:
    """(a read-back, a reset)."""
    path = f"/v1/devices/{shown_id(device_id or world.here.device_id)}"
    return await client.get(path), await client.post(f"{path}/reset")


@pytest.mark.parametrize("actor", PEOPLE)
async def test_a_key_does_what_its_person_may(world: World, actor: str) -> None:
    read, reset = await asked(world, key_of(world, actor, f"all-of-{actor}"))
    assert read.status_code == STATUS[READS.verdict(actor)]
    assert reset.status_code == STATUS[RESETS.verdict(actor)]
    for answer in (read, reset):
        assert CANARY not in answer.text
        if answer.status_code != 200:
            assert set(answer.json()["error"]) == {"code", "message"}
    if read.status_code == 200 and actor in ("viewer", "controller", "group_controller"):
        shown = read.json()
        assert (shown["end_user_id"], shown["serial_number"]) == (None, "")


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        (frozenset({Scope.READ}), (200, 403)),
        (frozenset({Scope.CONTROL}), (403, 403)),
        (frozenset({Scope.MANAGE}), (403, 200)),
    ],
    ids=["read", "control", "manage"],
)
async def test_within_its_scopes(world: World, scopes: frozenset[Scope], expected: tuple[int, int]) -> None:
    client = key_of(world, "owner", "only-" + "-".join(sorted(scopes)), scopes=scopes)
    answers = await asked(world, client)
    assert tuple(answer.status_code for answer in answers) == expected
    refused = next(answer for answer in answers if answer.status_code == 403)
    assert refused.json()["error"]["code"] == "forbidden"


async def test_in_its_home_alone(world: World) -> None:
    here = key_of(world, "owner", "here", home_id=world.here.home_id)
    there = key_of(world, "owner", "there", home_id=world.there.home_id)
    assert [answer.status_code for answer in await asked(world, here)] == [200, 200]
    assert [answer.status_code for answer in await asked(world, there)] == [404, 404]
    for client in (here, there):
        answers = await asked(world, client, world.there.device_id)
        assert [answer.status_code for answer in answers] == [404, 404]
        missing = await asked(world, client, "01900000-0000-7000-8000-000000000000")
        assert [answer.text for answer in answers] == [answer.text for answer in missing]


async def test_no_other_credential_is_one_here(world: World) -> None:
    expired = key_of(world, "owner", "expired", expires_at=1)
    other_face = key_of(world, "owner", "tuya", dialect="tuya")
    companion = key_of(world, "owner", "companion", dialect="companion")
    clients = {name: world.client(name) for name in (*INVALID, *VALID)}
    clients |= {"expired key": expired, "another face's": other_face, "the companion's": companion}
    for name, client in clients.items():
        for answer in await asked(world, client):
            assert answer.status_code == 401, name
            assert answer.json()["error"]["code"] == "unauthorized", name
            assert answer.headers["www-authenticate"].startswith("Bearer"), name


async def test_and_its_key_is_none_elsewhere(world: World) -> None:
    client = key_of(world, "owner", "elsewhere")
    device_id = world.here.device_id
    for path in (f"/api/devices/{device_id}", "/api/homes", "/api/me"):
        assert (await client.get(path)).status_code == 401
    assert (await client.post("/v1/heartbeat", json={})).status_code == 401
    assert (await client.post(f"/api/devices/{device_id}/reset", json={})).status_code == 401


async def test_a_key_that_was_revoked_is_out_at_once(world: World) -> None:
    client = key_of(world, "owner", "revoked-soon")
    assert [answer.status_code for answer in await asked(world, client)] == [200, 200]
    world.api.services.credentials.keys.change("bota-revoked-soon", None)
    assert [answer.status_code for answer in await asked(world, client)] == [401, 401]
