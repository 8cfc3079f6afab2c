"""What devices say, and what comes of it: reports, answers, messages, shadows."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from app.clock import to_time
from app.links.iotda.codec.times import event_time
from app.links.iotda.messages import BYTES_AT_ONCE
from app.links.mqtt.errors import Declined, Reason
from app.links.mqtt.ports import Message, Seen
from tests.api.things import bind
from tests.links.iotda.house import House, house_in


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_in(tmp_path) as house:
        yield house


def report(service: str = "Light", **properties: Any) -> dict[str, Any]:
    return {"services": [{"service_id": service, "properties": properties}]}


async def test_what_a_device_reports_is_in_its_shadow_under_our_names(house: House) -> None:
    lamp = await house.connected("lamp", "1")
    said = {"services": [{"service_id": "Light", "properties": {"on": True, "brightness": 40}, "event_time": "x"}]}
    assert await lamp.say("sys/properties/report", said) is None
    view = await house.view(lamp.principal.device_id)
    assert view["online"] is True
    shown = view["services"]["light"]["reported"]
    assert {name: point["value"] for name, point in shown.items()} == {"on": True, "brightness": 40}


async def test_the_time_of_a_report_is_the_devices_where_it_can_be(house: House) -> None:
    lamp = await house.connected("lamp", "1")
    now = house.api.clock.now().ms
    said = {"service_id": "Light", "properties": {"on": True}, "event_time": event_time(now - 3_600_000)}
    assert await lamp.say("sys/properties/report", {"services": [said]}) is None
    shown = (await house.view(lamp.principal.device_id))["services"]["light"]["reported"]["on"]["at"]
    assert shown == event_time_shown(now - 3_600_000)


def event_time_shown(ms: int) -> str:
    return to_time(ms // 1000 * 1000).isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize("value", [0, 1])
async def test_zero_and_one_are_booleans(house: House, value: int) -> None:
    lamp = await house.connected("lamp", "1")
    assert await lamp.say("sys/properties/report", report(on=value)) is None
    assert (await house.view(lamp.principal.device_id))["services"]["light"]["reported"]["on"]["value"] is bool(value)


async def test_what_cannot_be_read_is_declined_and_noted_once(house: House) -> None:
    lamp = await house.connected("lamp", "1")
    outcomes = await lamp.say_all(
        [
            ("sys/properties/report", b"\xff"),
            ("sys/properties/report", report(on=True)),
            ("sys/properties/report", {"services": 5}),
            ("sys/tea/report", {}),
        ]
    )
    assert [error.why if isinstance(error, Declined) else error for error in outcomes] == [
        Reason.PAYLOAD_FORMAT,
        None,
        Reason.PAYLOAD_FORMAT,
        Reason.TOPIC_NAME,
    ]
    assert (await house.view(lamp.principal.device_id))["services"]["light"]["reported"]["on"]["value"] is True
    assert len(await house.log(lamp.principal.device_id, "unfit")) == 1


async def test_a_command_of_the_products_model_is_told_and_answered(house: House) -> None:
    gateway = await house.connected("gateway", "1")
    device_id = gateway.principal.device_id
    body = {"service": "hub", "kind": "call", "name": "open_joining", "params": {"seconds": 60}}
    command = (await house.client.post(f"/api/devices/{device_id}/commands", json=body)).json()
    topic, told = await house.line.next()
    assert topic == f"$oc/devices/gateway_1/sys/commands/request_id={command['id']}"
    assert told == {
        "object_device_id": "gateway_1",
        "service_id": "Hub",
        "command_name": "openJoining",
        "paras": {"seconds": 60},
    }
    house.line.fates[-1]("acked")
    await house.until(device_id, "delivered", command["id"])
    answer = {"result_code": 0, "response_name": "COMMAND_RESPONSE", "paras": {"result": "success"}}
    assert await gateway.say(f"sys/commands/response/request_id={command['id']}", answer) is None
    done = await house.until(device_id, "answered", command["id"])
    assert done["outcome"]["values"] == {"result": "success"}
    assert "services" in await house.view(device_id)


async def test_values_are_set_and_a_failure_is_told(house: House) -> None:
    lamp = await house.connected("lamp", "1")
    device_id = lamp.principal.device_id
    body = {"service": "light", "values": {"on": True, "brightness": 500}}
    command = (await house.client.post(f"/api/devices/{device_id}/commands", json=body)).json()
    topic, told = await house.line.next()
    assert topic == f"$oc/devices/lamp_1/sys/properties/set/request_id={command['id']}"
    assert told == {
        "object_device_id": "lamp_1",
        "services": [{"service_id": "Light", "properties": {"on": True, "brightness": 500}}],
    }
    path = f"sys/properties/set/response/request_id={command['id']}"
    assert await lamp.say(path, {"result_code": 5, "result_desc": "the bulb is loose"}) is None
    done = await house.until(device_id, "failed", command["id"])
    assert done["outcome"]["error"] == "the bulb is loose"


async def test_a_read_is_answered_and_changes_no_shadow(house: House) -> None:
    lamp = await house.connected("lamp", "1")
    device_id = lamp.principal.device_id
    body = {"service": "light", "kind": "get"}
    command = (await house.client.post(f"/api/devices/{device_id}/commands", json=body)).json()
    topic, told = await house.line.next()
    assert (topic, told) == (
        f"$oc/devices/lamp_1/sys/properties/get/request_id={command['id']}",
        {"object_device_id": "lamp_1", "service_id": "Light"},
    )
    path = f"sys/properties/get/response/request_id={command['id']}"
    assert await lamp.say(path, report(on=True)) is None
    done = await house.until(device_id, "answered", command["id"])
    assert done["outcome"]["values"] == {"on": True}
    assert (await house.view(device_id))["services"] == {}


async def test_nobody_answers_for_another(house: House) -> None:
    lamp, other = await house.connected("lamp", "1"), await house.connected("lamp", "2")
    body = {"service": "light", "values": {"on": True}}
    path = f"/api/devices/{lamp.principal.device_id}/commands"
    command = (await house.client.post(path, json=body)).json()
    await house.line.next()
    assert await other.say(f"sys/properties/set/response/request_id={command['id']}", {}) is None
    assert (await house.client.get(f"{path}/{command['id']}")).json()["state"] != "answered"


async def test_what_waits_goes_out_when_the_device_is_back_in_order(house: House) -> None:
    device_id, wire_id = await house.register("lamp", "1")
    ids = []
    for value in (100, 200, 300):
        body = {"service": "light", "values": {"brightness": value}, "expires_in": 3600}
        ids.append((await house.client.post(f"/api/devices/{device_id}/commands", json=body)).json()["id"])
    assert house.line.sent.empty()
    lamp = house.line.connect(device_id, wire_id)
    sent = [await house.line.next() for _ in ids]
    assert [topic.rpartition("=")[2] for topic, _ in sent] == ids
    # Sent again on the next connection, and answered once.
    house.line.cut(device_id)
    house.line.connect(device_id, wire_id)
    assert [(await house.line.next())[0] for _ in ids] == [topic for topic, _ in sent]
    for command_id in ids:
        assert await lamp.say(f"sys/properties/set/response/request_id={command_id}", b"{}") is None
        await house.until(device_id, "answered", command_id)


async def test_a_device_reads_its_shadow(house: House) -> None:
    lamp = await house.connected("lamp", "1")
    device_id = lamp.principal.device_id
    desired = await house.client.patch(
        f"/api/devices/{device_id}/services/light/desired", json={"values": {"on": True}}
    )
    assert desired.status_code == 200
    await house.line.next()  # the wish itself
    said = [("sys/properties/report", report(on=False)), ("sys/shadow/get/request_id=7", {"service_id": "Light"})]
    assert await lamp.say_all(said) == [None, None]
    topic, told = await house.line.next()
    assert topic == "$oc/devices/lamp_1/sys/shadow/get/response/request_id=7"
    (light,) = told["shadow"]
    assert (told["object_device_id"], light["service_id"], light["version"]) == ("lamp_1", "Light", 2)
    assert (light["desired"]["properties"], light["reported"]["properties"]) == ({"on": True}, {"on": False})
    assert len(light["reported"]["event_time"]) == len("20151212T121212Z")


async def test_an_empty_question_is_for_all_services(house: House) -> None:
    gateway = await house.connected("gateway", "1")
    assert await gateway.say("sys/shadow/get/request_id=8", b"") is None
    _, told = await house.line.next()
    assert [each["service_id"] for each in told["shadow"]] == ["Hub"]
    assert told["shadow"][0]["reported"] is None


async def test_messages_are_told_as_events_and_noted(house: House) -> None:
    lamp = await house.connected("lamp", "1")
    device_id = lamp.principal.device_id
    said: list[tuple[str, Any]] = [
        ("sys/messages/up", {"name": "note", "id": "1", "content": "hello!"}),
        ("sys/messages/up?request_id=9", b"hello!"),
        ("user/greeting", b"\xff\x00"),
    ]
    assert await lamp.say_all(said) == [None] * 3
    rows = await house.api.store.read(
        lambda reader: reader.all("SELECT data FROM events WHERE type='device.message' ORDER BY seq")
    )
    assert [json.loads(row[0]) for row in rows] == [
        {"topic": "", "name": "note", "id": "1", "content": "hello!"},
        {"topic": "", "content": "hello!"},
        {"topic": "greeting", "content_base64": "/wA="},
    ]
    assert len(await house.log(device_id, "message")) == 3


async def test_nobody_speaks_for_a_device_that_is_not_behind_it(house: House) -> None:
    lamp = await house.connected("lamp", "1")
    await house.register("lamp", "2")
    outcome = await lamp.say("sys/messages/up", {"object_device_id": "lamp_2", "content": "x"})
    assert isinstance(outcome, Declined)


async def test_a_device_that_says_too_much_is_told_so_and_forgiven(house: House) -> None:
    lamp = await house.connected("lamp", "1")
    big = b"x" * (BYTES_AT_ONCE // 4)
    outcomes = [await lamp.say("sys/messages/up", big) for _ in range(5)]
    assert [None if error is None else error.code for error in outcomes] == [None] * 4 + ["device_says_too_much"]
    house.api.forward(60_000)
    assert await lamp.say("sys/messages/up", big) is None


async def test_time_versions_and_logs(house: House) -> None:
    lamp = await house.connected("lamp", "1")
    device_id = lamp.principal.device_id
    before = house.api.clock.now().ms
    await lamp.event("$time_sync", "time_sync_request", {"device_send_time": 1582685678789})
    times = await lamp.told("time_sync_response")
    assert times["device_send_time"] == 1582685678789
    assert before <= times["server_rcv_time"] <= times["server_send_time"]
    info = {"device_sdk_version": "C_v0.5.0", "sw_version": "v1.0", "fw_version": "v2.0", "device_ip": "127.0.0.1"}
    await lamp.event("$sdk_info", "sdk_info_report", info)
    await lamp.event("$log", "log_report", {"timestamp": "1", "type": "DEVICE_MESSAGE", "content": "log content"})
    (noted,) = await house.log(device_id, "log")
    assert (noted["code"], noted["value"]["content"]) == ("DEVICE_MESSAGE", "log content")
    await house.api.store.write(lambda tx: None)
    assert (await house.view(device_id))["firmware"] == "v2.0"


async def test_a_paired_device_is_reached_by_mqtt_while_it_is_there_by_nothing_else(house: House) -> None:
    device_id = await bind(house.api, house.home_id, "d-paired")
    body = {"service": "light", "values": {"on": True}, "expires_in": 600}
    command = (await house.client.post(f"/api/devices/{device_id}/commands", json=body)).json()
    assert house.line.sent.empty()
    lamp = house.line.connect(device_id, "d-paired")
    assert (await house.line.next())[0].endswith(command["id"])
    assert await lamp.say(f"sys/properties/set/response/request_id={command['id']}", b"{}") is None
    await house.until(device_id, "answered", command["id"])


async def test_that_a_message_was_seen_is_written_with_what_it_says(house: House) -> None:
    lamp = await house.connected("lamp", "1")
    written: list[str] = []
    seen = Seen(lambda tx: written.append("seen"))
    message = Message("$oc/devices/lamp_1/sys/messages/up", b"hello!", 2, seen=seen)
    assert await house.api.services.iotda.hearing.published(lamp.principal, [message]) == [None]
    assert (written, seen.written) == (["seen"], True)


async def test_a_device_that_is_removed_is_hung_up_on_and_says_nothing_more(house: House) -> None:
    lamp = await house.connected("lamp", "1")
    device_id = lamp.principal.device_id
    assert (await house.client.delete(f"/api/devices/{device_id}")).status_code == 204
    assert house.line.dropped == [device_id]
    outcome = await lamp.say("sys/properties/report", report(on=True))
    assert outcome is not None
    assert outcome.code == "not_found"


async def test_a_new_secret_ends_connections_where_that_is_asked(house: House) -> None:
    lamp = await house.connected("lamp", "1")
    path = f"/api/devices/{lamp.principal.device_id}/secret"
    assert (await house.client.post(path, json={})).status_code == 200
    assert house.line.dropped == []
    assert (await house.client.post(path, json={"disconnect": True})).status_code == 200
    assert house.line.dropped == [lamp.principal.device_id]
