"""Whatever is sent to whatever the API describes, no answer is a 5xx, and every answer is as described."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx2
import pytest
import requests
import schemathesis
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.companion.examples import EXAMPLES
from tests.api.harness import Api
from tests.api.test_openapi import COMMITTED, OPERATIONS
from tests.security.rehearsal import rehearsing
from tests.security.world import LOOSE, World, build

SCHEMA = schemathesis.openapi.from_dict(COMMITTED)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# A stream that is allowed does not end.
NAMES = sorted(set(OPERATIONS) - {"listenToEvents"})
# What there is nothing to get wrong about has no unfitting requests.
PLAIN = {
    name
    for name in NAMES
    if OPERATIONS[name].get("security") == []
    and "requestBody" not in OPERATIONS[name]
    and all(parameter.get("in") == "path" for parameter in OPERATIONS[name]["parameters"])
}
FITTING, UNFITTING = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
TRIES = [*((name, FITTING) for name in NAMES), *((name, UNFITTING) for name in NAMES if name not in PLAIN)]
REQUESTS, SAMPLE = 5_000, 300
ASKERS = ("owner", "owner", "owner", "guest", "viewer", "key_read", "nobody")


class Served:
    """The application on a loop of its own, as a client without one meets it. Nothing it does is kept."""

    def __init__(self, portal: BlockingPortal, world: World) -> None:
        self.world = world
        self._portal = portal
        self._transport = httpx2.ASGITransport(app=world.api.app)  # type: ignore[arg-type]

    def send(self, prepared: requests.PreparedRequest) -> httpx2.Response:
        """The answer to a request."""
        body = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
        assert isinstance(body, bytes | None)
        headers = [(_bytes(name), _bytes(value)) for name, value in prepared.headers.items()]
        return self._portal.call(partial(self._send, str(prepared.method), str(prepared.url), headers, body))

    async def _send(
        self, method: str, url: str, headers: list[tuple[bytes, bytes]], body: bytes | None
    ) -> httpx2.Response:
        async with httpx2.AsyncClient(transport=self._transport) as client:
            request = httpx2.Request(method, url, headers=headers, content=body)
            return await client.send(request)


def _unplugged(request: httpx2.Request) -> httpx2.Response:
    raise httpx2.ConnectError(f"nothing leaves this test, so {request.url.host} is not reached")


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with start_blocking_portal() as portal:
        api = Api(tmp_path_factory.mktemp("conformance"), LOOSE)
        with portal.wrap_async_context_manager(api):
            world = portal.call(build, api)
            api.services.enrolment.connector.transport = httpx2.MockTransport(_unplugged)
            api.clock.set = lambda ms: None  # type: ignore[method-assign]  # one wrong hour would sign everybody out
            with rehearsing(api.store, []):
                yield Served(portal, world)


def _share(most: int) -> int:
    return -(-most // len(TRIES))


def _cases(name: str, mode: GenerationMode) -> st.SearchStrategy[Any]:
    return SCHEMA.find_operation_by_id(name).as_strategy(generation_mode=mode)


def _try(served: Served, name: str, mode: GenerationMode, examples: int) -> None:
    """`examples` requests to one operation, as one or another; half of them with ids that exist and what is usual."""

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=_cases(name, mode), real=st.booleans(), asker=st.sampled_from(ASKERS))
    def ask(case: Any, real: bool, asker: str) -> None:
        if real and case.path_parameters:
            known = {k: getattr(served.world.here, k, "") for k in case.path_parameters}
            case.path_parameters = {**case.path_parameters, **{k: v for k, v in known.items() if v}}
        if real and mode is FITTING and name in EXAMPLES:
            case.body = next(iter(EXAMPLES[name].values()))
        token = served.world.tokens[asker]
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        try:
            prepared = requests.Request(**case.as_transport_kwargs(base_url="http://hub", headers=headers)).prepare()
        except (requests.exceptions.RequestException, UnicodeError):
            assume(False)  # not a request any client could send
        case.validate_response(served.send(prepared), checks=CHECKS)

    ask()


@pytest.mark.parametrize(("name", "mode"), TRIES, ids=str)
def test_a_sample_of_requests(served: Served, name: str, mode: GenerationMode) -> None:
    _try(served, name, mode, _share(SAMPLE))


@pytest.mark.full
@pytest.mark.parametrize(("name", "mode"), TRIES, ids=str)
def test_five_thousand_requests(served: Served, name: str, mode: GenerationMode) -> None:
    _try(served, name, mode, _share(REQUESTS))
