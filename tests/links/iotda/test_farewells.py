"""A device that was reset: its old secret lets it in to hear of that and to acknowledge it, and to nothing else."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from msgspec.structs import replace

from app.devices.credential_model import derived_secret
from app.devices.reset_model import EXPIRES_MS
from app.errors import NotFound
from app.links.iotda import farewells
from app.links.iotda.codec.signing import password
from app.links.mqtt.endpoint import Endpoint
from app.links.mqtt.errors import NotAdmitted
from app.links.mqtt.ports import Connected, Message, Offered, Principal
from tests.api.things import bind
from tests.links.iotda.house import SECRET, WAIT, House, house_in
from tests.links.iotda.paho_device import PahoDevice

STAMP = "2019120219"


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_in(tmp_path) as house:
        yield house


def offer(device_id: str, secret: str = SECRET, **more: Any) -> Offered:
    offered = Offered(
        client_id=f"{device_id}_0_0_{STAMP}",
        username=device_id,
        password=password(secret.encode(), STAMP).encode(),
        certificate=None,
        address="192.0.2.7",
        level=4,
        clean=True,
        keep_alive=60,
    )
    return replace(offered, **more)


async def admitted(house: House, offered: Offered) -> Principal | None:
    try:
        return await house.api.services.iotda.admission.admit(offered)
    except NotAdmitted:
        house.api.forward(61_000)  # guesses are counted
        return None


async def reset(house: House, device_id: str, record: str = "keep") -> str:
    """The reset's id."""
    answer = await house.client.post(f"/api/devices/{device_id}/reset", json={"record": record})
    assert answer.status_code == 200, answer.text
    found: str = answer.json()["id"]
    return found


async def state(house: House) -> str:
    """Of the newest reset of the home."""
    found: str = (await house.client.get(f"/api/homes/{house.home_id}/resets")).json()["items"][0]["state"]
    return found


async def delivered(house: House) -> None:
    """Once it is known to be: that is kept soon after."""
    async with asyncio.timeout(WAIT):
        while await state(house) == "queued":
            await asyncio.sleep(0.01)
    assert await state(house) == "delivered"


def response(wire_id: str, request: str, code: int = 0) -> Message:
    topic = f"$oc/devices/{wire_id}/sys/commands/response/request_id={request}"
    return Message(topic, json.dumps({"result_code": code}).encode(), 1)


@pytest.mark.parametrize("record", ["keep", "remove"])
async def test_the_old_secret_admits_a_principal_that_is_no_device(house: House, record: str) -> None:
    device_id, wire_id = await house.register("lamp", "1")
    before = await admitted(house, offer(wire_id))
    assert before is not None
    reset_id = await reset(house, device_id, record)
    principal = await admitted(house, offer(wire_id))
    assert principal is not None
    assert (principal.device_id, principal.session) == (f"reset/{reset_id}", wire_id)
    admission = house.api.services.iotda.admission
    assert not admission.may_publish(principal, "$oc/devices/lamp_2/sys/commands/response/request_id=1")
    assert not admission.may_subscribe(principal, "$oc/devices/lamp_2/#")
    for wrong in (
        offer(wire_id, "another secret"),
        offer(wire_id, username="lamp_2"),
        offer(wire_id, password=None),
        offer(wire_id, password=None, certificate=b"der"),
    ):
        assert await admitted(house, wrong) is None
    house.api.forward(EXPIRES_MS)
    assert await admitted(house, offer(wire_id)) is None


