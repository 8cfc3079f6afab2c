"""The four operations of the device side over HTTPS, and who is refused on each."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from app.links.iotda.codec.signing import password
from app.links.iotda.codec.times import hour_stamp
from app.links.iotda.tokens import LIFE_S
from tests.links.iotda.house import SECRET, House, house_in

STAMP = "2019120219"
FIXTURES = Path(__file__).parents[3] / "fixtures" / "iotda"
ERRORS = {
    each["section"]: {(error["http_status"], error["code"]) for error in each["errors"]}
    for each in json.loads((FIXTURES / "https_examples.json").read_text())["operations"]
}
BODIES: dict[str, Any] = {
    "sys/messages/up": {"name": "name", "id": "id", "content": "messageUp"},
    "sys/properties/report": {"services": [{"service_id": "Light", "properties": {"on": True}}]},
    "sys/gateway/sub-devices/properties/report": {"devices": []},
}
SECTIONS = {
    "sys/messages/up": "3.4.1",
    "sys/properties/report": "3.5.1",
    "sys/gateway/sub-devices/properties/report": "3.5.2",
}


class Home(House):
    """A house whose devices ask over HTTPS."""

    async def auth(self, wire_id: str, secret: str = SECRET, stamp: str = STAMP, **more: Any) -> httpx2.Response:
        body = {"device_id": wire_id, "sign_type": 0, "timestamp": stamp, **more}
        body.setdefault("password", password(secret.encode(), stamp))
        return await self.api.client().post("/v5/device-auth", json=body)

    async def token(self, wire_id: str) -> str:
        answer = await self.auth(wire_id)
        assert answer.status_code == 200, answer.text
        found: str = answer.json()["access_token"]
        return found

    async def post(self, token: str | None, wire_id: str, path: str, body: Any) -> httpx2.Response:
        headers = {} if token is None else {"access_token": token}
        sent = {"content": body} if isinstance(body, bytes) else {"json": body}
        return await self.api.client().post(f"/v5/devices/{wire_id}/{path}", headers=headers, **sent)


@pytest_asyncio.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    async with house_in(tmp_path) as house:
        yield Home(house.api, house.client, house.home_id)


def told(answer: httpx2.Response) -> tuple[int, str]:
    """(status, code), in the protocol's own body."""
    body = answer.json()
    assert set(body) == {"error_code", "error_msg"}
    return answer.status_code, body["error_code"]


async def test_a_device_authenticates_and_reports(home: Home) -> None:
    device_id, wire_id = await home.register("lamp", "1", link="https")
    answer = await home.auth(wire_id)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    made = answer.json()
    assert 32 <= len(made["access_token"]) <= 256
    assert made["expires_in"] == LIFE_S - 1
    reported = await home.post(made["access_token"], wire_id, "sys/properties/report", BODIES["sys/properties/report"])
    assert (reported.status_code, reported.content) == (200, b"")
    view = await home.view(device_id)
    assert view["services"]["light"]["reported"]["on"]["value"] is True
    assert view["last_seen_at"] is not None


async def test_a_message_is_whatever_it_is(home: Home) -> None:
    device_id, wire_id = await home.register("lamp", "1", link="https")
    token = await home.token(wire_id)
    for body in (b"hello!", b"\xff", BODIES["sys/messages/up"]):
        assert (await home.post(token, wire_id, "sys/messages/up", body)).status_code == 200
    assert len(await home.log(device_id, "message")) == 3


async def test_a_gateway_reports_for_those_behind_it_and_nobody_else(home: Home) -> None:
    gateway_id, wire_id = await home.register("gateway", "1", link="https")
    behind = [await home.register("lamp", f"n{number}", gateway_id=gateway_id) for number in range(2)]
    _, stranger = await home.register("lamp", "9")
    token, path = await home.token(wire_id), "sys/gateway/sub-devices/properties/report"
    values = BODIES["sys/properties/report"]
    devices = [{"device_id": each, **values} for _, each in behind]
    assert (await home.post(token, wire_id, path, {"devices": devices})).status_code == 200
    assert "light" in (await home.view(behind[1][0]))["services"]
    strange = [*devices, {"device_id": stranger, **values}]
    assert told(await home.post(token, wire_id, path, {"devices": strange})) == (400, "IOTDA.021104")
    many = {"devices": [devices[0]] * 51}
    assert told(await home.post(token, wire_id, path, many)) == (403, "IOTDA.021103")


