"""The published flow of a device (chapter 2), by paho-mqtt: over the hub's endpoint, and over Mosquitto."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from app.links.iotda import downwards
from tests.e2e.living import living
from tests.links.iotda.house import SECRET, WAIT
from tests.links.iotda.paho_device import PahoDevice
from tests.links.iotda.served import BROKER, HUBS_PASSWORD, WAYS, Served, furnish, served
from tests.links.iotda.test_upgrades import package
from tests.links.mqtt.mosquitto import mosquitto


@pytest_asyncio.fixture(params=WAYS)
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, request.param) as made:
        yield made


@pytest_asyncio.fixture
async def brokered(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, BROKER) as made:
        yield made


def report(**properties: Any) -> dict[str, Any]:
    return {"services": [{"service_id": "Light", "properties": properties}]}


@pytest.mark.parametrize("version", [4, 5])
async def test_connect_report_command_shadow(house: Served, version: int) -> None:
    device_id, wire_id = await house.register("lamp", "1")
    async with house.device(wire_id, version=version) as lamp:
        await lamp.publish("sys/properties/report", report(on=True, brightness=40))
        await house.reported(device_id, on=True, brightness=40)
        assert (await house.view(device_id))["online"] is True
        body = {"service": "light", "values": {"on": False}}
        command = (await house.client.post(f"/api/devices/{device_id}/commands", json=body)).json()
        # At the hub's own endpoint nothing was subscribed: system topics come by themselves.
        assert await lamp.next() == (
            f"sys/properties/set/request_id={command['id']}",
            {"object_device_id": "lamp_1", "services": [{"service_id": "Light", "properties": {"on": False}}]},
        )
        await lamp.publish(f"sys/properties/set/response/request_id={command['id']}", {"result_code": 0})
        await house.until(device_id, "answered", command["id"])
        await lamp.publish("sys/shadow/get/request_id=1", {"service_id": "Light"})
        path, shadow = await lamp.next()
        assert path == "sys/shadow/get/response/request_id=1"
        assert shadow["shadow"][0]["reported"]["properties"] == {"on": True, "brightness": 40}


async def test_what_is_subscribed_at_qos_1_is_acknowledged_by_the_device(house: Served) -> None:
    device_id, wire_id = await house.register("lamp", "1")
    async with house.device(wire_id) as lamp:
        await lamp.subscribe("sys/properties/set/#")
        body = {"service": "light", "values": {"on": False}}
        command = (await house.client.post(f"/api/devices/{device_id}/commands", json=body)).json()
        await lamp.next()
        await house.until(device_id, "delivered", command["id"])


async def test_what_waits_for_a_new_session_goes_out_as_it_subscribes(
    house: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downwards, "SETTLING_S", 600.0)
    device_id, wire_id = await house.register("lamp", "1")
    body = {"service": "light", "values": {"on": False}, "expires_in": 60}
    command = (await house.client.post(f"/api/devices/{device_id}/commands", json=body)).json()
    async with house.device(wire_id) as lamp:
        await lamp.subscribe("sys/properties/set/#")
        path, _ = await lamp.next()
        assert path.endswith(command["id"])
        await house.until(device_id, "delivered", command["id"])
        assert lamp.heard_at[-1] == 1


async def test_a_gateway_with_devices_behind_it(house: Served) -> None:
    _, wire_id = await house.register("gateway", "1")
    async with house.device(wire_id) as gateway:
        asked = {"devices": [{"node_id": "a", "product_id": "lamp"}, {"node_id": "b", "product_id": "lamp"}]}
        request = {"service_id": "$sub_device_manager", "event_type": "add_sub_device_request", "paras": asked}
        await gateway.publish("sys/events/up", {"object_device_id": wire_id, "services": [request]})
        _, told = await gateway.next()
        ids = [each["device_id"] for each in told["services"][0]["paras"]["successful_devices"]]
        assert ids == ["lamp_a", "lamp_b"]
        devices = [{"device_id": each, **report(on=True)} for each in ids]
        await gateway.publish("sys/gateway/sub_devices/properties/report", {"devices": devices})
        child = house.api.services.devices.of_hardware("lamp_b")
        assert child is not None
        await house.reported(child.id, on=True)
        body = {"service": "light", "values": {"on": False}}
        command = (await house.client.post(f"/api/devices/{child.id}/commands", json=body)).json()
        path, told = await gateway.next()
        assert (path, told["object_device_id"]) == (f"sys/properties/set/request_id={command['id']}", "lamp_b")
        await gateway.publish(f"sys/properties/set/response/request_id={command['id']}", {})
        await house.until(child.id, "answered", command["id"])


async def test_an_upgrade(house: Served) -> None:
    device_id, wire_id = await house.register("lamp", "1")
    made = await package(house)

    async def told(lamp: PahoDevice, kind: str) -> Any:
        path, payload = await lamp.next()
        (event,) = payload["services"]
        assert (path, event["service_id"], event["event_type"]) == ("sys/events/down", "$ota", kind)
        return event["paras"]

    async def say(lamp: PahoDevice, kind: str, **paras: Any) -> None:
        await lamp.publish("sys/events/up", {"services": [{"service_id": "$ota", "event_type": kind, "paras": paras}]})

    async with house.device(wire_id) as lamp:
        path = f"/api/devices/{device_id}/upgrades"
        assert (await house.client.post(path, json={"package_id": made["id"]})).status_code == 201
        assert await told(lamp, "version_query") == {}
        await say(lamp, "version_report", sw_version="v1", fw_version="v1")
        offer = await told(lamp, "firmware_upgrade")
        assert (offer["version"], offer["sign"]) == ("v2", made["sha256"])
        await say(lamp, "upgrade_progress_report", result_code=0, progress=100, version="v2")
        await say(lamp, "version_report", sw_version="v1", fw_version="v2")
        await house.until_shown(device_id, lambda shown: shown["firmware"] == "v2")
        assert (await house.client.get(path)).json()["items"][0]["state"] == "succeeded"


@pytest.mark.parametrize("version", [4, 5])
async def test_who_is_not_let_in(house: Served, version: int) -> None:
    await house.register("lamp", "1")
    # 0x04 of chapter 2 is our word; Mosquitto says 0x05 to whoever shows a wrong password.
    told = "Bad user name or password" if house.own else "Not authorized"
    for wire_id, secret in (("lamp_1", "another-secret"), ("lamp_3", SECRET)):
        device = PahoDevice(wire_id, secret, version=version)
        try:
            assert await device.connect(house.port) == told
        finally:
            await device.close()


async def test_a_device_neither_writes_nor_reads_anothers_topics(house: Served) -> None:
    victim_id, _ = await house.register("lamp", "1")
    _, thief_id = await house.register("lamp", "2")
    async with house.device("lamp_1") as victim, house.device(thief_id) as thief:
        for pattern in ("$oc/devices/lamp_1/#", "#", "$oc/devices/+/sys/#"):
            await thief.subscribe_at(pattern)
        await thief.publish_at("$oc/devices/lamp_1/sys/properties/report", report(on=True))
        body = {"service": "light", "values": {"on": False}}
        command = (await house.client.post(f"/api/devices/{victim_id}/commands", json=body)).json()
        assert (await victim.next())[0].endswith(command["id"])
        await victim.publish("sys/properties/report", report(brightness=50))
        await house.reported(victim_id, brightness=50)
        assert thief.heard.empty()


async def test_a_whole_hub_whose_settings_name_a_broker(tmp_path: Path) -> None:
    lines = await asyncio.to_thread(furnish, tmp_path / "broker")
    async with mosquitto(tmp_path / "broker", more=lines) as port, AsyncExitStack() as stack:
        named = {"mqtt_broker_username": "hub", "mqtt_broker_password": HUBS_PASSWORD}
        hub = await stack.enter_async_context(living(tmp_path / "hub", mqtt_broker=f"mqtt://127.0.0.1:{port}", **named))
        await hub.claim()
        new = {"product_id": "lamp", "node_id": "1", "secret": SECRET}
        made = await hub.owner.post(f"/api/homes/{hub.home_id}/devices", json=new)
        path = f"/api/devices/{made.json()['device']['id']}/commands"
        lamp = PahoDevice("lamp_1", SECRET)
        stack.push_async_callback(lamp.close)
        assert await lamp.connect(port) == "Success"
        await lamp.subscribe("sys/properties/set/+")
        body = {"service": "light", "values": {"on": False}, "expires_in": 60}
        command = (await hub.owner.post(path, json=body)).json()
        # It waits until the lamp says anything: a broker does not tell who is there.
        await lamp.publish("sys/properties/report", report(on=True))
        assert (await lamp.next())[0] == f"sys/properties/set/request_id={command['id']}"
        await lamp.publish(f"sys/properties/set/response/request_id={command['id']}", {"result_code": 0})
        async with asyncio.timeout(WAIT):
            while (await hub.owner.get(f"{path}/{command['id']}")).json()["state"] != "answered":
                await asyncio.sleep(0.01)


# What only a broker does: let somebody in whom the hub would not.


async def test_who_only_the_broker_knows_is_not_heard(brokered: Served) -> None:
    device_id, _ = await brokered.register("lamp", "1")
    stranger = PahoDevice("lamp_9", SECRET)
    assert await stranger.connect(brokered.port) == "Success"
    await stranger.publish("sys/properties/report", report(on=True))
    async with brokered.device("lamp_1") as lamp:
        await lamp.publish("sys/properties/report", report(brightness=50))
        await brokered.reported(device_id, brightness=50)
    assert brokered.api.services.devices.of_hardware("lamp_9") is None
    await stranger.close()


async def test_a_frozen_device_is_neither_heard_nor_told(brokered: Served) -> None:
    device_id, wire_id = await brokered.register("lamp", "1")
    other_id, other_wire = await brokered.register("lamp", "2")
    async with brokered.device(wire_id) as lamp, brokered.device(other_wire) as other:
        assert (await brokered.client.post(f"/api/devices/{device_id}/freeze")).status_code == 200
        await lamp.publish("sys/properties/report", report(on=True))
        # What was said later by another was heard: so was this, and not taken.
        await other.publish("sys/properties/report", report(brightness=50))
        await brokered.reported(other_id, brightness=50)
        await brokered.reported(device_id)
        assert (await brokered.view(device_id))["online"] is False
        assert (await brokered.client.post(f"/api/devices/{device_id}/unfreeze")).status_code == 200
        await lamp.publish("sys/properties/report", report(on=True))
        await brokered.reported(device_id, on=True)
        assert lamp.heard.empty()


@pytest.mark.parametrize("record", ["keep", "remove"])
async def test_a_reset_is_told_when_it_next_says_something(brokered: Served, record: str) -> None:
    device_id, wire_id = await brokered.register("lamp", "1")
    other_id, other_wire = await brokered.register("lamp", "2")
    async with brokered.device(wire_id) as lamp, brokered.device(other_wire) as other:
        answer = await brokered.client.post(f"/api/devices/{device_id}/reset", json={"record": record})
        reset = answer.json()["id"]
        await lamp.publish("sys/properties/report", report(on=True))
        path, told = await lamp.next()
        assert (path, told["command_name"]) == (f"sys/commands/request_id={reset}", "factory_reset")
        await lamp.publish(f"sys/commands/response/request_id={reset}", {"result_code": 0})
        listed = f"/api/homes/{brokered.home_id}/resets"
        while (await brokered.client.get(listed)).json()["items"][0]["state"] != "confirmed":
            await other.publish("sys/properties/report", report(brightness=50))
        # From now on it is nobody.
        await lamp.publish("sys/properties/report", report(on=True))
        await other.publish("sys/properties/report", report(brightness=60))
        await brokered.reported(other_id, brightness=60)
        assert lamp.heard.empty()
        if record == "keep":
            await brokered.reported(device_id)
