"""The short way beside Litestar gives the answers and refusals of the ordinary way, to the byte."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import httpx2
import pytest
import pytest_asyncio

from app.server import application
from app.store.tx import Event
from tests.api.harness import Api
from tests.security.rehearsal import rehearsing
from tests.security.world import ACTORS, LOOSE, World, build

pytestmark = pytest.mark.asyncio(loop_scope="module")

ON = {"service": "light", "values": {"on": True}}
# What may differ between two answers: when, and what a new thing is called.
VARYING = re.compile(r'"(id|request_id|created_at|expires_at|time)":"[^"]*"')


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with Api(tmp_path_factory.mktemp("lanes"), LOOSE) as api:
        yield await build(api)


@pytest.fixture(autouse=True)
def rehearsed(world: World) -> Iterator[None]:
    events: list[Event] = []
    with rehearsing(world.api.store, events):
        yield


class Both:
    """Asks by both ways."""

    def __init__(self, world: World) -> None:
        services, clock = world.api.services, world.api.clock
        apps = [application(services, services.credentials, clock, fast=fast) for fast in (True, False)]
        self._ways = [httpx2.ASGITransport(app=cast("Any", app)) for app in apps]

    async def __call__(self, token: str | None, method: str, path: str, **what: Any) -> httpx2.Response:
        """The answer of both, which must be the same."""
        stated = what.pop("headers", {}) | ({} if token is None else {"Authorization": f"Bearer {token}"})
        headers = [(name.encode(), value.encode("latin-1")) for name, value in stated.items()]
        answers = []
        for way in self._ways:
            request = httpx2.Request(method, f"http://hub{path}", headers=headers, **what)
            answer = await way.handle_async_request(request)
            await answer.aread()
            answers.append(answer)
        fast, ordinary = map(comparable, answers)
        assert fast == ordinary
        return answers[0]


@pytest.fixture(scope="module")
def both(world: World) -> Both:
    return Both(world)


def comparable(answer: httpx2.Response) -> tuple[int, str, dict[str, str]]:
    headers = {k: v for k, v in answer.headers.items() if k not in ("x-request-id", "content-length")}
    return answer.status_code, VARYING.sub("", answer.text), headers


def _paths(world: World) -> list[str]:
    ids = (world.here.device_id, world.other_device, world.there.device_id, "none", "a%2Fb", "%00", "x" * 300, "ä")
    return [f"/api/devices/{device_id}" for device_id in ids]


@pytest.mark.parametrize("actor", ACTORS)
async def test_a_device_read_by_everybody(world: World, both: Both, actor: str) -> None:
    statuses = set()
    for path in _paths(world):
        for way in (path, path + "/", path + "?", path + "?x=1", path + "//"):
            statuses.add((await both(world.tokens[actor], "GET", way)).status_code)
    assert statuses <= {200, 401, 403, 404}


@pytest.mark.parametrize("actor", ACTORS)
async def test_a_command_given_by_everybody(world: World, both: Both, actor: str) -> None:
    statuses = set()
    for path in _paths(world):
        statuses.add((await both(world.tokens[actor], "POST", f"{path}/commands", json=ON)).status_code)
    assert statuses <= {202, 401, 403, 404}


BODIES: list[bytes] = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"{}",
    b'"\xff"',
    b"\xef\xbb\xbf{}",
    b"[" * 5000,
    json.dumps(ON).encode() + b" ",
    json.dumps(ON | {"extra": 1}).encode(),
    json.dumps({"service": "none", "values": {"on": True}}).encode(),
    json.dumps({"service": "light", "values": {}}).encode(),
    json.dumps({"service": "light", "values": {"on": "yes"}}).encode(),
    json.dumps({"service": "light", "values": {"brightness": 1e308}}).encode(),
    json.dumps({"service": "light", "values": {"none": True}}).encode(),
    json.dumps({"service": "light", "kind": "get"}).encode(),
    json.dumps({"service": "light", "kind": "other"}).encode(),
    json.dumps(ON | {"expires_in": 0}).encode(),
    json.dumps(ON | {"expires_in": -1}).encode(),
    b'{"service":"light","values":{"on":true},"service":"light"}',
    b" " * 70_000 + json.dumps(ON).encode(),
    b" " * (2 << 20),
]


@pytest.mark.parametrize("body", BODIES, ids=map(str, range(len(BODIES))))
async def test_whatever_is_sent_as_a_command(world: World, both: Both, body: bytes) -> None:
    path = f"/api/devices/{world.here.device_id}/commands"
    for media_type in ("application/json", "text/plain", None):
        headers = {} if media_type is None else {"Content-Type": media_type}
        for token in (world.tokens["owner"], world.tokens["viewer"], world.tokens["outsider"], None):
            answer = await both(token, "POST", path, content=body, headers=headers)
            assert answer.status_code < 500


HEADERS: list[dict[str, str]] = [
    {"If-Match": '"1"'},
    {"If-Match": "rubbish"},
    {"If-None-Match": '"1"'},
    {"Idempotency-Key": "k"},
    {"Idempotency-Key": ""},
    {"Idempotency-Key": "x" * 300},
    {"Idempotency-Key": "\t"},
    {"Idempotency-Key": "schlüssel"},
    {"Accept": "text/html"},
    {"Accept-Encoding": "gzip"},
    {"Content-Encoding": "gzip"},
    {"X-HTTP-Method-Override": "DELETE"},
    {"Expect": "100-continue"},
]


@pytest.mark.parametrize("headers", HEADERS, ids=str)
async def test_whatever_a_request_states(world: World, both: Both, headers: dict[str, str]) -> None:
    path = f"/api/devices/{world.here.device_id}"
    for token in (world.tokens["owner"], world.tokens["viewer"], world.tokens["outsider"], None):
        assert (await both(token, "GET", path, headers=headers)).status_code < 500
        assert (await both(token, "POST", f"{path}/commands", json=ON, headers=headers)).status_code < 500


@pytest.mark.parametrize("method", ["HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "PROPFIND"])
async def test_any_other_method(world: World, both: Both, method: str) -> None:
    path = f"/api/devices/{world.here.device_id}"
    for way in (path, f"{path}/commands"):
        for token in (world.tokens["owner"], None):
            await both(token, method, way)


async def test_out_of_time_both_refuse_alike(world: World, both: Both) -> None:
    clock = world.api.clock
    path = f"/api/devices/{world.here.device_id}"
    clock.trusted = False
    try:
        for actor in ("guest", "viewer", "owner", "off_guest", "late_viewer"):
            await both(world.tokens[actor], "GET", path)
            await both(world.tokens[actor], "POST", f"{path}/commands", json=ON)
    finally:
        clock.trusted = True
