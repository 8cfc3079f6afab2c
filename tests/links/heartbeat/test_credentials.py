"""Whose token opens the heartbeat, and what else it opens: nothing. And what is left of it after a reset."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.accounts.dialects import Dialect
from app.devices.reset_model import EXPIRES_MS
from tests.api.harness import Api
from tests.api.things import bind
from tests.links.heartbeat.house import House, house_in


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_in(tmp_path / "data") as house:
        yield house


async def test_who_is_not_let_in(house: House) -> None:
    device_id, token = await house.register("1")
    removed, removed_token = await house.register("2")
    assert (await house.owner.delete(f"/api/devices/{removed}")).status_code == 204
    renewed = (await house.owner.post(f"/api/devices/{device_id}/secret", json={})).json()["secret"]
    body = {"product_id": "lamp", "node_id": "3", "secret": "a-secret-of-24-letters.."}
    await house.owner.post(f"/api/homes/{house.home_id}/devices", json=body)
    keys = [
        (await house.owner.post("/api/me/keys", json={"name": "A", "scopes": ["manage"], "dialect": each})).json()
        for each in (Dialect.COMPANION, Dialect.BOTA)
    ]
    wrong = {
        "none": None,
        "nothing": "",
        "noise": "dvt_" + "x" * 43,
        "less": renewed[:-1],
        "more": f"{renewed}x",
        "renewed since": token,
        "of a device that was removed": removed_token,
        "a person's": str(house.owner.headers["authorization"]).removeprefix("Bearer "),
        "a program's": keys[0]["secret"],
        "a program's of another face": keys[1]["secret"],
        "another link's secret": "a-secret-of-24-letters..",
        "the device's id": device_id,
    }
    for name, shown in wrong.items():
        answer = await house.beat(shown)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), name
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert (await house.beat(renewed)).status_code == 200


async def test_a_devices_token_opens_nothing_else(house: House) -> None:
    device_id, token = await house.register()
    client = house.api.client(token)
    for path in (f"/api/devices/{device_id}", "/api/homes", f"/v1/devices/{device_id}", "/api/me"):
        assert (await client.get(path)).status_code in (401, 404), path
    answer = await client.post(f"/v5/devices/{device_id}/sys/messages/up", json={})
    assert answer.status_code == 403


async def test_only_its_hash_is_kept(house: House) -> None:
    _, token = await house.register()
    await house.heard(token)
    rows = await house.api.store.read(lambda reader: list(reader.db.iterdump()))
    assert not [row for row in rows if token in row]
    assert not [row for row in rows if token.encode().hex() in row.lower()]


@pytest.mark.parametrize("record", ["keep", "remove"])
async def test_the_old_token_hears_of_the_reset_and_nothing_more(house: House, record: str) -> None:
    device_id, token = await house.register()
    command = await house.order(device_id)
    reset = await house.reset(device_id, record)
    before = await house.api.store.read(lambda reader: reader.all("SELECT * FROM shadow"))
    said = {"services": [{"service": "light", "values": {"on": True}}], "acknowledged": [command]}
    for _ in range(2):
        heard = await house.heard(token, firmware="9", **said)
        (order,) = heard["commands"]
        assert (order["kind"], order["id"]) == ("factory_reset", reset["id"])
    # Not taken: neither what it reports, nor a word that is not about this reset, nor that it would not.
    wrong = [{"id": command, "ok": True}, {"id": reset["id"], "ok": False, "error": "busy"}]
    assert len((await house.heard(token, answers=wrong))["commands"]) == 1
    assert await house.api.store.read(lambda reader: reader.all("SELECT * FROM shadow")) == before
    client = house.api.client(token)
    for path in (f"/api/devices/{device_id}", "/api/homes", f"/v1/devices/{device_id}"):
        assert (await client.get(path)).status_code in (401, 404)
    assert (await house.heard(token, answers=[{"id": reset["id"], "ok": True}]))["commands"] == []
    assert (await house.beat(token)).status_code == 401
    (listed,) = (await house.get(f"/api/homes/{house.home_id}/resets"))["items"]
    assert (listed["state"], listed["record"]) == ("confirmed", record)
    assert listed["delivered_at"] is not None


async def test_the_old_token_lives_through_a_restart_and_ends_with_the_reset(tmp_path: Path) -> None:
    async with house_in(tmp_path) as house:
        device_id, token = await house.register()
        reset = await house.reset(device_id, "remove")
    async with Api(tmp_path) as api:
        again = House(api, api.client("anna"), "")
        assert (await again.heard(token))["commands"][0]["id"] == reset["id"]
        api.forward(EXPIRES_MS + 1)
        assert (await again.beat(token)).status_code == 401
        await api.store.housekeeping.run()
        assert (await again.beat(token)).status_code == 401


async def test_let_in_anew_the_new_token_counts_alone(house: House) -> None:
    device_id, token = await house.register()
    await house.reset(device_id)
    again, new = await house.register()
    assert again == device_id
    assert (await house.beat(token)).status_code == 401
    assert (await house.heard(new))["commands"] == []
    assert (await house.get(f"/api/devices/{device_id}/reset"))["state"] == "superseded"


async def test_what_a_device_that_calls_home_cannot_have(house: House) -> None:
    device_id, _ = await house.register()
    path = f"/api/homes/{house.home_id}/devices"
    body = {"product_id": "lamp", "node_id": "2", "link": "heartbeat"}
    gateway = await bind(house.api, house.home_id, "d-g", product="gateway")
    for more in ({"secret": "a-secret-of-24-letters.."}, {"auth": "certificate"}, {"gateway_id": gateway}):
        answer = await house.owner.post(path, json=body | more)
        assert answer.status_code == 400, more
    assert (await house.owner.post(path, json=body | {"link": "mqtt", "auth": "token"})).status_code == 400
    for wanted in ({"secret": "a-secret-of-24-letters.."}, {"which": "secondary"}, {"fingerprint": "a" * 40}):
        answer = await house.owner.post(f"/api/devices/{device_id}/secret", json=wanted)
        assert answer.status_code == 400, wanted
