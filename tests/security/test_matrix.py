"""Every route of the application, asked by everybody: what they are told is what rights.py says, and nothing more."""

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler

from app.companion.declared import UndeclaredRoute, require_actions
from app.companion.examples import EXAMPLES
from app.policy import Action
from app.server import litestar_of
from tests.api.harness import PATIENT, Api
from tests.api.test_openapi import OPERATIONS
from tests.security.rehearsal import Asked, overheard, rehearsing
from tests.security.rights import HIDDEN, NO, RIGHTS, UNKNOWN, YES
from tests.security.samples import SAMPLES
from tests.security.world import ACTORS, CANARY, LOOSE, VALID, World, build

pytestmark = pytest.mark.asyncio(loop_scope="module")

STATUS = {UNKNOWN: 401, NO: 403, HIDDEN: 404}
# Whoever is invited is told to what.
INVITED = {"acceptInvitation": ("ex_member",), "listOwnInvitations": ("ex_member",)}
IF_MATCH = {"$ref": "#/components/parameters/IfMatch"}
KEY = {"$ref": "#/components/parameters/IdempotencyKey"}
NO_SUCH_ID = "01900000-0000-7000-8000-000000000000"


class Route:
    """One method of one path, as it is wired."""

    def __init__(self, path: str, method: str, handler: HTTPRouteHandler) -> None:
        self.path = path
        self.method = method
        self.handler = handler
        self.name = str(handler.operation_id or f"{method} {path}")
        self.params = re.findall(r"{(\w+)}", path)

    @property
    def action(self) -> Action:
        action: Action = self.handler.opt["action"]
        return action

    @property
    def has_body(self) -> bool:
        return self.handler.parsed_data_field is not None


def _routes() -> dict[str, Route]:
    found = [
        Route(route.path_format, str(method), handler)
        for route in litestar_of(is_cloud=False, body_bytes=PATIENT.body_bytes).routes
        for handler in getattr(route, "route_handlers", ())
        for method in handler.http_methods
        if method != "OPTIONS"
    ]
    return {route.name: route for route in found}


ROUTES = _routes()
# A stream that is allowed does not end; who hears what of it is test_events_matrix.
STREAMS = {"listenToEvents"}
# What devices ask in a protocol of others has its own credentials and refusals (tests/links/iotda/test_https).
OF_DEVICES = {name for name, route in ROUTES.items() if not route.path.startswith("/api/")}
for name in OF_DEVICES:
    del ROUTES[name]