async def test_who_gets_no_token(home: Home) -> None:
    _, wire_id = await home.register("lamp", "1")
    unauthorized = (401, "IOTDA.00002")
    assert told(await home.auth(wire_id, "another-secret")) == unauthorized
    assert told(await home.auth("lamp_2")) == unauthorized
    assert told(await home.auth(wire_id, sign_type=1)) == unauthorized
    now = hour_stamp(home.api.clock.now().ms)
    assert (await home.auth(wire_id, stamp=now, sign_type=1)).status_code == 200
    bad = (400, "IOTDA.00006")
    assert told(await home.auth(wire_id, sign_type=2)) == bad
    assert told(await home.auth(wire_id, stamp="2019130219")) == bad
    assert told(await home.auth(wire_id, password="short")) == bad
    assert told(await home.api.client().post("/v5/device-auth", content=b"\xff")) == bad
    assert {unauthorized, bad} <= ERRORS["3.3.1"]


async def test_guesses_are_counted(home: Home) -> None:
    _, wire_id = await home.register("lamp", "1")
    answers = [await home.auth(wire_id, f"guess-{number:04}") for number in range(12)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [403] * 2
    assert told(answers[-1]) == (403, "IOTDA.021101")
    assert int(answers[-1].headers["retry-after"]) > 0


@pytest.mark.parametrize("path", BODIES)
async def test_who_has_no_token_of_the_device_says_nothing(home: Home, path: str) -> None:
    _, wire_id = await home.register("gateway", "1")
    _, other = await home.register("lamp", "2")
    token, others = await home.token(wire_id), await home.token(other)
    invalid = (403, "IOTDA.00004")
    assert invalid in ERRORS[SECTIONS[path]]
    for shown in (None, "", "x" * 300, token[:-1] + ("A" if token[-1] != "A" else "B"), others, f"{token}x"):
        assert told(await home.post(shown, wire_id, path, BODIES[path])) == invalid
    for whose in (other, "lamp_9"):
        assert told(await home.post(token, whose, path, BODIES[path])) == invalid
    # A person's token is none, either.
    answer = await home.client.post(f"/v5/devices/{wire_id}/{path}", json=BODIES[path])
    assert told(answer) == invalid
    assert (await home.post(token, wire_id, path, BODIES[path])).status_code == 200


async def test_a_devices_token_opens_nothing_of_the_companion_api(home: Home) -> None:
    device_id, wire_id = await home.register("lamp", "1")
    token = await home.token(wire_id)
    for headers in ({"Authorization": f"Bearer {token}"}, {"access_token": token}):
        answer = await home.api.client().get(f"/api/devices/{device_id}", headers=headers)
        assert answer.status_code == 401


async def test_a_token_ends_by_itself_by_a_newer_one_and_by_a_new_secret(home: Home) -> None:
    device_id, wire_id = await home.register("lamp", "1")
    path, body = "sys/properties/report", BODIES["sys/properties/report"]

    async def works(token: str) -> bool:
        return (await home.post(token, wire_id, path, body)).status_code == 200

    first = await home.token(wire_id)
    second = await home.token(wire_id)
    assert first != second
    assert await works(first)
    home.api.forward(30_100)
    assert (await works(first), await works(second)) == (False, True)
    home.api.forward(LIFE_S * 1000)
    assert not await works(second)
    third = await home.token(wire_id)
    await home.client.post(f"/api/devices/{device_id}/secret", json={"secret": SECRET})
    assert not await works(third)
    fourth = await home.token(wire_id)
    await home.client.delete(f"/api/devices/{device_id}")
    assert not await works(fourth)


async def test_a_token_outlives_a_restart(tmp_path: Path) -> None:
    async with house_in(tmp_path) as house:
        home = Home(house.api, house.client, house.home_id)
        _, wire_id = await home.register("lamp", "1")
        token = await home.token(wire_id)
    async with house_in(tmp_path, "berta") as house:
        home = Home(house.api, house.client, house.home_id)
        body = BODIES["sys/properties/report"]
        assert (await home.post(token, wire_id, "sys/properties/report", body)).status_code == 200


@pytest.mark.parametrize("path", BODIES)
async def test_what_is_too_large_is_told_so(home: Home, path: str) -> None:
    _, wire_id = await home.register("gateway", "1")
    answer = await home.post(await home.token(wire_id), wire_id, path, b" " * ((1 << 20) + 1))
    assert told(answer) == (403, "IOTDA.021105")


@pytest.mark.parametrize("path", [path for path in BODIES if path != "sys/messages/up"])
async def test_what_cannot_be_read_is_told_so(home: Home, path: str) -> None:
    _, wire_id = await home.register("gateway", "1")
    token = await home.token(wire_id)
    for body in (b"", b"\xff", b"[]", b"{}", b"[" * 100_000, b'{"services":[{"service_id":5}]}'):
        assert told(await home.post(token, wire_id, path, body)) == (400, "IOTDA.00006")
