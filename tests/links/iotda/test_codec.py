"""Every example of the document is read, and written again field for field."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.links.iotda.codec import events, payloads, topics
from app.links.iotda.codec.errors import MalformedError
from app.links.iotda.codec.fields import decode, encode
from app.links.iotda.codec.signing import in_time, parse_client_id, password, proves
from app.links.iotda.codec.times import event_time, hour_stamp, parse_event_time

FIXTURES = Path(__file__).parents[3] / "fixtures" / "iotda"
MQTT = json.loads((FIXTURES / "mqtt_examples.json").read_text())
HTTPS = json.loads((FIXTURES / "https_examples.json").read_text())

READ = {
    "messages_up": payloads.decode_message,
    "messages_down": payloads.decode_message,
    "command_request": lambda raw: decode(payloads.command, raw),
    "command_response": lambda raw: decode(payloads.command_response, raw),
    "properties_report": lambda raw: decode(payloads.report, raw),
    "sub_devices_properties_report": lambda raw: payloads.decode_gateway_report(raw, 100),
    "properties_set": lambda raw: decode(payloads.set_properties, raw),
    "properties_set_response": lambda raw: decode(payloads.set_response, raw),
    "properties_get": lambda raw: decode(payloads.get_properties, raw),
    "properties_get_response": lambda raw: decode(payloads.get_response, raw),
    "shadow_get": lambda raw: decode(payloads.get_properties, raw),
    "shadow_get_response": lambda raw: decode(payloads.shadow_response, raw),
}


@pytest.mark.parametrize("name", READ)
def test_every_payload_of_a_topic_is_read_and_written_as_it_was(name: str) -> None:
    example = next(each["example"] for each in MQTT["topics"] if each["id"] == name)
    read = READ[name](json.dumps(example).encode())  # type: ignore[no-untyped-call]
    assert json.loads(encode(read)) == example


@pytest.mark.parametrize("example", MQTT["events"], ids=lambda each: each["section"])
def test_every_event_is_read_and_written_as_it_was(example: dict[str, Any]) -> None:
    reads = events.decode_up if example["direction"] == "up" else events.decode_down
    read = reads(json.dumps(example["example"]).encode())
    assert read.unread == ()
    assert json.loads(events.encode_events(read.events, read.object_device_id)) == example["example"]


def test_there_is_an_example_of_every_topic_and_event() -> None:
    said = {each["id"] for each in MQTT["topics"] if each["example"] is not None}
    assert said == set(READ)
    named = {(each["service_id"], each["event_type"]) for each in MQTT["events"]}
    # One section has the four kinds of upgrade.
    others = {(events.OTA, name) for name in ("software_upgrade", "firmware_upgrade_v2", "software_upgrade_v2")}
    assert named | others == events.UP.keys() | events.DOWN.keys()
    assert len(MQTT["events"]) == 26


@pytest.mark.parametrize("example", MQTT["topics"], ids=lambda each: each["id"])
def test_every_topic_is_read_and_written_as_it_was(example: dict[str, Any]) -> None:
    text = example["topic"].replace("{device_id}", "lamp_1").replace("{request_id}", "42-a")
    topic = topics.parse(text)
    assert (str(topic), topic.device_id) == (text, "lamp_1")
    assert (topic.kind in topics.UP) == (example["direction"] == "up")
    assert topics.may_publish("lamp_1", text) == (example["direction"] == "up")
    assert not topics.may_publish("lamp_2", text)
    assert topics.may_subscribe("lamp_1", text)
    assert not topics.may_subscribe("lamp_2", text)


@pytest.mark.parametrize(
    "pattern", ["#", "$oc/#", "$oc/devices/#", "$oc/devices/+/sys/commands/#", "+/devices/a/#", "$oc/devices/a", ""]
)
def test_no_pattern_reaches_beyond_its_device(pattern: str) -> None:
    assert not topics.may_subscribe("a", pattern)


def test_a_device_has_its_downward_topics_without_asking() -> None:
    patterns = topics.implicit("a")
    assert len(patterns) == len(topics.DOWN) == 6
    assert "$oc/devices/a/sys/commands/+" in patterns
    assert all(topics.may_subscribe("a", pattern) for pattern in patterns)


def test_a_custom_topic_is_its_devices() -> None:
    assert topics.parse("$oc/devices/a/user/x/y").rest == "x/y"
    assert topics.may_publish("a", "$oc/devices/a/user/x")
    assert not topics.may_publish("a", "$oc/devices/a/user/")
    assert not topics.may_publish("a", "$oc/devices/b/user/x")
    assert topics.parse("$oc/devices/a/sys/messages/up?request_id=7").rest == "7"


def test_octets_that_are_no_envelope_are_a_message_as_they_are() -> None:
    assert payloads.decode_message(b"hello!") is None
    assert payloads.decode_message(b'{"name":"x"}') is None


@pytest.mark.parametrize("form", ["fileName", "file_name"])
def test_both_names_of_a_file_are_read(form: str) -> None:
    service = {"service_id": events.FILES, "event_type": "get_download_url", "paras": {form: "a.jpg"}}
    (event,) = events.decode_up(msgspec.json.encode({"services": [service]})).events
    assert event.paras.wanted == "a.jpg"


def test_an_event_that_is_unknown_spoils_no_other() -> None:
    known = {"service_id": events.TIME, "event_type": "time_sync_request", "paras": {"device_send_time": 1}}
    strange = {"service_id": "$tea", "event_type": "kettle"}
    wrong = {"service_id": events.TIME, "event_type": "time_sync_request", "paras": {"device_send_time": "x"}}
    read = events.decode_up(msgspec.json.encode({"services": [strange, known, wrong]}))
    assert [event.paras.device_send_time for event in read.events] == [1]
    assert [(name, error.code) for name, error in read.unread] == [
        ("kettle", "iotda_event_unknown"),
        ("time_sync_request", "iotda_malformed"),
    ]


def test_no_more_devices_than_may_be_in_a_report() -> None:
    body = msgspec.json.encode({"devices": [{"device_id": "a", "services": []}] * 51})
    assert len(payloads.decode_gateway_report(body, payloads.MAX_CHILDREN_MQTT).devices) == 51
    with pytest.raises(MalformedError):
        payloads.decode_gateway_report(body, payloads.MAX_CHILDREN_HTTPS)


def test_times_of_both_forms_and_of_none() -> None:
    assert parse_event_time("20151212T121212Z") == 1449922332000
    assert parse_event_time("2020-08-12T12:12:12.333Z") == 1597234332333
    assert event_time(1449922332999) == "20151212T121212Z"
    assert [parse_event_time(text) for text in (None, 5, "", "20151312T121212Z", "2015-12-12", "٢٠١٥1212T121212Z")] == (
        [None] * 6
    )


# specs/iotda/mqtt.json, connection.password: worked out apart from this code.
VECTOR = ("12345678abcd", "2019120219", "a9646f9e56a4c4fc81e5bdd48b9bacfdf9b40a2df7d19b297d5ab19af820d2ca")


def test_the_password_of_the_vector() -> None:
    secret, stamp, wanted = VECTOR
    assert password(secret.encode(), stamp) == wanted
    assert proves(wanted.encode(), (b"another1", secret.encode()), stamp)
    assert not proves(wanted.encode(), (), stamp)
    assert not proves(wanted.encode(), (secret.encode(),), "2019120220")


def test_a_client_id_is_read_from_the_right() -> None:
    read = parse_client_id("60a8_0_1_00_0_1_2018072417")
    assert (read.device_id, read.mode, read.stamp) == ("60a8_0_1_00", 1, "2018072417")
    assert str(read) == "60a8_0_1_00_0_1_2018072417"


LONG = "a" * 300 + "_0_0_2018072417"


@pytest.mark.parametrize("text", ["", "a", LONG, "a_0_0_2018072417\n", "a b_0_0_2018072417"])
@pytest.mark.parametrize("wrong", ["a_0_2_2018072417", "a_1_0_2018072417", "a_0_0_201807241", "a_0_0_2018072425"])
def test_what_is_no_client_id(text: str, wrong: str) -> None:
    for each in (text, wrong):
        with pytest.raises(MalformedError):
            parse_client_id(each)


def test_a_stamp_is_in_time_an_hour_to_either_side() -> None:
    now = 1532455000000
    around = [in_time(hour_stamp(now + hours * 3_600_000), now) for hours in (-2, -1, 0, 1, 2)]
    assert around == [False, True, True, True, False]


@pytest.mark.parametrize("operation", HTTPS["operations"], ids=lambda each: each["section"])
def test_every_request_over_https_is_read(operation: dict[str, Any]) -> None:
    asked = operation["example_request"]
    # The document prints stars for the password and the token.
    raw = json.dumps(asked | ({"password": "0" * 64} if "password" in asked else {})).encode()
    match operation["section"]:
        case "3.3.1":
            assert decode(payloads.device_auth, raw).device_id == asked["device_id"]
        case "3.4.1":
            assert payloads.decode_message(raw) is not None
        case "3.5.1":
            assert json.loads(encode(decode(payloads.report, raw))) == asked
        case "3.5.2":
            assert json.loads(encode(payloads.decode_gateway_report(raw, 50))) == asked
        case _:
            raise AssertionError(operation["section"])