async def test_told_at_its_connection_it_may_say_that_it_forgot_and_no_more(house: House) -> None:
    device_id, wire_id = await house.register("lamp", "1")
    house.line.connect(device_id, wire_id)
    while not house.line.sent.empty():
        house.line.sent.get_nowait()
    reset_id = await reset(house, device_id)
    assert await state(house) == "queued"
    principal = await admitted(house, offer(wire_id))
    assert principal is not None
    hearing = house.api.services.iotda.hearing
    house.line.admit(principal)
    hearing.connected(principal, Connected("192.0.2.7", 4))
    topic, said = await house.line.next()
    assert topic == f"$oc/devices/{wire_id}/sys/commands/request_id={reset_id}"
    wanted = {"object_device_id": wire_id, "service_id": "$device", "command_name": "factory_reset", "paras": {}}
    assert said == wanted
    report = Message(
        f"$oc/devices/{wire_id}/sys/properties/report",
        b'{"services":[{"service_id":"Light","properties":{"on":1}}]}',
    )
    declined = [
        report,
        response(wire_id, "another"),
        response(wire_id, reset_id, 1),
        response("lamp_2", reset_id),
        replace(response(wire_id, reset_id), payload=b"{"),
    ]
    assert {type(each) for each in await hearing.published(principal, declined)} == {NotFound}
    assert (await house.view(device_id))["services"] == {}
    assert (await house.view(device_id))["online"] is False
    await delivered(house)
    assert list(await hearing.published(principal, [response(wire_id, reset_id)])) == [None]
    assert await state(house) == "confirmed"
    assert await admitted(house, offer(wire_id)) is None
    hearing.disconnected(principal, "client")


async def test_a_paired_device_hears_of_it_by_its_derived_secret_too(house: House) -> None:
    device_id = await bind(house.api, house.home_id)
    key = hashlib.sha256(b"d-1").digest()
    secret = derived_secret(key[::-1]).decode()
    assert await admitted(house, offer("d-1", secret)) is not None
    reset_id = await reset(house, device_id)
    principal = await admitted(house, offer("d-1", secret))
    assert principal is not None
    assert principal.device_id == f"reset/{reset_id}"
    await bind(house.api, house.home_id)
    again = await admitted(house, offer("d-1", secret))
    assert again is not None
    assert again.device_id == device_id


async def test_a_certificate_proves_as_much(house: House) -> None:
    certificate = b"what TLS has proved"
    print_ = hashlib.sha256(certificate).hexdigest()
    fields = {"auth": "certificate", "fingerprint": print_, "secret": None}
    device_id, wire_id = await house.register("lamp", "1", **fields)
    reset_id = await reset(house, device_id, "remove")
    shown = offer(wire_id, password=None, certificate=certificate)
    principal = await admitted(house, shown)
    assert principal is not None
    assert principal.device_id == f"reset/{reset_id}"
    assert await admitted(house, offer(wire_id, password=None, certificate=b"another")) is None


async def test_over_a_broker_its_topics_are_its_resets(house: House) -> None:
    device_id, wire_id = await house.register("lamp", "1")
    addressing = house.api.services.iotda.addressing
    topic = f"$oc/devices/{wire_id}/sys/properties/report"
    speaker = addressing.speaker(topic)
    assert speaker is not None
    assert speaker.device_id == device_id
    reset_id = await reset(house, device_id)
    speaker = addressing.speaker(topic)
    assert speaker is not None
    assert speaker.device_id == f"reset/{reset_id}"
    await house.api.services.devices.resets.confirmed(wire_id)
    assert addressing.speaker(topic) is None


async def test_somebody_elses_library_is_told_and_hung_up_on(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farewells, "LAST_S", 0.05)
    iotda = house.api.services.iotda
    endpoint = Endpoint(house.api.store, iotda.admission, iotda.hearing)
    await endpoint.open()
    port = await endpoint.listen("127.0.0.1", 0)
    iotda.down.take_link(endpoint)
    try:
        device_id, wire_id = await house.register("lamp", "1")
        reset_id = await reset(house, device_id)
        device = PahoDevice(wire_id, SECRET)
        assert await device.connect(port) == "Success"
        topic, said = await device.next()
        assert topic == f"sys/commands/request_id={reset_id}"
        assert said["command_name"] == "factory_reset"
        await device.publish(f"sys/commands/response/request_id={reset_id}", {"result_code": 0})
        assert await state(house) == "confirmed"
        await device.close()
        again = PahoDevice(wire_id, SECRET)
        assert await again.connect(port) != "Success"
        await again.close()
    finally:
        await endpoint.close()


