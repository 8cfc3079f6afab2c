"""Everything the hub says downwards has the fields of the document's example of it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from app.links.iotda.codec import topics
from tests.links.iotda.house import House, Speaker, house_in
from tests.links.iotda.test_upgrades import package

FIXTURES = Path(__file__).parents[3] / "fixtures" / "iotda"
DOCUMENT = json.loads((FIXTURES / "mqtt_examples.json").read_text())
DOWN: dict[str, Any] = {
    **{
        topics.parse(each["topic"].format(device_id="a", request_id="1")).kind.value: each["example"]
        for each in DOCUMENT["topics"]
        if each["direction"] == "down" and each["example"]
    },
    **{each["event_type"]: each["example"] for each in DOCUMENT["events"] if each["direction"] == "down"},
}
# In the tables, and not in every example.
OPTIONAL = {"object_device_id", "extension_info", "event_id"}


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_in(tmp_path) as house:
        yield house


def shape(value: Any) -> Any:
    """The fields of a JSON value at every depth, without what it says; of a list its first item's."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items() if name not in OPTIONAL}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return None


# What is the product's or the caller's own: only that it is an object counts.
FREE = {"paras", "properties", "config_content", "file_attributes"}


def bare(value: Any, *, event: bool) -> Any:
    """`value` without what is nobody's to prescribe."""
    if isinstance(value, dict):
        free = FREE - {"paras"} if event else FREE
        return {name: {} if name in free else bare(inner, event=event) for name, inner in value.items()}
    return [bare(each, event=event) for each in value] if isinstance(value, list) else value


async def said(house: House) -> dict[str, Any]:
    """Everything that was published, by topic kind or event type."""
    found: dict[str, Any] = {}
    while not house.line.sent.empty():
        topic, payload = await house.line.next()
        kind = topics.parse(topic).kind
        name = payload["services"][0]["event_type"] if kind is topics.Kind.EVENT_DOWN else kind.value
        found[name] = payload
    return found


async def children(house: House, gateway: Speaker) -> None:
    manager = "$sub_device_manager"
    new = [{"node_id": "a", "product_id": "lamp", "name": "a"}, {"node_id": "b", "product_id": "none"}]
    await gateway.event(manager, "add_sub_device_request", {"devices": new}, event_id="1")
    statuses = [{"device_id": each, "status": "ONLINE"} for each in ("lamp_a", "lamp_x")]
    await gateway.event(manager, "sub_device_update_status", {"device_statuses": statuses}, event_id="2")
    await gateway.event(manager, "delete_sub_device_request", {"devices": ["lamp_a", "lamp_x"]}, event_id="3")
    gone, _ = await house.register("lamp", "c", gateway_id=gateway.principal.device_id)
    assert (await house.client.delete(f"/api/devices/{gone}")).status_code == 204


async def ask(house: House, lamp: Speaker) -> None:
    path = f"/api/devices/{lamp.principal.device_id}"
    for body in ({"values": {"on": True}}, {"kind": "get"}, {"kind": "call", "name": "blink", "params": {"times": 1}}):
        made = await house.client.post(f"{path}/commands", json={"service": "light", **body})
        assert made.status_code == 202, made.text
    await house.client.patch(f"{path}/services/light/desired", json={"values": {"on": True}})
    report = {"services": [{"service_id": "Light", "properties": {"on": True}}]}
    await lamp.say_all([("sys/properties/report", report), ("sys/shadow/get/request_id=1", {"service_id": "Light"})])


async def care(house: House, lamp: Speaker) -> None:
    path = f"/api/devices/{lamp.principal.device_id}"
    made = await package(house)
    await house.client.post(f"{path}/upgrades", json={"package_id": made["id"]})
    await lamp.event("$ota", "version_report", {"fw_version": "v1"})
    attributes = {"file_name": "a.jpg", "file_attributes": {"hash_code": "58", "size": 1024}}
    await lamp.event("$file_manager", "get_upload_url", attributes)
    await lamp.event("$file_manager", "get_download_url", attributes)
    await lamp.event("$time_sync", "time_sync_request", {"device_send_time": 1})
    await house.client.put(f"{path}/log-collection", json={"until": "2090-01-01T00:00:00Z"})
    await house.client.put(f"{path}/config", json={"content": {"a": 1}})


async def test_what_is_said_downwards_is_as_in_the_document(house: House) -> None:
    gateway, lamp = await house.connected("gateway", "1"), await house.connected("lamp", "1")
    await children(house, gateway)
    await ask(house, lamp)
    await care(house, lamp)
    told = {"kind": "message", "name": "name", "message": {"content": "hello"}}
    made = await house.client.post(f"/api/devices/{lamp.principal.device_id}/commands", json=told)
    assert made.status_code == 202, made.text
    found = await said(house)
    assert set(found) == set(DOWN)
    for name, payload in found.items():
        event = name not in {kind.value for kind in topics.Kind}
        assert shape(bare(payload, event=event)) == shape(bare(DOWN[name], event=event)), name
