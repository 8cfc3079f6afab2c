"""The companion API's description, its page and its catalogue of errors."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from litestar.handlers import HTTPRouteHandler

from app.companion.docs import DOCUMENT
from app.companion.examples import EXAMPLES
from app.companion.openapi import operations
from app.server import litestar_of
from tests.api.harness import PATIENT, Api
from tests.api.households import new_home

COMMITTED: dict[str, Any] = json.loads(DOCUMENT.read_bytes())
OPERATIONS = {
    operation["operationId"]: operation for item in COMMITTED["paths"].values() for operation in item.values()
}
WITH_BODY = sorted(name for name, operation in OPERATIONS.items() if "requestBody" in operation)


@pytest.fixture(scope="module")
def handlers() -> dict[str, HTTPRouteHandler]:
    litestar = litestar_of(is_cloud=False, body_bytes=PATIENT.body_bytes)
    return {str(handler.operation_id): handler for _, _, handler in operations(litestar)}


def test_what_is_committed_describes_what_is_wired() -> None:
    """If this fails: `python -m app.companion`, and look at the difference."""
    code = "import sys; from app.companion.__main__ import document; sys.stdout.buffer.write(document())"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60).stdout
    assert made == DOCUMENT.read_bytes()


def test_every_operation_has_a_stable_name_and_says_what_it_does() -> None:
    names = [o["operationId"] for item in COMMITTED["paths"].values() for o in item.values()]
    assert len(names) == len(set(names))
    assert [name for name in names if not re.fullmatch(r"[a-z]+([A-Z][a-z]*)*", name)] == []
    assert [name for name, operation in OPERATIONS.items() if not operation["summary"]] == []


def test_what_needs_no_credential_says_so() -> None:
    for operation in OPERATIONS.values():
        assert (operation.get("security") == []) == (operation["x-action"] == "public")


@pytest.mark.parametrize("name", WITH_BODY)
def test_every_request_body_has_an_example_that_is_taken(name: str, handlers: dict[str, HTTPRouteHandler]) -> None:
    body = handlers[name].parsed_data_field
    assert body is not None
    assert EXAMPLES.get(name), "give it one in app/companion/examples.py"
    for example in EXAMPLES[name].values():
        msgspec.json.decode(json.dumps(example), type=body.annotation)


def test_every_example_belongs_to_a_request() -> None:
    assert sorted(set(EXAMPLES) - set(WITH_BODY)) == []


def _refs(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _refs(value)
    elif isinstance(node, list):
        for value in node:
            yield from _refs(value)


def test_every_reference_leads_somewhere() -> None:
    for ref in set(_refs(COMMITTED)):
        node = COMMITTED
        for part in ref.removeprefix("#/").split("/"):
            node = node[part]
        assert node


async def test_the_hub_serves_the_description_and_a_page_for_it_from_itself_alone(api: Api) -> None:
    anyone = api.client()
    assert (await anyone.get("/api/openapi.json")).json() == COMMITTED
    page = await anyone.get("/api/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
    links = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert len(links) == 4
    for link in links:
        assert link.startswith("/api/docs/")
        asset = await anyone.get(link)
        assert asset.status_code == 200
        assert asset.headers["x-content-type-options"] == "nosniff"
        assert len(asset.content) > 100
    assert (await anyone.get("/api/docs/passwd")).status_code == 404


async def test_every_error_can_be_looked_up_under_its_type(api: Api) -> None:
    anyone = api.client()
    missing = (await anyone.get("/api/nowhere")).json()
    kind = (await anyone.get(missing["type"])).json()
    assert (kind["code"], kind["status"], kind["title"]) == ("not_found", 404, missing["title"])
    listed = (await anyone.get("/api/errors")).json()["items"]
    assert kind in listed
    assert {"internal", "method_not_allowed", "unauthenticated", "version_mismatch"} <= {k["code"] for k in listed}
    assert [k["code"] for k in listed if not k["title"]] == []


async def test_http_itself_refuses_with_problems_too(api: Api) -> None:
    anna = await api.person("anna")
    wrong_method = await anna.delete("/api/homes")
    assert (wrong_method.status_code, wrong_method.json()["code"]) == (405, "method_not_allowed")
    # `rooms` is a service as well: Litestar would blame that.
    home = (await new_home(anna)).rpartition("/")[2]
    unfit = await anna.put(f"/api/homes/{home}/rooms/order", json={"rooms": 5})
    assert unfit.status_code == 400
    assert unfit.json()["facts"]["fields"] == [
        {"message": "Expected `array`, got `int`", "key": "rooms", "source": "body"}
    ]
    no_json = await anna.post("/api/homes", content=b"{", headers={"Content-Type": "application/json"})
    assert (no_json.status_code, no_json.json()["code"]) == (400, "invalid")
    for answer in (wrong_method, no_json):
        assert answer.headers["content-type"] == "application/problem+json"
