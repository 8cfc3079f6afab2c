"""Whatever octets come on a topic or in a body: a struct, or this package's own error, and nothing else."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.links.iotda.codec import events, payloads, topics
from app.links.iotda.codec.errors import IotdaError
from app.links.iotda.codec.fields import decode, encode
from app.links.iotda.codec.signing import parse_client_id
from app.links.iotda.codec.times import parse_event_time
from tests.links.mangling import mangled

FIXTURES = Path(__file__).parents[3] / "fixtures" / "iotda"
MQTT = json.loads((FIXTURES / "mqtt_examples.json").read_text())
HTTPS = json.loads((FIXTURES / "https_examples.json").read_text())
SAMPLE, FULL = 2_000, 1_000_000

Parse = Callable[[bytes], Any]
# Every parser of what comes from outside, on either end.
PARSERS: dict[str, Parse] = {
    "topic": lambda raw: topics.parse(raw.decode("utf-8", "replace")),
    "client id": lambda raw: parse_client_id(raw.decode("utf-8", "replace")),
    "event time": lambda raw: parse_event_time(raw.decode("utf-8", "replace")),
    "message": payloads.decode_message,
    "command": lambda raw: decode(payloads.command, raw),
    "command response": lambda raw: decode(payloads.command_response, raw),
    "report": lambda raw: decode(payloads.report, raw),
    "gateway report": lambda raw: payloads.decode_gateway_report(raw, 100),
    "set": lambda raw: decode(payloads.set_properties, raw),
    "set response": lambda raw: decode(payloads.set_response, raw),
    "get": lambda raw: decode(payloads.get_properties, raw),
    "get response": lambda raw: decode(payloads.get_response, raw),
    "shadow": lambda raw: decode(payloads.shadow_response, raw),
    "events up": events.decode_up,
    "events down": events.decode_down,
    "device auth": lambda raw: decode(payloads.device_auth, raw),
}
SEEDS = [
    *(json.dumps(each["example"]).encode() for each in [*MQTT["topics"], *MQTT["events"]] if each["example"]),
    *(json.dumps(each["example_request"]).encode() for each in HTTPS["operations"]),
    *(each["topic"].replace("{device_id}", "a").replace("{request_id}", "1").encode() for each in MQTT["topics"]),
    json.dumps({"device_id": "lamp_1", "sign_type": 0, "timestamp": "2019120219", "password": "a" * 64}).encode(),
    b"lamp_1_0_0_2019120219",
    b"20151212T121212Z",
    b"2020-08-12T12:12:12.333Z",
]


def survive(name: str, count: int) -> None:
    """Read so many mangled inputs; what could be read can be written."""
    parse, dice = PARSERS[name], random.Random(f"iotda {name}")
    read = 0
    for _ in range(count):
        raw = mangled(dice, SEEDS)
        try:
            found = parse(raw)
        except IotdaError:
            continue
        read += 1
        if not isinstance(found, topics.Topic | events.Events):
            encode(found)
    assert read > 0


@pytest.mark.parametrize("name", PARSERS)
def test_nothing_but_its_own_error(name: str) -> None:
    survive(name, SAMPLE)


@pytest.mark.full
@pytest.mark.parametrize("name", PARSERS)
def test_nothing_but_its_own_error_a_million_times(name: str) -> None:
    survive(name, FULL)


@pytest.mark.parametrize("name", PARSERS)
def test_deep_nesting_is_no_way_in(name: str) -> None:
    for raw in (b"[" * 200_000, b'{"paras":' * 50_000, b'{"services":[{"properties":' + b"[" * 100_000):
        try:
            PARSERS[name](raw)
        except IotdaError:
            continue
