"""A frozen device at every door of a hub: refused there, and its standing connection ended."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from app.errors import DoorstepError
from app.links.iotda.admission import IotdaAddressing
from app.links.mqtt.endpoint import Endpoint
from app.virtual.memory import MemoryStore
from pairing.messages import Report
from tests.e2e.living import Living, living
from tests.links.heartbeat.house import house_in as calling_home
from tests.links.iotda.house import SECRET, House, house_in
from tests.links.iotda.paho_device import PahoDevice
from tests.links.iotda.served import Served
from tests.links.iotda.test_https import BODIES, Home, told
from tests.links.iotda.test_upgrades import package
from tests.links.test_gateways import LAMP, PLUG, gateway_of, join, seen, switch
from tests.links.test_hearing import bring_in, lamp, on, order, until

WAIT = 30.0


async def put(client: httpx2.AsyncClient, device_id: str, verb: str) -> None:
    answer = await client.post(f"/api/devices/{device_id}/{verb}")
    assert answer.status_code == 200, answer.text


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Living]:
    async with living(tmp_path / "hub") as hub:
        await hub.claim()
        yield hub


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_in(tmp_path) as house:
        yield house


async def test_over_the_lan_its_link_ends_and_it_is_let_in_again_once_unfrozen(hub: Living) -> None:
    async with lamp(store=MemoryStore()) as device, asyncio.timeout(2 * WAIT):
        device_id = await bring_in(hub, device)
        await until(hub, f"/api/devices/{device_id}", lambda shown: shown["online"])
        await put(hub.owner, device_id, "freeze")
        await device.wait("unlinked")
        refused = await device.wait("link_refused")
        # As if it had never been known: told that it was removed, it would forget its home.
        assert refused.details["reason"] == "unknown"
        assert not hub.node.services.lan.is_online(device_id)
        assert (await hub.owner.get(f"/api/devices/{device_id}")).json()["online"] is False
        await put(hub.owner, device_id, "unfreeze")
        await device.wait("linked")
        assert (await order(hub, device_id, wait=20, values={"on": True}))["state"] == "answered"


async def test_over_the_lan_a_child_is_frozen_by_itself(hub: Living) -> None:
    async with gateway_of(waiting=[LAMP, PLUG]) as gateway, asyncio.timeout(2 * WAIT):
        one, two = await join(hub, await bring_in(hub, gateway), want=2)
        shown = await seen(hub, one)
        await seen(hub, two)
        await put(hub.owner, one, "freeze")
        device = hub.node.services.devices.memory.get(one)
        assert device is not None
        parent, _, child = device.device.hardware_id.partition("/")
        await hub.node.services.lan.reported(parent, Report("light", {"on": not on(shown)}, child=child))
        assert on((await hub.owner.get(f"/api/devices/{one}")).json()) is on(shown)
        assert (await hub.owner.get(f"/api/devices/{one}")).json()["online"] is False
        assert (await switch(hub, two, "outlet"))["state"] == "answered"
        # Its gateway has not gone and says it but once that it is there.
        await put(hub.owner, one, "unfreeze")
        assert (await switch(hub, one, "light"))["state"] == "answered"
        assert (await hub.owner.get(f"/api/devices/{one}")).json()["online"] is True


@pytest_asyncio.fixture
async def served(house: House) -> AsyncIterator[Served]:
    iotda = house.api.services.iotda
    served = Served(house.api, house.client, house.home_id)
    served.endpoint = endpoint = Endpoint(house.api.store, iotda.admission, iotda.hearing)
    iotda.down.link = endpoint
    await endpoint.open()
    served.port = await endpoint.listen("127.0.0.1", 0)
    try:
        yield served
    finally:
        await endpoint.close()


@pytest.mark.parametrize(("version", "refusal"), [(4, "Not authorized"), (5, "Not authorized")])
async def test_over_mqtt_its_connection_ends_and_none_is_taken(served: Served, version: int, refusal: str) -> None:
    device_id, wire_id = await served.register("lamp", "1")
    async with served.device(wire_id, version=version) as device, asyncio.timeout(WAIT):
        loop = asyncio.get_running_loop()
        gone: asyncio.Future[None] = loop.create_future()

        def on_disconnect(*_: Any) -> None:
            loop.call_soon_threadsafe(gone.set_result, None)

        device.client.on_disconnect = on_disconnect
        await put(served.client, device_id, "freeze")
        await gone
    again = PahoDevice(wire_id, SECRET, version=version)
    assert await again.connect(served.port) == refusal
    await again.close()
    assert (await served.view(device_id))["online"] is False
    await put(served.client, device_id, "unfreeze")
    async with served.device(wire_id, version=version):
        assert (await served.view(device_id))["online"] is True


async def test_over_another_broker_it_is_not_heard(house: House) -> None:
    device_id, wire_id = await house.register("lamp", "1")
    addressing = IotdaAddressing(house.api.services.iotda.proving)
    topic = f"$oc/devices/{wire_id}/sys/properties/report"
    assert addressing.speaker(topic) is not None
    await put(house.client, device_id, "freeze")
    assert addressing.speaker(topic) is None


async def test_what_it_said_too_late_is_not_taken(house: House) -> None:
    device_id, wire_id = await house.register("lamp", "1")
    lamp = house.line.connect(device_id, wire_id)
    await put(house.client, device_id, "freeze")
    assert house.line.dropped == [device_id]
    said: list[tuple[str, Any]] = [("sys/properties/report", {"services": []}), ("sys/messages/up", {"content": "x"})]
    for path, payload in said:
        refused = await lamp.say(path, payload)
        assert isinstance(refused, DoorstepError)
        assert refused.code == "device_frozen"
    assert await house.log(device_id, "message") == []


async def test_over_mqtt_a_child_is_frozen_by_itself(house: House) -> None:
    gateway_id, wire_id = await house.register("gateway", "1")
    behind = [await house.register("lamp", f"n{number}", gateway_id=gateway_id) for number in range(2)]
    (one, first), (two, second) = behind
    gateway = house.line.connect(gateway_id, wire_id)
    await put(house.client, one, "freeze")
    statuses = [{"device_id": each, "status": "ONLINE"} for each in (first, second)]
    await gateway.event("$sub_device_manager", "sub_device_update_status", {"device_statuses": statuses})
    answer = await gateway.told("sub_device_update_status_response")
    assert [(each["device_id"], each["error_code"]) for each in answer["failed_devices"]] == [(first, "IOTDA.014018")]
    values = {"services": [{"service_id": "Light", "properties": {"on": True}}]}
    devices = [{"device_id": each, **values} for each in (first, second)]
    assert await gateway.say("sys/gateway/sub_devices/properties/report", {"devices": devices}) is None
    shown = [await house.view(each) for each in (one, two)]
    assert [(each["online"], each["services"] != {}) for each in shown] == [(False, False), (True, True)]
    refused = await gateway.say("sys/messages/up", {"object_device_id": first, "content": "hello"})
    assert isinstance(refused, DoorstepError)
    assert refused.code == "device_frozen"
    # Nor does its gateway take it out of the home.
    await gateway.event("$sub_device_manager", "delete_sub_device_request", {"devices": [first]})
    answer = await gateway.told("delete_sub_device_response")
    assert [each["error_code"] for each in answer["failed_devices"]] == ["IOTDA.014018"]


async def test_over_https_it_gets_no_token_and_the_one_it_has_is_none(house: House) -> None:
    home = Home(house.api, house.client, house.home_id)
    device_id, wire_id = await home.register("lamp", "1", link="https")
    token, path = await home.token(wire_id), "sys/properties/report"
    await put(home.client, device_id, "freeze")
    assert told(await home.auth(wire_id)) == (401, "IOTDA.00002")
    assert told(await home.post(token, wire_id, path, BODIES[path])) == (403, "IOTDA.00004")
    assert (await home.view(device_id))["services"] == {}
    await put(home.client, device_id, "unfreeze")
    assert (await home.post(token, wire_id, path, BODIES[path])).status_code == 200


async def test_no_upgrade_and_no_configuration_is_meant_for_it(house: House) -> None:
    device_id, _ = await house.register("lamp", "1")
    await put(house.client, device_id, "freeze")
    made = await package(house)
    for verb, path, body in (
        ("POST", "upgrades", {"package_id": made["id"]}),
        ("PUT", "config", {"content": {"a": 1}}),
        ("PUT", "log-collection", {"until": None}),
    ):
        refused = await house.client.request(verb, f"/api/devices/{device_id}/{path}", json=body)
        assert (refused.status_code, refused.json()["code"]) == (409, "device_frozen"), path


async def test_at_its_heartbeat_it_is_told_so_and_nothing_of_what_it_says_is_taken(tmp_path: Path) -> None:
    async with calling_home(tmp_path) as home:
        device_id, token = await home.register()
        await put(home.owner, device_id, "freeze")
        refused = await home.beat(token, firmware="9", services=[{"service": "light", "values": {"on": True}}])
        assert (refused.status_code, refused.json()["code"]) == (409, "device_frozen")
        shown = await home.get(f"/api/devices/{device_id}")
        assert (shown["online"], shown["services"], shown["firmware"]) == (False, {}, "")
        await put(home.owner, device_id, "unfreeze")
        assert (await home.heard(token, firmware="9"))["commands"] == []
        # A reset it hears of, though it was frozen.
        await put(home.owner, device_id, "freeze")
        reset = await home.reset(device_id)
        (order,) = (await home.heard(token))["commands"]
        assert (order["id"], order["kind"]) == (reset["id"], "factory_reset")