class Https:
    """The device's end over HTTPS."""

    def __init__(self, house: House, wire_id: str) -> None:
        self._client = house.api.client()
        self._wire_id = wire_id

    async def authenticate(self, secret: str = SECRET) -> httpx2.Response:
        proof = password(secret.encode(), STAMP)
        asked = {"device_id": self._wire_id, "sign_type": 0, "timestamp": STAMP, "password": proof}
        return await self._client.post("/v5/device-auth", json=asked)

    async def post(self, path: str, token: str, body: Any, wire_id: str = "") -> httpx2.Response:
        headers = {"access_token": token}
        return await self._client.post(f"/v5/devices/{wire_id or self._wire_id}/{path}", json=body, headers=headers)


async def test_over_https_it_is_told_as_it_asks_for_a_token(house: House) -> None:
    device_id, wire_id = await house.register("lamp", "1", link="https")
    other_id, other = await house.register("lamp", "2", link="https")
    device, stranger = Https(house, wire_id), Https(house, other)
    old = (await device.authenticate()).json()["access_token"]
    theirs = (await stranger.authenticate()).json()["access_token"]
    reset_id = await reset(house, device_id)
    report = {"services": [{"service_id": "Light", "properties": {"on": True}}]}
    assert (await device.post("sys/properties/report", old, report)).status_code == 403
    assert (await device.authenticate("another secret")).status_code == 401
    told = (await device.authenticate()).json()
    assert told["factory_reset"] == reset_id
    await delivered(house)
    token, path = told["access_token"], f"sys/commands/response/request_id={reset_id}"
    for where, shown, body, wire in (
        ("sys/properties/report", token, report, ""),
        ("sys/messages/up", token, {"content": "x"}, ""),
        (path, old, {"result_code": 0}, ""),
        (path, theirs, {"result_code": 0}, ""),
        (path, token + "x", {"result_code": 0}, ""),
        (path, f"{wire_id}.{reset_id}.", {"result_code": 0}, ""),
        (path, token, {"result_code": 0}, other),
        (path[:-1], token, {"result_code": 0}, ""),
        (f"sys/commands/response/{reset_id}", token, {"result_code": 0}, ""),
    ):
        answer = await device.post(where, shown, body, wire)
        assert (answer.status_code, answer.json()["error_code"]) == (403, "IOTDA.00004"), where
    assert (await device.post(path, token, {"result_code": "x"})).status_code == 400
    assert (await device.post(path, token, {"result_code": 1})).status_code == 200
    await delivered(house)
    assert (await device.post(path, token, {"result_code": 0})).status_code == 200
    assert await state(house) == "confirmed"
    assert (await device.post(path, token, {"result_code": 0})).status_code == 403
    assert (await device.authenticate()).status_code == 401
    assert (await house.view(other_id))["unbound_at"] is None


async def test_let_in_anew_no_token_of_before_is_one(house: House) -> None:
    device_id, wire_id = await house.register("lamp", "1", link="https")
    device = Https(house, wire_id)
    old = (await device.authenticate()).json()["access_token"]
    await reset(house, device_id)
    last = (await device.authenticate()).json()["access_token"]
    assert (await house.register("lamp", "1", link="https", secret="another-secret-of-24-let"))[0] == device_id
    body: dict[str, Any] = {"services": []}
    for token in (old, last):
        assert (await device.post("sys/properties/report", token, body)).status_code == 403
    assert (await device.authenticate()).status_code == 401
    token = (await device.authenticate("another-secret-of-24-let")).json()["access_token"]
    assert (await device.post("sys/properties/report", token, body)).status_code == 200


async def test_one_behind_a_gateway_is_deleted_from_its_list_and_may_join_again(house: House) -> None:
    gateway = await house.connected("gateway", "g")
    child_id, child = await house.register("lamp", "1", gateway_id=gateway.principal.device_id)
    await gateway.told("add_sub_device_notify")
    await reset(house, child_id)
    gone = await gateway.told("delete_sub_device_notify")
    assert [each["device_id"] for each in gone["devices"]] == [child]
    await delivered(house)
    new = {"devices": [{"node_id": "1", "product_id": "lamp"}]}
    assert await gateway.event("$sub_device_manager", "add_sub_device_request", new) is None
    added = await gateway.told("add_sub_device_response")
    assert [each["device_id"] for each in added["successful_devices"]] == [child]
    assert (await house.view(child_id))["unbound_at"] is None
