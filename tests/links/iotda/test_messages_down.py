"""Messages to devices (2.6.2, 1.4.3.1): in their envelope or as they are, kept for who sleeps, in order, once."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.links.iotda.house import House
from tests.links.iotda.served import WAYS, Served, served


@pytest_asyncio.fixture(params=WAYS)
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, request.param) as made:
        yield made


@pytest_asyncio.fixture
async def own(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as made:
        yield made


async def tell(house: House, device_id: str, content: Any, **how: Any) -> str:
    """Ask for a message; returns its id."""
    fields: dict[str, Any] = {field: how.pop(field) for field in ("name", "expires_in") if field in how}
    body = {"kind": "message", "message": {"content": content, **how}, **fields}
    made = await house.client.post(f"/api/devices/{device_id}/commands", json=body)
    assert (made.status_code, made.json()["state"]) == (202, "queued"), made.text
    return str(made.json()["id"])


async def test_in_the_envelope_and_as_it_is(house: Served) -> None:
    device_id, wire_id = await house.register("lamp", "1")
    async with house.device(wire_id) as lamp:
        one = await tell(house, device_id, "hello", name="greeting")
        envelope = {"object_device_id": wire_id, "name": "greeting", "id": one, "content": "hello"}
        assert await lamp.next() == ("sys/messages/down", envelope)
        await tell(house, device_id, {"a": [1]}, format="raw")
        assert await lamp.next() == ("sys/messages/down", {"a": [1]})
        await tell(house, device_id, "eyJiIjogMn0=", encoding="base64")
        assert await lamp.next() == ("sys/messages/down", {"b": 2})
        # It has no answer but that it arrived.
        await house.until(device_id, "answered", one)


async def test_what_was_said_to_a_sleeper_arrives_in_order_and_once(house: Served) -> None:
    device_id, wire_id = await house.register("lamp", "1")
    ids = [await tell(house, device_id, str(n)) for n in range(5)]
    async with house.device(wire_id) as lamp:
        assert [(await lamp.next())[1]["id"] for _ in ids] == ids
        for each in ids:
            await house.until(device_id, "answered", each)
    async with house.device(wire_id) as lamp:
        last = await tell(house, device_id, "last")
        assert (await lamp.next())[1]["id"] == last


async def test_on_a_topic_of_its_own_once_the_device_listens_to_it(own: Served) -> None:
    house = own  # a broker does not say who listens to what
    device_id, wire_id = await house.register("lamp", "1")
    async with house.device(wire_id) as lamp:
        ids = [await tell(house, device_id, str(n), topic="news/kitchen") for n in range(3)]
        # Nothing else waits for that.
        other = await tell(house, device_id, "other")
        assert (await lamp.next())[1]["id"] == other
        await lamp.subscribe("user/news/#")
        found = [await lamp.next() for _ in ids]
        assert [(path, said["id"]) for path, said in found] == [("user/news/kitchen", each) for each in ids]
        for each in ids:
            await house.until(device_id, "answered", each)


async def test_to_a_device_behind_a_gateway(house: Served) -> None:
    _, gateway_id = await house.register("gateway", "1")
    gateway = house.api.services.devices.of_hardware(gateway_id)
    assert gateway is not None
    child_id, child = await house.register("lamp", "a", gateway_id=gateway.id)
    sent = await tell(house, child_id, "hello")
    async with house.device(gateway_id) as device:
        asked = {"device_statuses": [{"device_id": child, "status": "ONLINE"}]}
        event = {"service_id": "$sub_device_manager", "event_type": "sub_device_update_status", "paras": asked}
        await device.publish("sys/events/up", {"services": [event]})
        while (heard := await device.next())[0] != "sys/messages/down":
            pass
        assert (heard[1]["object_device_id"], heard[1]["id"]) == (child, sent)


async def test_who_only_reports_is_told_nothing_and_is_not_asked(own: Served) -> None:
    device_id, _ = await own.register("lamp", "1", link="https")
    path = f"/api/devices/{device_id}/commands"
    for asked in ({"service": "light", "values": {"on": True}}, {"kind": "message", "message": {"content": "a"}}):
        refused = await own.client.post(path, json=asked)
        assert (refused.status_code, refused.json()["code"]) == (409, "link_cannot")
    assert (await own.client.get(path)).json()["items"] == []