TRIED = sorted(set(ROUTES) - STREAMS)
WITH_IDS = [
    (name, param) for name in TRIED for param in ROUTES[name].params if ROUTES[name].action is not Action.PUBLIC
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with Api(tmp_path_factory.mktemp("matrix"), LOOSE) as api:
        yield await build(api)


async def test_every_route_has_a_sample_and_every_sample_a_route() -> None:
    assert sorted(set(ROUTES) - STREAMS - set(SAMPLES)) == [], "add a line to samples.py"
    assert sorted(set(SAMPLES) - set(ROUTES)) == []


async def test_a_route_without_an_action_does_not_build() -> None:
    from litestar import get

    @get("/nothing", sync_to_thread=False)
    def undeclared() -> None: ...

    with pytest.raises(UndeclaredRoute):
        require_actions(Litestar([undeclared], openapi_config=None))


async def test_what_is_public_is_what_the_table_calls_so() -> None:
    for name, sample in SAMPLES.items():
        assert RIGHTS[sample.right].public == (ROUTES[name].action is Action.PUBLIC), name


async def send(
    world: World,
    name: str,
    actor: str,
    swapped: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    **what: Any,
) -> httpx2.Response:
    """Try an operation as `actor`, with some ids of its path swapped; `what` else is sent in the place of its body."""
    route, sample = ROUTES[name], SAMPLES[name]
    ids = {param: getattr(world.here, param, "") for param in route.params}
    if sample.path is not None and (actor in VALID or route.action is Action.PUBLIC):
        ids |= sample.path(world, actor)
    ids |= swapped or {}
    path = route.path.format(**{param: value or NO_SUCH_ID for param, value in ids.items()})
    return await world.client(actor).request(route.method, path, headers=headers, **what or body_of(world, name, actor))


def body_of(world: World, name: str, actor: str) -> dict[str, Any]:
    """The body to send, as keyword arguments of a request."""
    sample = SAMPLES[name]
    if sample.body is not None:
        return {"json": sample.body(world, actor)}
    if ROUTES[name].has_body:
        return {"json": next(iter(EXAMPLES[name].values()))}
    return {}


def comparable(answer: httpx2.Response, *ids: str) -> tuple[int, Any, dict[str, str]]:
    """An answer without what differs for good reason: ids, times, lengths and the request's id."""
    body = answer.text
    for known in ids:
        body = body.replace(known, "ID")
    content = json.loads(body) if body else None
    if isinstance(content, dict):
        content.pop("request_id", None)
    headers = {k: v for k, v in answer.headers.items() if k not in ("x-request-id", "date", "content-length")}
    return answer.status_code, content, headers


@pytest.fixture(autouse=True)
def keys(world: World) -> Iterator[list[str]]:
    """Nothing that is tried is kept; these are the Idempotency-Keys it would have been remembered by."""
    used: list[str] = []
    with rehearsing(world.api.store, [], used):
        yield used


@pytest.mark.parametrize("name", TRIED)
async def test_everybody_is_told_what_they_may(world: World, name: str) -> None:
    sample, told = SAMPLES[name], {}
    right = RIGHTS[sample.right]
    for actor in ACTORS:
        answer = await send(world, name, actor)
        verdict = right.verdict(actor)
        fine = {ROUTES[name].handler.status_code, *sample.ok} if verdict == YES else {STATUS[verdict]}
        if answer.status_code not in fine:
            told[actor] = f"{verdict}, but {answer.status_code} {answer.text[:200]}"
        elif verdict != YES:
            assert answer.headers["content-type"] == "application/problem+json"
    assert told == {}


@pytest.mark.parametrize("name", TRIED)
async def test_nobody_reads_a_name_of_a_home_that_is_not_theirs(world: World, name: str) -> None:
    for actor in ACTORS:
        if RIGHTS["see the home"].verdict(actor) in (HIDDEN, UNKNOWN) and actor not in INVITED.get(name, ()):
            answer = await send(world, name, actor)
            assert f"{CANARY} Here" not in answer.text, actor
            assert actor == "outsider" or f"{CANARY} room" not in answer.text, actor


@pytest.mark.parametrize("name", TRIED)
async def test_a_receiver_learns_no_id_of_the_home_and_its_people(world: World, name: str) -> None:
    here = world.here
    inside = {here.home_id, here.room_id, world.account("owner"), world.account("admin"), here.invitation_id}
    for actor, others in (("viewer", {here.group_id}), ("controller", {here.group_id}), ("group_controller", set())):
        answer = await send(world, name, actor)
        asked = str(answer.request.url) + answer.request.read().decode()
        assert [known for known in inside | others if known in answer.text and known not in asked] == [], actor


@pytest.mark.parametrize("name", [name for name in TRIED if ROUTES[name].action is not Action.PUBLIC])
async def test_what_a_route_declares_is_what_policy_is_asked(world: World, name: str) -> None:
    declared, also = ROUTES[name].action, SAMPLES[name].also
    every: set[Action] = set()
    for actor in VALID:
        asked = Asked([])
        with overheard(asked):
            await send(world, name, actor)
        others = {action.value for action in asked.actions} - {declared.value, *also}
        assert others == set(), actor
        every.update(asked.actions)
    assert declared in every


@pytest.mark.parametrize(("name", "param"), WITH_IDS)
async def test_what_is_in_another_home_looks_as_if_it_did_not_exist(world: World, name: str, param: str) -> None:
    foreign = getattr(world.there, param, "")
    for actor in ("owner", "member", "guest", "key_home"):
        missing = await send(world, name, actor, {param: NO_SUCH_ID})
        assert missing.status_code in (403, 404), actor
        if foreign:
            swapped = await send(world, name, actor, {param: foreign})
            assert comparable(swapped, foreign) == comparable(missing, NO_SUCH_ID), actor


@pytest.mark.parametrize("name", [name for name, param in WITH_IDS if param == "device_id"])
async def test_a_device_that_is_not_theirs_looks_absent_to_guests_and_receivers(world: World, name: str) -> None:
    for actor in ("guest", "viewer", "controller", "group_controller", "late_viewer", "ex_viewer"):
        missing = await send(world, name, actor, {"device_id": NO_SUCH_ID})
        other = await send(world, name, actor, {"device_id": world.other_device})
        assert missing.status_code == 404
        assert comparable(other, world.other_device) == comparable(missing, NO_SUCH_ID), actor


# Ids that are not in the path: (operation, what is sent with the id, which id it is).
INSIDE: list[tuple[str, Callable[[str], dict[str, Any]], str]] = [
    ("handOverHome", lambda it: {"json": {"account_id": it}}, "account_id"),
    ("orderRooms", lambda it: {"json": {"rooms": [it]}}, "room_id"),
    ("updateMember", lambda it: {"json": {"role": "guest", "only": [it]}}, "device_id"),
    ("updateMember", lambda it: {"json": {"role": "guest", "only": [it]}}, "group_id"),
    ("createInvitation", lambda it: {"json": {"role": "guest", "only": [it]}}, "device_id"),
    ("createInvitation", lambda it: {"json": {"role": "guest", "only": [it]}}, "group_id"),
    ("updateDevice", lambda it: {"json": {"room_id": it}}, "room_id"),
    ("createGroup", lambda it: {"json": {"name": "Mine", "devices": [it]}}, "device_id"),
    ("updateGroup", lambda it: {"json": {"devices": [it]}}, "device_id"),
    ("createKey", lambda it: {"json": {"name": "Mine", "scopes": ["read"], "home_id": it}}, "home_id"),
    ("startPairing", lambda it: {"json": {"room_id": it}}, "room_id"),
    ("registerDevice", lambda it: {"json": {"product_id": "lamp", "node_id": "1", "room_id": it}}, "room_id"),
    ("registerDevice", lambda it: {"json": {"product_id": "lamp", "node_id": "1", "gateway_id": it}}, "device_id"),
    ("listDevices", lambda it: {"params": {"room_id": it}}, "room_id"),
    ("listHomeAudit", lambda it: {"params": {"account_id": it}}, "account_id"),
]


@pytest.mark.parametrize(("name", "what", "kind"), INSIDE, ids=lambda it: it if isinstance(it, str) else "")
async def test_an_id_of_another_home_inside_a_request_is_no_id(
    world: World, name: str, what: Callable[[str], dict[str, Any]], kind: str
) -> None:
    foreign: str = getattr(world.there, kind)
    swapped = await send(world, name, "owner", **what(foreign))
    missing = await send(world, name, "owner", **what(NO_SUCH_ID))
    if name == "createKey":  # takes any id without looking: nothing to tell them apart by
        assert swapped.status_code == missing.status_code == 201
    else:
        assert comparable(swapped, foreign) == comparable(missing, NO_SUCH_ID)


CONDITIONAL = [name for name in OPERATIONS if IF_MATCH in OPERATIONS[name]["parameters"]]


@pytest.mark.parametrize("name", CONDITIONAL)
async def test_what_may_state_the_version_it_saw_is_held_to_it(world: World, name: str) -> None:
    stale = await send(world, name, "owner", headers={"If-Match": '"999"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "version_mismatch")
    assert (await send(world, name, "owner", headers={"If-Match": "*"})).is_success


REPEATABLE = [name for name in OPERATIONS if KEY in OPERATIONS[name]["parameters"]]


@pytest.mark.parametrize("name", REPEATABLE)
async def test_what_may_be_repeated_is_remembered(world: World, name: str, keys: list[str]) -> None:
    for actor in VALID:
        if RIGHTS[SAMPLES[name].right].verdict(actor) == YES:
            answer = await send(world, name, actor, headers={"Idempotency-Key": f"{name} by {actor}"})
            assert not answer.is_success or f"{name} by {actor}" in keys, actor
