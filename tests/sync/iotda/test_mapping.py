"""Between our devices and IoTDA's payloads, without a wire: names, times, batches, requests and their answers."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from app.control.model import Body, Command, LinkCannot, NewCommand, Outcome, TooManyCommands
from app.control.model import Kind as Control
from app.control.states import State
from app.devices.model import Device, DeviceFrozen
from app.devices.product.catalogue import built_in
from app.devices.product.model import Product
from app.devices.product.values import ValueUnfit
from app.devices.shadow_state import Point
from app.errors import DoorstepError, NotFound, Refused
from app.links.iotda.codec import payloads, topics
from app.links.iotda.codec.errors import MalformedError
from app.links.iotda.codec.fields import encode
from app.links.iotda.codec.times import event_time_ms, parse_event_time
from app.sync.iotda import mapping
from app.sync.iotda.model import Asked, Kind, Refusal, Request, Result
from app.sync.iotda.pending import Pending

AT = 1_800_000_000_123
LAMP, COVER, LOCK = (built_in().get(name) for name in ("lamp", "curtain", "lock"))


def device(product: str = "lamp") -> Device:
    return Device(
        id="0192-a", home_id="h", room_id=None, product_id=product, hardware_id="d-1", gateway_id=None, link="lan",
        trust="", name="Porch", icon="", position=0, firmware="", serial="", owner_epoch=1, version=1, bound_at=AT,
    )  # fmt: skip


def asked(kind: topics.Kind, payload: Any, object_id: str | None = "lamp_0192-a") -> mapping.Wanted:
    said = payload if object_id is None else {"object_device_id": object_id, **payload}
    return mapping.wanted(topics.Topic(kind, "gw", "r1"), json.dumps(said).encode(), "gw")


def ended(command_id: str, state: State, outcome: Outcome | None = None) -> Command:
    body = Body("light")
    return Command(1, command_id, "0192-a", "h", Control.SET, body, state, outcome, None, None, AT, AT, AT)


def request(kind: Kind, *commands: str, refusal: Refusal | None = None, service: str = "light") -> Request:
    return Request("h", "r1", kind, "0192-a", Asked(tuple((service, each) for each in commands), refusal), AT)


def said(kind: Kind, *commands: Command, refusal: Refusal | None = None) -> Any:
    made = request(kind, *(each.id for each in commands), refusal=refusal)
    reply = mapping.reply(made, LAMP, {each.id: each for each in commands})
    assert (reply.kind, reply.request_id) == (kind, "r1")
    return json.loads(encode(reply.payload))


# up


def test_a_newcomer_goes_by_our_own_id() -> None:
    new = mapping.newcomer(device(), "gw")
    assert (new.device_id, new.node_id, new.product_id) == ("lamp_0192-a", "0192-a", "lamp")
    assert (new.parent_device_id, new.name) == ("gw", "Porch")


def test_values_have_the_names_and_times_of_the_protocol() -> None:
    assert COVER is not None
    points = {"target": Point("40", AT), "position": Point("12", AT), "work": Point('"opening"', AT + 1000)}
    found = mapping.services_of(COVER, {"cover": points, "no_such": {"x": Point("1", AT)}})
    assert [(each.service_id, each.properties, each.event_time) for each in found] == [
        ("Cover", {"target": 40, "position": 12}, "2027-01-15T08:00:00.123Z"),
        ("Cover", {"work": "opening"}, "2027-01-15T08:00:01.123Z"),
    ]


def test_names_that_differ_are_translated_both_ways() -> None:
    assert LOCK is not None
    (found,) = mapping.services_of(LOCK, {"lock": {"auto_lock": Point("true", AT)}})
    assert found.properties == {"autoLock": True}
    wanted = asked(topics.Kind.SET, {"services": [{"service_id": "Lock", "properties": {"autoLock": 0}}]})
    (new,) = mapping.commands_of(LOCK, wanted)
    assert (new.service, new.values) == ("lock", {"auto_lock": False})


@given(st.integers(0, 253_402_300_799_999))
def test_times_come_back_to_the_millisecond(ms: int) -> None:
    assert parse_event_time(event_time_ms(ms)) == ms


@given(st.lists(st.integers(0, 3000), max_size=300), st.integers(200, 4000))
def test_batches_hold_all_in_order_and_no_more_than_they_may(sizes: list[int], octets: int) -> None:
    devices = [
        payloads.DeviceProperty(
            device_id=f"d{n}", services=(payloads.ServiceProperty(service_id="s", properties={"p": "x" * size}),)
        )
        for n, size in enumerate(sizes)
    ]
    made = list(mapping.batches(devices, octets))
    read = [payloads.decode_gateway_report(batch, payloads.MAX_CHILDREN_MQTT) for batch in made]
    assert [each.device_id for batch in read for each in batch.devices] == [each.device_id for each in devices]
    for batch, found in zip(made, read, strict=True):
        assert len(found.devices) == 1 or len(batch) <= octets + len('{"devices":[]}') + len(found.devices)


# down


def test_a_request_is_for_a_device_or_for_the_gateway() -> None:
    body = {"service_id": "Light", "command_name": "blink", "paras": {"times": 3}}
    assert asked(topics.Kind.COMMAND, body).remote_id == "lamp_0192-a"
    assert asked(topics.Kind.COMMAND, body, "gw").remote_id == ""
    assert asked(topics.Kind.COMMAND, body, None).remote_id == ""
    (new,) = mapping.commands_of(LAMP, asked(topics.Kind.COMMAND, body))
    assert (new.kind, new.service, new.name, new.params, new.expires_in) == (
        Control.CALL, "light", "blink", {"times": 3}, 20.0,
    )  # fmt: skip


def test_what_a_product_does_not_have_is_not_asked_of_it() -> None:
    for kind, body in (
        (topics.Kind.COMMAND, {"service_id": "Light", "command_name": "fly", "paras": None}),
        (topics.Kind.COMMAND, {"paras": {}}),
        (topics.Kind.SET, {"services": [{"service_id": "Oven", "properties": {}}]}),
        (topics.Kind.GET, {"service_id": "Oven"}),
    ):
        with pytest.raises(NotFound):
            mapping.commands_of(LAMP, asked(kind, body))
    with pytest.raises(ValueUnfit):
        mapping.commands_of(LAMP, asked(topics.Kind.SET, {"services": []}))


def test_a_question_without_a_service_is_for_all_of_them() -> None:
    assert LOCK is not None
    found = mapping.commands_of(LOCK, asked(topics.Kind.GET, {}))
    assert found == [NewCommand(each.id, Control.GET, expires_in=20.0) for each in LOCK.services]
    empty = mapping.wanted(topics.Topic(topics.Kind.GET, "gw", "r"), b"", "gw")
    assert (empty.remote_id, empty.said) == ("", payloads.GetProperties())


@pytest.mark.parametrize("kind", list(mapping.ASKED))
def test_what_cannot_be_read_is_malformed(kind: topics.Kind) -> None:
    with pytest.raises(MalformedError):
        mapping.wanted(topics.Topic(kind, "gw", "r"), b"[", "gw")


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (ValueUnfit("x"), Result.UNFIT),
        (NotFound("x"), Result.UNKNOWN),
        (Refused("x"), Result.REFUSED),
        (DeviceFrozen("x"), Result.REFUSED),
        (TooManyCommands("x"), Result.BUSY),
        (LinkCannot("x"), Result.FAILED),
        (DoorstepError("x"), Result.FAILED),
    ],
)
def test_each_refusal_has_its_code(error: DoorstepError, result: Result) -> None:
    assert mapping.refusal_of(error) == Refusal(result, f"{error.code}: x")


# answers


def test_what_went_well_is_answered_so() -> None:
    well = ended("1", State.ANSWERED, Outcome({"brightness": 5}))
    assert said(Kind.SET, well) == {"result_code": 0, "result_desc": "success"}
    assert said(Kind.COMMAND, well)["result_code"] == 0
    assert said(Kind.COMMAND, well)["paras"] == {"brightness": 5}
    assert said(Kind.GET, well) == {"services": [{"service_id": "Light", "properties": {"brightness": 5}}]}


@pytest.mark.parametrize(
    ("state", "outcome", "code", "text"),
    [
        (State.FAILED, Outcome(error="too_hot"), Result.FAILED, "too_hot"),
        (State.FAILED, None, Result.FAILED, "failed"),
        (State.EXPIRED, Outcome(error="expired"), Result.NO_ANSWER, "expired: the device did not answer in time"),
    ],
)
def test_what_did_not_is_answered_with_why(state: State, outcome: Outcome | None, code: Result, text: str) -> None:
    commands = ended("1", State.ANSWERED, Outcome()), ended("2", state, outcome)
    assert said(Kind.SET, *commands) == {"result_code": code, "result_desc": text}
    assert said(Kind.COMMAND, *commands)["result_code"] == code
    assert said(Kind.COMMAND, *commands)["paras"] == {"error": text}


def test_a_command_that_went_with_its_device_is_answered() -> None:
    made = request(Kind.SET, "1")
    assert json.loads(encode(mapping.reply(made, None, {}).payload)) == {
        "result_code": Result.UNKNOWN,
        "result_desc": "device_removed",
    }
    assert json.loads(encode(mapping.reply(request(Kind.GET, "1"), LAMP, {}).payload)) == {"services": []}


def test_what_was_never_done_is_answered_with_why() -> None:
    refusal = Refusal(Result.REFUSED, "refused: no")
    assert said(Kind.SET, refusal=refusal) == {"result_code": 2, "result_desc": "refused: no"}
    assert said(Kind.GET, refusal=refusal) == {"services": []}


# the shadow


def shadow(desired: dict[str, Any] | None, at: str = "20270115T080000Z") -> payloads.ShadowData:
    side = None if desired is None else payloads.PropertiesData(properties=desired, event_time=at)
    return payloads.ShadowData(service_id="Light", desired=side)


def test_what_is_so_already_is_no_wish() -> None:
    assert LAMP is not None
    light = LAMP.services[0]
    data = shadow({"brightness": 300, "on": True, "mode": None})
    assert mapping.wished(light, data, {"on": Point("true", AT)}) == {"brightness": 300}
    assert mapping.wished(light, shadow(None), {}) == {}
    assert mapping.wished(light, payloads.ShadowData(service_id="Light"), {}) == {}


def test_a_wish_is_recognised_until_it_is_made_anew() -> None:
    data = shadow({"brightness": 300})
    assert mapping.mark(data) == mapping.mark(shadow({"brightness": 300}))
    assert mapping.mark(data) != mapping.mark(shadow({"brightness": 301}))
    assert mapping.mark(data) != mapping.mark(shadow({"brightness": 300}, "20270115T080001Z"))
    assert mapping.mark(shadow(None)) == mapping.mark(payloads.ShadowData(service_id="L", desired=UNSET)) == ""


# what waits


def test_newest_names_are_told_once_and_presence_after_values() -> None:
    pending = Pending()
    pending.come(["a"])
    pending.reported("a", "light", ["on"])
    for name in ("on", "brightness", "on"):
        pending.reported("b", "light", [name])
    pending.changed("a")
    assert pending.statuses(10) == []
    assert pending.reports(1) == {"a": None}
    assert pending.statuses(10) == ["a"]
    assert pending.reports(10) == {"b": {"light": {"on", "brightness"}}}
    assert (pending.reports(10), pending.statuses(10)) == ({}, [])
    assert (pending.shadow(), pending.shadow()) == ("a", None)


def test_of_what_is_gone_nothing_is_told() -> None:
    pending = Pending()
    pending.come(["a", "b"])
    pending.gone(["a"])
    assert pending.reports(10) == {"b": None}
    assert pending.statuses(10) == ["b"]
    assert pending.shadow() == "b"


def test_the_models_are_there() -> None:
    assert all(isinstance(each, Product) for each in (LAMP, COVER, LOCK))
