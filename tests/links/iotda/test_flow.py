"""The published flow of a device (chapter 2), by paho-mqtt against the hub's endpoint."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from app.links.iotda import downwards
from app.links.mqtt.endpoint import Endpoint
from tests.links.iotda.house import SECRET, House, house_in
from tests.links.iotda.paho_device import PahoDevice


class Served(House):
    """A house whose devices connect to a port."""

    port: int
    endpoint: Endpoint

    @asynccontextmanager
    async def device(self, wire_id: str, *, version: int = 4) -> AsyncIterator[PahoDevice]:
        device = PahoDevice(wire_id, SECRET, version=version)
        try:
            assert await device.connect(self.port) == "Success"
            yield device
        finally:
            await device.close()


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Served]:
    """Over the hub's own endpoint."""
    async with house_in(folder) as made:
        iotda = made.api.services.iotda
        house = Served(made.api, made.client, made.home_id)
        house.endpoint = endpoint = Endpoint(made.api.store, iotda.admission, iotda.hearing)
        iotda.down.link = endpoint
        await endpoint.open()
        house.port = await endpoint.listen("127.0.0.1", 0)
        try:
            yield house
        finally:
            await endpoint.close()


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as made:
        yield made


def report(**properties: Any) -> dict[str, Any]:
    return {"services": [{"service_id": "Light", "properties": properties}]}


@pytest.mark.parametrize("version", [4, 5])
async def test_connect_report_command_shadow(house: Served, version: int) -> None:
    device_id, wire_id = await house.register("lamp", "1")
    async with house.device(wire_id, version=version) as lamp:
        await lamp.publish("sys/properties/report", report(on=True, brightness=40))
        view = await house.view(device_id)
        assert view["online"] is True
        assert view["services"]["light"]["reported"]["brightness"]["value"] == 40
        body = {"service": "light", "values": {"on": False}}
        command = (await house.client.post(f"/api/devices/{device_id}/commands", json=body)).json()
        # Nothing was subscribed: system topics come by themselves.
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
        body = {"service": "light", "values": {"on": False}}
        command = (await house.client.post(f"/api/devices/{child.id}/commands", json=body)).json()
        path, told = await gateway.next()
        assert (path, told["object_device_id"]) == (f"sys/properties/set/request_id={command['id']}", "lamp_b")
        await gateway.publish(f"sys/properties/set/response/request_id={command['id']}", {})
        await house.until(child.id, "answered", command["id"])


@pytest.mark.parametrize("version", [4, 5])
async def test_who_is_not_let_in(house: Served, version: int) -> None:
    await house.register("lamp", "1")
    told = {4: "Bad user name or password", 5: "Bad user name or password"}[version]
    for wire_id, secret in (("lamp_1", "another-secret"), ("lamp_2", SECRET)):
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
        assert thief.heard.empty()
        shown = (await house.view(victim_id))["services"]["light"]["reported"]
        assert set(shown) == {"brightness"}
