"""The short way beside Litestar gives the answers and refusals of the ordinary way, to the byte."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

import pytest
import pytest_asyncio

from app.clock import Moment
from app.companion.fast import Asked, FastLane
from app.policy import Actor
from app.server import application
from app.serving import Serving
from app.settings import Settings
from app.store.tx import Event
from app.turn import Turn
from tests.api.harness import Api
from tests.companion.wire import Answer, Wire, asking
from tests.security.rehearsal import rehearsing
from tests.security.world import ACTORS, LOOSE, World, build

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIGHT = {"service": "light", "values": {"on": True}}
ON = json.dumps(LIGHT).encode()
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
    """Asks by both ways, over sockets; `taken` counts what the short way has answered."""

    def __init__(self, short: Wire, ordinary: Wire) -> None:
        self._ways = (short, ordinary)
        self.taken = 0

    async def __call__(
        self, token: str | None, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """The answer of both, which must be the same."""
        octets = asking(method, path, token, body, headers)
        answers = [await way.ask(octets) for way in self._ways]
        fast, ordinary = map(comparable, answers)
        assert fast == ordinary
        return answers[0]

    async def in_two(self, octets: bytes, at: int, between: Callable[[], Awaitable[None]]) -> list[Answer]:
        """The answers to a request that pauses while `between` is done."""
        for way in self._ways:
            await way.begin(octets[:at])
        await between()
        return [await way.ask(octets[at:]) for way in self._ways]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(world: World, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Both]:
    services = world.api.services
    face = application(services, services.credentials, world.api.clock)
    settings = Settings(data=tmp_path_factory.mktemp("doors"), port=0, tls=False)
    doors = (Serving(settings), Serving(settings))
    wires = [
        Wire((await door.open(face.asgi, short)).port) for door, short in zip(doors, (face.short, None), strict=True)
    ]
    asks = Both(wires[0], wires[1])
    with pytest.MonkeyPatch.context() as patch:
        answer = FastLane.answer

        def counted(self: FastLane, asked: Asked, turn: Turn) -> bool:
            asks.taken += (taken := answer(self, asked, turn))
            return taken

        patch.setattr(FastLane, "answer", counted)
        yield asks
    for wire, door in zip(wires, doors, strict=True):
        await wire.close()
        await door.close()


def comparable(answer: Answer) -> tuple[int, str, dict[str, str]]:
    headers = {k: v for k, v in answer.headers.items() if k not in ("x-request-id", "content-length", "date")}
    return answer.status, VARYING.sub("", answer.body.decode()), headers


def _paths(world: World) -> list[str]:
    odd = ("none", "a%2Fb", "%00", "x" * 300, "%C3%A4", "ä", "-", "%6eone")
    ids = (world.here.device_id, world.other_device, world.there.device_id, *odd)
    return [f"/api/devices/{device_id}" for device_id in ids]


@pytest.mark.parametrize("actor", ACTORS)
async def test_a_device_read_by_everybody(world: World, both: Both, actor: str) -> None:
    statuses = set()
    for path in _paths(world):
        for way in (path, path + "/", path + "?", path + "?x=1", path + "//"):
            statuses.add((await both(world.tokens[actor], "GET", way)).status)
    # What is not encoded at all is not HTTP.
    assert statuses <= {200, 400, 401, 403, 404}


@pytest.mark.parametrize("actor", ACTORS)
async def test_a_command_given_by_everybody(world: World, both: Both, actor: str) -> None:
    statuses = set()
    for path in _paths(world):
        statuses.add((await both(world.tokens[actor], "POST", f"{path}/commands", ON)).status)
    assert statuses <= {202, 400, 401, 403, 404}


BODIES: list[bytes] = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"{}",
    b'"\xff"',
    b"\xef\xbb\xbf{}",
    b"[" * 5000,
    ON + b" ",
    json.dumps(LIGHT | {"extra": 1}).encode(),
    json.dumps({"service": "none", "values": {"on": True}}).encode(),
    json.dumps({"service": "light", "values": {}}).encode(),
    json.dumps({"service": "light", "values": {"on": "yes"}}).encode(),
    json.dumps({"service": "light", "values": {"brightness": 1e308}}).encode(),
    json.dumps({"service": "light", "values": {"none": True}}).encode(),
    json.dumps({"service": "light", "kind": "get"}).encode(),
    json.dumps({"service": "light", "kind": "other"}).encode(),
    json.dumps(LIGHT | {"expires_in": 0}).encode(),
    json.dumps(LIGHT | {"expires_in": -1}).encode(),
    b'{"service":"light","values":{"on":true},"service":"light"}',
    b" " * 70_000 + ON,
    b" " * (2 << 20),
]


@pytest.mark.parametrize("body", BODIES, ids=map(str, range(len(BODIES))))
async def test_whatever_is_sent_as_a_command(world: World, both: Both, body: bytes) -> None:
    path = f"/api/devices/{world.here.device_id}/commands"
    for media_type in ("application/json", "text/plain", None):
        headers = {} if media_type is None else {"Content-Type": media_type}
        for token in (world.tokens["owner"], world.tokens["viewer"], world.tokens["outsider"], None):
            answer = await both(token, "POST", path, body, headers)
            assert answer.status < 500


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
        assert (await both(token, "GET", path, headers=headers)).status < 500
        assert (await both(token, "POST", f"{path}/commands", ON, headers)).status < 500


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
            await both(world.tokens[actor], "POST", f"{path}/commands", ON)
    finally:
        clock.trusted = True


async def test_the_usual_goes_the_short_way_and_nothing_else(world: World, both: Both) -> None:
    token, path = world.tokens["owner"], f"/api/devices/{world.here.device_id}"
    before = both.taken
    assert (await both(token, "GET", path)).status == 200
    assert (await both(token, "POST", f"{path}/commands", ON)).status == 202
    assert (await both(token, "POST", f"{path}/commands", ON, {"Idempotency-Key": "once"})).status == 202
    assert (await both(token, "GET", "/api/devices/none")).status == 404
    assert both.taken == before + 4
    await both(None, "GET", path)
    await both(token, "GET", f"{path}?x")
    await both(token, "GET", f"{path}/commands")
    await both(token, "POST", f"{path}/commands", b"{")
    await both(token, "POST", f"{path}/commands?wait=0", ON)
    await both(token, "GET", path, headers={"If-None-Match": "1"})
    assert both.taken == before + 4


async def test_who_is_signed_out_while_sending_is_refused(
    world: World, both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials, token = world.api.services.credentials, world.tokens["owner"] or ""
    session = credentials.sessions.get(world.api.actor(token).credential_id or "")
    assert session is not None
    heads, actor_of = asyncio.Semaphore(0), credentials.actor_of

    def noted(token: bytes, now: Moment) -> Actor | None:
        heads.release()
        return actor_of(token, now)

    async def sign_out() -> None:
        for _ in range(2):
            await heads.acquire()
        credentials.sessions.change(session.id, None)

    monkeypatch.setattr(credentials, "actor_of", noted)
    octets = asking("POST", f"/api/devices/{world.here.device_id}/commands", token, ON)
    try:
        answers = await both.in_two(octets, len(octets) - 5, sign_out)
    finally:
        credentials.sessions.change(session.id, session)
    assert [answer.status for answer in answers] == [401, 401]
    assert comparable(answers[0]) == comparable(answers[1])


async def test_a_mistake_of_the_hub_tells_its_id_alone(
    world: World, both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(*_: object) -> None:
        raise RuntimeError("canary")

    monkeypatch.setattr(world.api.services.devices, "view_bytes", mistaken)
    monkeypatch.setattr(world.api.services.control, "command_in", mistaken)
    token, path = world.tokens["owner"], f"/api/devices/{world.here.device_id}"
    for answer in (await both(token, "GET", path), await both(token, "POST", f"{path}/commands", ON)):
        assert (answer.status, answer.json()["code"]) == (500, "internal")
        assert b"canary" not in answer.body
