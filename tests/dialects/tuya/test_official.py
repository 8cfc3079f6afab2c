"""The official client and the most used unofficial one, unmodified, against a running hub over TLS."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import tinytuya  # type: ignore[import-untyped]
from tuya_connector import TuyaCloudPulsarTopic, TuyaOpenAPI, TuyaOpenPulsar  # type: ignore[import-untyped]

from app.caller import BY_SYSTEM
from app.devices.model import NewDevice
from app.serving import Serving
from app.settings import Settings
from app.store.folder import TLS_CERTIFICATE
from app.virtual.camera import Camera
from app.virtual.device import VirtualDevice
from app.virtual.process import product_named
from app.virtual.station import ListedNetworks
from pairing.qr.camera import write
from pairing.wifi import network_of
from tests.e2e.living import WAIT, Living, living

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Hub:
    """A hub with a lamp, a gateway and a key; `connector` and `tiny` are connected clients."""

    def __init__(self, hub: Living, url: str, key: dict[str, Any]) -> None:
        self.hub = hub
        self.url = url
        self.client_id: str = key["key"]["id"]
        self.secret: str = key["secret"]
        self.home_id = hub.home_id
        self.connector = TuyaOpenAPI(url, self.client_id, self.secret)
        self.tiny: Any = None
        self.lamp = ""

    async def connect(self) -> None:
        """As each of them connects."""
        assert (await asyncio.to_thread(self.connector.connect))["success"]
        # The one thing said differently: which host its region stands for.
        self.tiny = tinytuya.Cloud("eu", self.client_id, self.secret, initial_token="none yet")
        self.tiny.urlhost = self.url.removeprefix("https://")
        assert await asyncio.to_thread(self.tiny._gettoken)

    async def ask(self, verb: str, path: str, *given: Any) -> Any:
        """The result of a call by the official client."""
        answer = await asyncio.to_thread(getattr(self.connector, verb), path, *given)
        assert answer["success"], answer
        return answer["result"]

    async def tiny_asks(self, path: str, action: str = "GET", **given: Any) -> Any:
        """The result of a call by tinytuya."""
        answer = await asyncio.to_thread(self.tiny.cloudrequest, path, action, **given)
        assert answer["success"], answer
        return answer["result"]

    async def companion(self, path: str) -> Any:
        """What the companion API says."""
        return (await self.hub.owner.get(f"/api{path}")).json()

    async def bind(self, hardware_id: str, product: str, **fields: Any) -> str:
        """A device in the home."""
        new = NewDevice(
            home_id=self.home_id, hardware_id=hardware_id, product_id=product, name=product.title(), **fields
        )
        services = self.hub.node.services
        return await services.store.write(lambda tx: services.devices.bind_in(tx, BY_SYSTEM, new).id)


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Hub]:
    async with living(folder) as made:
        await made.claim()
        door = Serving(Settings(data=folder, port=0, tls_names=("localhost",)))
        endpoint = await door.open(made.node.asgi)
        body = {"name": "tuya", "scopes": ["read", "control", "manage"], "dialect": "tuya"}
        key = (await made.owner.post("/api/me/keys", json=body)).json()
        try:
            yield Hub(made, endpoint.url, key)
        finally:
            await door.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    folder = tmp_path_factory.mktemp("tuya") / "hub"
    async with served(folder) as made:
        trusted = {"REQUESTS_CA_BUNDLE": str(folder / TLS_CERTIFICATE)}
        before = os.environ.copy()
        os.environ.update(trusted)
        try:
            await made.connect()
            made.lamp = await made.bind("lamp", "lamp")
            yield made
        finally:
            made.connector.session.close()
            os.environ.clear()
            os.environ.update(before)


async def test_both_read_a_device(hub: Hub) -> None:
    await hub.hub.node.services.devices.reported(hub.lamp, "light", {"on": True})
    companion = await hub.companion(f"/devices/{hub.lamp}")
    for shown in (await hub.ask("get", f"/v1.0/devices/{hub.lamp}"), await hub.tiny_asks(f"/v1.0/devices/{hub.lamp}")):
        assert (shown["id"], shown["name"]) == (companion["id"], companion["name"])
        assert {"code": "switch_led", "value": True} in shown["status"]
    assert await hub.ask("get", f"/v1.0/devices/{hub.lamp}/status") == shown["status"]


@asynccontextmanager
async def told_by_an_app(token: bytes) -> AsyncIterator[VirtualDevice]:
    """A lamp that an app has told its network and the token."""
    camera, station = Camera(), ListedNetworks({"Lindenweg": "correct horse"})
    async with VirtualDevice(product_named("lamp"), setup=camera, station=station) as device:
        await device.wait("setup")
        camera.see(write(network_of("Lindenweg", "correct horse"), token))
        await device.wait("ready")
        yield device


Asks = Callable[..., Awaitable[Any]]


@pytest.fixture(params=["connector", "tinytuya"])
def asks(request: pytest.FixtureRequest, hub: Hub) -> Asks:
    """`await asks(method, path, query, body)` by each of the clients."""
    if request.param == "connector":

        async def by_connector(method: str, path: str, query: Any = None, body: Any = None) -> Any:
            verb = method.lower()
            given = (query,) if method in ("GET", "DELETE") and query else (body,) if body is not None else ()
            return await hub.ask(verb, path, *given)

        return by_connector

    async def by_tinytuya(method: str, path: str, query: Any = None, body: Any = None) -> Any:
        return await hub.tiny_asks(path, method, post=body, query=query)

    return by_tinytuya


async def test_every_seed_operation(hub: Hub, asks: Asks) -> None:
    """Details, lists, names, logs, people, children, factory data, outlets, status; removal and both resets."""
    api, home = hub.hub.node.services, hub.home_id
    lamp = await hub.bind(f"seed-{id(asks)}", "lamp", serial="SN-1")
    strip = await hub.bind(f"strip-{id(asks)}", "switch")
    gateway = await hub.bind(f"gw-{id(asks)}", "gateway")
    child = await hub.bind(f"gw-{id(asks)}/child", "contact_sensor", gateway_id=gateway)
    await api.devices.reported(lamp, "light", {"on": True, "brightness": 500})
    device = f"/v1.0/devices/{lamp}"
    details = await asks("GET", device)
    uid = details["uid"]
    assert details["owner_id"] == home
    assert {lamp, strip, gateway, child} <= ids(await asks("GET", f"/v1.0/users/{uid}/devices", {"from": "home"}))
    assert await asks("GET", f"/v1.0/users/{uid}/devices", {"from": "sharing"}) == []
    listed = await asks("GET", "/v1.0/devices", {"page_no": 1, "page_size": 100, "device_ids": f"{lamp},{strip}"})
    assert ids(listed["devices"]) == {lamp, strip}
    following = await asks("GET", "/v1.0/devices", {"page_size": 1, "last_id": lamp, "device_ids": f"{lamp},{strip}"})
    assert ids(following["devices"]) == {strip}
    assert await asks("PUT", device, None, {"name": "Desk lamp"}) is True
    assert (await hub.companion(f"/devices/{lamp}"))["name"] == "Desk lamp"
    assert await asks("PUT", f"{device}/functions/switch_led", None, {"name": "Glow"}) is True
    assert (await hub.companion(f"/devices/{lamp}"))["names"] == {"light": {"on": "Glow"}}
    assert {"code": "bright_value_v2", "value": 500} in await asks("GET", f"{device}/status")
    (shown,) = await asks("GET", f"/v1.0/devices/{gateway}/sub-devices")
    assert shown["id"] == child
    (info,) = await asks("GET", "/v1.0/devices/factory-infos", {"device_ids": lamp})
    assert info["sn"] == "SN-1"
    await _people(asks, device, lamp)
    outlets = f"/v1.0/devices/{strip}/multiple-name"
    assert await asks("PUT", outlets, None, {"identifier": "switch_1", "name": "Hall"}) is True
    assert {"identifier": "switch_1", "name": "Hall"} in await asks("GET", f"{outlets}s")
    await _logs(asks, device)
    assert await asks("DELETE", f"/v1.0/devices/{strip}") is True
    assert await asks("PUT", f"{device}/reset-factory") is True
    assert await asks("POST", f"/v2.0/cloud/thing/{gateway}/reset") is True
    left = {one["id"] for one in (await hub.companion(f"/homes/{home}/devices"))["items"]}
    assert left & {lamp, strip, gateway, child} == set()


def ids(found: list[dict[str, Any]]) -> set[str]:
    """Of devices in an answer."""
    return {one["id"] for one in found}


async def _people(asks: Asks, device: str, device_id: str) -> None:
    anna = {"nick_name": "test", "sex": 1, "birthday": 1544996327422, "height": 178, "weight": 160}
    user = await asks("POST", f"{device}/user", None, anna)
    assert (await asks("GET", f"{device}/users/{user}"))["height"] == 178
    assert await asks("PUT", f"{device}/users/{user}", None, anna | {"nick_name": "Anna"}) is True
    (listed,) = await asks("GET", f"{device}/users")
    assert (listed["nick_name"], listed["device_id"]) == ("Anna", device_id)
    assert await asks("DELETE", f"{device}/users/{user}") is True


async def _logs(asks: Asks, device: str) -> None:
    now = time.time_ns() // 1_000_000
    query = {"type": "7", "start_time": 0, "end_time": now + 60_000, "size": 1}
    first = await asks("GET", f"{device}/logs", {**query, "start_row_key": ""})
    assert (first["has_next"], len(first["logs"])) == (True, 1)
    second = await asks("GET", f"{device}/logs", {**query, "start_row_key": first["next_row_key"]})
    assert (second["has_next"], second["next_row_key"]) == (False, None)
    both = {(entry["code"], entry["value"]) for entry in first["logs"] + second["logs"]}
    assert both == {("switch_led", "true"), ("bright_value_v2", "500")}
    paid = await asks("GET", f"{device}/logs", {**query, "query_type": 2, "last_row_key": ""})
    rest = await asks("GET", f"{device}/logs", {**query, "query_type": 2, "last_row_key": paid["logs"][0]["row"]})
    assert {(entry["code"], entry["status"]) for entry in paid["logs"] + rest["logs"]} == {
        ("switch_led", "1"),
        ("bright_value_v2", "1"),
    }


async def test_homes_rooms_members_and_spaces(hub: Hub, asks: Asks) -> None:
    uid = (await asks("GET", f"/v1.0/devices/{hub.lamp}"))["uid"]
    body = {"uid": uid, "home": {"name": "Hut", "geo_name": "Woods", "lat": 1.5, "lon": 2.5}, "rooms": ["Loft"]}
    home = await asks("POST", "/v1.0/home/create-home", None, body)
    assert (await hub.companion(f"/homes/{home}"))["name"] == "Hut"
    (room,) = (await asks("GET", f"/v1.0/homes/{home}/rooms"))["rooms"]
    assert await asks("PUT", f"/v1.0/homes/{home}", None, {"name": "Cabin"}) is True
    assert home in {one["home_id"] for one in await asks("GET", f"/v1.0/users/{uid}/homes")}
    assert [one["owner"] for one in await asks("GET", f"/v1.0/homes/{home}/members")] == [True]
    assert (await asks("GET", f"/v1.0/users/{uid}/infos"))["username"] == "anna"
    lamp = await hub.bind(f"space-{id(asks)}", "lamp")
    assert await asks("POST", f"/v2.0/cloud/thing/{lamp}/transfer", None, {"space_id": home}) is True
    assert (await hub.companion(f"/devices/{lamp}"))["home_id"] == home
    placed = f"/v1.0/homes/{home}/rooms/{room['room_id']}/devices"
    assert await asks("POST", placed, None, {"device_ids": [lamp]}) is True
    assert [one["id"] for one in await asks("GET", placed)] == [lamp]
    assert await asks("GET", "/v2.0/cloud/space/child", {"space_id": home}) == [room["room_id"]]
    inside = await asks(
        "GET", "/v2.0/cloud/thing/space/device", {"space_ids": home, "page_size": 5, "is_recursion": True}
    )
    assert [one["id"] for one in inside] == [lamp]
    assert await asks("DELETE", f"/v2.0/cloud/thing/{lamp}") is True
    assert await asks("DELETE", f"/v1.0/homes/{home}/rooms/{room['room_id']}") is True
    assert await asks("DELETE", f"/v1.0/homes/{home}") is True


async def test_control_shadow_model_and_groups(hub: Hub, asks: Asks) -> None:
    hub.hub.node.services.devices.online(hub.lamp)
    device, thing = f"/v1.0/devices/{hub.lamp}", f"/v2.0/cloud/thing/{hub.lamp}"
    on = {"commands": [{"code": "switch_led", "value": True}]}
    assert await asks("POST", f"{device}/commands", None, on) is True
    given = (await hub.companion(f"/devices/{hub.lamp}/commands"))["items"][0]
    assert (given["kind"], given["values"]) == ("set", {"on": True})
    assert {one["code"] for one in (await asks("GET", f"{device}/functions"))["functions"]} >= {"switch_led"}
    assert (await asks("GET", f"{device}/specifications"))["category"] == "dj"
    assert await asks("POST", f"{thing}/shadow/properties/issue", None, {"properties": '{"switch_led":true}'}) == {}
    wish = {"properties": '{"bright_value_v2":321}', "duration": 60, "type": 1}
    await asks("POST", f"{thing}/shadow/properties/desired", None, wish)
    wanted = (await asks("GET", f"{thing}/shadow/properties/desired"))["properties"]
    assert ("bright_value_v2", 321) in {(one["code"], one["value"]) for one in wanted}
    assert json.loads((await asks("GET", f"{thing}/model"))["model"])["modelId"] == "lamp"
    assert await asks("POST", f"{thing}/freeze", None, {"state": 1}) is True
    assert await asks("GET", f"{thing}/state") == {"state": 1}
    assert await asks("POST", f"{thing}/freeze", None, {"state": 0}) is True
    body = {"space_id": hub.home_id, "name": "All", "product_id": "lamp", "device_ids": hub.lamp}
    group = (await asks("POST", "/v2.0/cloud/thing/group", None, body))["id"]
    sent = {"group_id": group, "properties": '{"switch_led":false}'}
    assert await asks("POST", "/v2.0/cloud/thing/group/properties", None, sent) is True
    assert await asks("DELETE", f"/v2.0/cloud/thing/group/{group}") is True
    assert await asks("GET", f"/v1.0/homes/{hub.home_id}/scenes") == []
    assert await asks("GET", f"{device}/timers") == []


async def test_a_pairing_token_is_a_session(hub: Hub, asks: Asks) -> None:
    uid = (await asks("GET", f"/v1.0/devices/{hub.lamp}"))["uid"]
    wanted = {"paring_type": "AP", "uid": uid, "time_zone_id": "Europe/Berlin", "home_id": hub.home_id}
    made = await asks("POST", "/v1.0/device/paring/token", None, wanted)
    assert [len(made[name]) for name in ("region", "token", "secret")] == [2, 8, 4]
    sessions = (await hub.companion(f"/homes/{hub.home_id}/pairing"))["items"]
    session = next(one for one in sessions if one["method"] == "by_app" and one["state"] == "searching")
    assert await asks("GET", f"/v1.0/device/paring/tokens/{made['token']}") == {"success": [], "failed": []}
    path = f"/api/homes/{hub.home_id}/pairing/{session['id']}"
    async with told_by_an_app((made["region"] + made["token"] + made["secret"]).encode()) as lamp:
        asked = await hub.hub.until(path, "confirming")
        (attempt,) = asked["attempts"]
        assert (await lamp.wait("code")).details["code"] == attempt["code"]
        await hub.hub.owner.post(f"{path}/confirm", json={"accepted": True, "attempt": attempt["number"]})
        await lamp.wait("paired")
    came = (await asks("GET", f"/v1.0/device/paring/tokens/{made['token']}"))["success"]
    assert came[0]["product_id"] == "lamp"
    assert (await hub.hub.owner.get(path)).json()["device_ids"] == [came[0]["device_id"]]
    again = await asks("GET", f"/v2.0/cloud/thing/active/token/{made['token']}")
    assert [one["id"] for one in again["successDevices"]] == [came[0]["device_id"]]
    await hub.hub.owner.post(f"{path}/finish")


class Consumer:
    """The official client's stream of messages, on its own thread, until it is left."""

    def __init__(self, hub: Hub) -> None:
        endpoint = hub.url.replace("https", "wss") + "/"
        self._pulsar = TuyaOpenPulsar(hub.client_id, hub.secret, endpoint, TuyaCloudPulsarTopic.PROD)
        self._loop = asyncio.get_running_loop()
        self._heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._pulsar.add_message_listener(self._take)

    def _take(self, text: str) -> None:
        self._loop.call_soon_threadsafe(self._heard.put_nowait, json.loads(text))

    async def __aenter__(self) -> "Consumer":
        self._pulsar.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._pulsar.stop()
        await asyncio.to_thread(self._pulsar.join)

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next message that is wanted."""
        async with asyncio.timeout(WAIT):
            while not wanted(message := await self._heard.get()):
                pass
        return message


def reports(device_id: str, value: int) -> Callable[[dict[str, Any]], bool]:
    """Whether a message says that a lamp is that bright."""
    return lambda message: (
        message.get("devId") == device_id
        and any(it["code"] == "bright_value_v2" and it["value"] == value for it in message.get("status", ()))
    )


async def test_the_official_consumer_hears_what_happens_and_goes_on_where_it_stopped(hub: Hub) -> None:
    devices = hub.hub.node.services.devices

    async def report(value: int) -> None:
        await devices.reported(hub.lamp, "light", {"brightness": value})

    async with Consumer(hub) as consumer:
        async with asyncio.timeout(WAIT):
            while not hub.hub.node.services.tuya.consuming.consumers:
                await asyncio.sleep(0.02)
        await report(501)
        message = await consumer.until(reports(hub.lamp, 501))
        assert message["status"][0]["22"] == 501
        await hub.ask("put", f"/v1.0/devices/{hub.lamp}", {"name": "Reading lamp"})
        named = await consumer.until(lambda message: message.get("bizCode") == "nameUpdate")
        assert (named["bizData"]["name"], named["devId"]) == ("Reading lamp", hub.lamp)
        devices.online(hub.lamp)
        await consumer.until(lambda message: message.get("bizCode") == "online")
    await report(502)
    async with Consumer(hub) as consumer:
        await report(503)
        await consumer.until(reports(hub.lamp, 502))
        await consumer.until(reports(hub.lamp, 503))
