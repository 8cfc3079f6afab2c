"""Devices behind a gateway: how they come, go and are told of, and what a gateway missed."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from app.links.iotda.children import AT_ONCE
from tests.links.iotda.house import House, Speaker, house_in

MANAGER = "$sub_device_manager"


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_in(tmp_path) as house:
        yield house


def new(node_id: str, product: str = "lamp", **more: Any) -> dict[str, Any]:
    return {"node_id": node_id, "product_id": product, **more}


async def add(gateway: Speaker, *devices: dict[str, Any], **more: Any) -> Any:
    await gateway.event(MANAGER, "add_sub_device_request", {"devices": list(devices)}, **more)
    return await gateway.told("add_sub_device_response")


async def test_a_gateway_adds_devices_and_is_told_of_each(house: House) -> None:
    gateway = await house.connected("gateway", "1")
    await house.register("lamp", "9")
    event_id = "40cc9ab1-3579-488c-95c6-c18941c99eb4"
    asked = {
        "devices": [
            new("a", name="Lamp a", description="by the door", extension_info={"floor": 1}),
            new("b", "no_such"),
            new("9"),
            new("c", "gateway"),
            new("d", parent_device_id="gateway_2"),
            new("e", extension_info="x" * 1100),
            new("f", device_id="2bb4ddba-fb56-4566-8577-063ad2f5a6cc"),
            new("g", device_id="d-aaaaaaaaaaaaaaaaaaaaaaaa"),
        ]
    }
    await gateway.event(MANAGER, "add_sub_device_request", asked, event_id=event_id)
    topic, payload = await house.line.next()
    (event,) = payload["services"]
    assert (topic, event["event_id"]) == ("$oc/devices/gateway_1/sys/events/down", event_id)
    told = event["paras"]
    assert [(each["device_id"], each["node_id"]) for each in told["successful_devices"]] == [
        ("lamp_a", "a"),
        ("2bb4ddba-fb56-4566-8577-063ad2f5a6cc", "f"),
    ]
    first = told["successful_devices"][0]
    assert first == {
        "parent_device_id": "gateway_1",
        "node_id": "a",
        "device_id": "lamp_a",
        "name": "Lamp a",
        "description": "by the door",
        "manufacturer_id": "Doorstep",
        "model": "lamp",
        "product_id": "lamp",
        "fw_version": None,
        "sw_version": None,
        "status": "INACTIVE",
        "extension_info": {"floor": 1},
    }
    assert [(each["node_id"], each["error_code"]) for each in told["failed_devices"]] == [
        ("b", "IOTDA.013014"),
        ("9", "IOTDA.014031"),
        ("c", "IOTDA.014037"),
        ("d", "IOTDA.000006"),
        ("e", "IOTDA.000006"),
        ("g", "IOTDA.000006"),
    ]


async def test_asked_again_a_gateway_is_told_the_same(house: House) -> None:
    gateway = await house.connected("gateway", "1")
    first, again = await add(gateway, new("a")), await add(gateway, new("a"))
    assert first["successful_devices"] == again["successful_devices"]


async def test_a_child_is_reached_through_its_gateway_while_it_is_there(house: House) -> None:
    gateway = await house.connected("gateway", "1")
    await add(gateway, new("a"))
    child = house.api.services.devices.of_hardware("lamp_a")
    assert child is not None
    body = {"service": "light", "values": {"on": True}, "expires_in": 600}
    command = (await house.client.post(f"/api/devices/{child.id}/commands", json=body)).json()
    assert house.line.sent.empty()
    statuses = [{"device_id": "lamp_a", "status": "ONLINE"}, {"device_id": "lamp_x", "status": "ONLINE"}]
    await gateway.event(MANAGER, "sub_device_update_status", {"device_statuses": statuses}, event_id="7")
    topic, told = await house.line.next()
    assert topic == f"$oc/devices/gateway_1/sys/properties/set/request_id={command['id']}"
    assert told["object_device_id"] == "lamp_a"
    answer = await gateway.told("sub_device_update_status_response")
    assert answer["successful_devices"] == [{"device_id": "lamp_a", "status": "ONLINE"}]
    assert [(each["device_id"], each["error_code"]) for each in answer["failed_devices"]] == [
        ("lamp_x", "IOTDA.014041")
    ]
    assert (await house.view(child.id))["online"] is True
    assert await gateway.say(f"sys/properties/set/response/request_id={command['id']}", {"result_code": 0}) is None
    await house.until(child.id, "answered", command["id"])


async def test_a_gateway_reports_for_a_hundred_devices_at_once(house: House) -> None:
    gateway = await house.connected("gateway", "1")
    ids = [f"n{number}" for number in range(100)]
    for begin in (0, 50):
        await add(gateway, *(new(node) for node in ids[begin : begin + 50]))
    values = {"services": [{"service_id": "Light", "properties": {"brightness": 77}}]}
    devices = [{"device_id": f"lamp_{node}", **values} for node in ids]
    assert await gateway.say("sys/gateway/sub_devices/properties/report", {"devices": devices}) is None
    shown = (await house.client.get(f"/api/homes/{house.home_id}/devices", params={"limit": 200})).json()["items"]
    lit = [each for each in shown if each["product_id"] == "lamp"]
    assert len(lit) == 100
    assert {each["services"]["light"]["reported"]["brightness"]["value"] for each in lit} == {77}
    assert {each["online"] for each in lit} == {True}
    many = {"devices": [*devices, devices[0]]}
    outcome = await gateway.say("sys/gateway/sub_devices/properties/report", many)
    assert outcome is not None
    assert outcome.code == "mqtt_declined"


async def test_a_report_may_follow_the_request_that_adds_its_device(house: House) -> None:
    gateway = await house.connected("gateway", "1")
    request = {"service_id": MANAGER, "event_type": "add_sub_device_request", "paras": {"devices": [new("a")]}}
    values = {"services": [{"service_id": "Light", "properties": {"on": True}}]}
    report = {"devices": [{"device_id": "lamp_a", **values}]}
    said = [("sys/events/up", {"services": [request]}), ("sys/gateway/sub_devices/properties/report", report)]
    assert await gateway.say_all(said) == [None, None]
    child = house.api.services.devices.of_hardware("lamp_a")
    assert child is not None
    assert "light" in (await house.view(child.id))["services"]


async def test_a_gateway_deletes_only_its_own(house: House) -> None:
    gateway, other = await house.connected("gateway", "1"), await house.connected("gateway", "2")
    await add(gateway, new("a"))
    await add(other, new("b"))
    await gateway.event(MANAGER, "delete_sub_device_request", {"devices": ["lamp_a", "lamp_b", "gateway_2"]})
    told = await gateway.told("delete_sub_device_response")
    assert told["successful_devices"] == ["lamp_a"]
    assert [(each["device_id"], each["error_code"]) for each in told["failed_devices"]] == [
        ("lamp_b", "IOTDA.014041"),
        ("gateway_2", "IOTDA.014041"),
    ]
    assert house.api.services.devices.of_hardware("lamp_a") is None
    assert house.api.services.devices.of_hardware("lamp_b") is not None


async def test_a_gateway_that_was_away_catches_up_in_order(house: House) -> None:
    gateway = await house.connected("gateway", "1")
    gateway_id = gateway.principal.device_id
    first, _ = await house.register("lamp", "a", gateway_id=gateway_id)
    told = await gateway.told("add_sub_device_notify")
    assert (told["version"], [each["device_id"] for each in told["devices"]]) == (1, ["lamp_a"])
    house.line.cut(gateway_id)
    await house.register("lamp", "b", gateway_id=gateway_id)
    assert (await house.client.delete(f"/api/devices/{first}")).status_code == 204
    await house.register("lamp", "c", gateway_id=gateway_id)
    gateway = house.line.connect(gateway_id, "gateway_1")
    await gateway.event(MANAGER, "sub_device_sync_request", {"version": 1})
    added = await gateway.told("add_sub_device_notify")
    assert (added["version"], [each["device_id"] for each in added["devices"]]) == (2, ["lamp_b"])
    gone = await gateway.told("delete_sub_device_notify")
    assert gone == {
        "devices": [{"parent_device_id": "gateway_1", "node_id": "a", "device_id": "lamp_a"}],
        "version": 3,
    }
    again = await gateway.told("add_sub_device_notify")
    assert (again["version"], [each["device_id"] for each in again["devices"]]) == (4, ["lamp_c"])
    # Up to date: nothing. Of another hub's list, or none: everything.
    await gateway.event(MANAGER, "sub_device_sync_request", {"version": 4})
    await gateway.event(MANAGER, "sub_device_sync_request", {"version": 99})
    everything = await gateway.told("add_sub_device_notify")
    assert everything["version"] == 2


async def test_a_long_list_comes_in_parts(house: House) -> None:
    gateway = await house.connected("gateway", "1")
    for begin in (0, 40):
        await add(gateway, *(new(f"n{number}") for number in range(begin, begin + 40)))
    await gateway.event(MANAGER, "sub_device_sync_request", {})
    parts = [await gateway.told("add_sub_device_notify") for _ in range(2)]
    assert [(len(part["devices"]), part["version"]) for part in parts] == [(AT_ONCE, AT_ONCE), (30, 80)]


async def test_who_leaves_is_told_to_the_gateway_and_all_leave_with_it(house: House) -> None:
    gateway = await house.connected("gateway", "1")
    await add(gateway, new("a"))
    child = house.api.services.devices.of_hardware("lamp_a")
    assert child is not None
    assert (await house.client.delete(f"/api/devices/{child.id}")).status_code == 204
    assert (await gateway.told("delete_sub_device_notify"))["version"] == 2
    await add(gateway, new("b"))
    assert (await house.client.delete(f"/api/devices/{gateway.principal.device_id}")).status_code == 204
    assert house.api.services.devices.of_hardware("lamp_b") is None


async def test_children_are_gone_with_their_gateway_and_back_with_it(house: House) -> None:
    house.api.services.devices.presence.grace = 0.01
    gateway = await house.connected("gateway", "1")
    await add(gateway, new("a"))
    child = house.api.services.devices.of_hardware("lamp_a")
    assert child is not None
    online = {"device_statuses": [{"device_id": "lamp_a", "status": "ONLINE"}]}
    await gateway.event(MANAGER, "sub_device_update_status", online)
    await gateway.told("sub_device_update_status_response")
    body = {"service": "light", "values": {"on": True}, "expires_in": 600}
    command = (await house.client.post(f"/api/devices/{child.id}/commands", json=body)).json()
    assert (await house.line.next())[0].endswith(command["id"])
    house.line.cut(gateway.principal.device_id)
    house.line.connect(gateway.principal.device_id, "gateway_1")
    # It was back within the grace: what was under way to its child goes out again.
    assert (await house.line.next())[0].endswith(command["id"])
