"""What virtual devices do by themselves, and how each value they ever say fits their product."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.devices.product.catalogue import built_in
from app.devices.product.model import Bool, Enum, Float, Int, Property
from app.devices.product.values import ValueUnfit, sort_report
from app.virtual.body import Body
from app.virtual.kinds import KINDS, body_of
from app.virtual.obeying import obey
from pairing.messages import Command

PRODUCTS = [product.id for product in built_in().all()]


def made(product_id: str) -> Body:
    product = built_in().get(product_id)
    assert product is not None
    return body_of(product)


def live(body: Body, seconds: int, *, seed: int = 1) -> None:
    chance = Random(seed)
    for _ in range(seconds):
        for service, values in body.tick(1.0, chance).items():
            fits(body, service, values)


def fits(body: Body, service: str, values: dict[str, Any]) -> None:
    model = body.product.service(service)
    assert model is not None
    assert sort_report(model, values) == (values, {})


def test_every_kind_is_a_product() -> None:
    assert set(KINDS) <= set(PRODUCTS)


@pytest.mark.parametrize("product_id", PRODUCTS)
def test_whatever_it_reports_fits_its_product(product_id: str) -> None:
    body = made(product_id)
    for service in body.product.services:
        fits(body, service.id, body.readable(service.id))
    for seed in range(5):
        live(body, 120, seed=seed)
    for service in body.product.services:
        fits(body, service.id, body.readable(service.id))


def _value(field: Property) -> st.SearchStrategy[Any]:
    match field:
        case Bool():
            return st.booleans()
        case Int():
            steps = (field.max - field.min) // field.step
            return st.integers(0, steps).map(lambda n: field.min + n * field.step)
        case Float():
            return st.integers(0, 10).map(lambda n: field.min + n * (field.step or 1))
        case Enum():
            return st.sampled_from(field.values)
        case _:
            return st.just("{}")


@st.composite
def _orders(draw: st.DrawFn, product_id: str) -> list[Command]:
    product = built_in().get(product_id)
    assert product is not None
    sets = [(s.id, p) for s in product.services for p in s.properties if p.access.writable]
    calls = [(s.id, c) for s in product.services for c in s.commands]
    orders = []
    for n in range(draw(st.integers(1, 8))):
        calling = draw(st.booleans())
        if calls and calling:
            of, command = draw(st.sampled_from(calls))
            params = {p.id: draw(_value(p)) for p in command.params}
            orders.append(Command(f"c{n}", "call", of, name=command.id, params=params))
        elif sets:
            of, field = draw(st.sampled_from(sets))
            orders.append(Command(f"c{n}", "set", of, {field.id: draw(_value(field))}))
    return orders


@pytest.mark.parametrize("product_id", PRODUCTS)
@given(data=st.data())
def test_it_obeys_whatever_its_product_allows(product_id: str, data: st.DataObject) -> None:
    body = made(product_id)
    for command in data.draw(_orders(product_id)):
        answer, changes = obey(body, command, 0)
        assert answer.ok
        fits(body, command.service, {k: v for k, v in answer.values.items() if v is not None})
        for service, values in changes.items():
            fits(body, service, values)
        live(body, 3)


def test_a_countdown_switches_when_it_is_over() -> None:
    body = made("plug")
    body.set("outlet", {"on": True})
    assert body.values["meter"]["power"] == 42.0
    body.set("outlet", {"countdown": 25})
    live(body, 24)
    assert body.values["outlet"]["on"] is True
    assert body.values["outlet"]["countdown"] == 10
    live(body, 2)
    assert body.values["outlet"] | {"on": False, "countdown": 0} == body.values["outlet"]
    assert body.values["meter"]["power"] == 0.0


def test_a_thermostat_heats_to_its_target_and_stops() -> None:
    body = made("thermostat")
    body.set("heating", {"on": True, "target": 21.0})
    assert body.values["heating"]["valve"] == "open"
    live(body, 120)
    assert 20.5 <= float(body.values["heating"]["temperature"]) <= 21.5
    body.set("heating", {"on": False})
    assert body.values["heating"]["valve"] == "close"
    live(body, 1000)
    assert float(body.values["heating"]["temperature"]) <= 18.1


def test_a_curtain_travels_stops_and_arrives() -> None:
    body = made("curtain")
    body.call("cover", "open", {})
    live(body, 2)
    assert (body.values["cover"]["position"], body.values["cover"]["work"]) == (40, "opening")
    body.set("cover", {"control": "stop"})
    live(body, 2)
    assert (body.values["cover"]["position"], body.values["cover"]["work"]) == (40, "still")
    body.set("cover", {"target": 10})
    live(body, 5)
    assert (body.values["cover"]["position"], body.values["cover"]["work"]) == (10, "still")


@pytest.mark.parametrize("product_id", PRODUCTS)
def test_awake_again_it_goes_on_as_it_was(product_id: str) -> None:
    body, again = made(product_id), made(product_id)
    live(body, 100)
    again.wake(body.kept())
    assert again.values == body.values
    again.wake({service: dict.fromkeys(values, "no value of mine") for service, values in body.values.items()})
    for service in again.product.services:
        fits(again, service.id, again.readable(service.id))
    again.wake({})
    assert again.values == made(product_id).values


def test_a_countdown_goes_on_after_a_power_loss() -> None:
    body = made("plug")
    body.set("outlet", {"on": True, "countdown": 30})
    live(body, 11)
    again = made("plug")
    again.wake(body.kept())
    live(again, 21)
    assert again.values["outlet"]["on"] is False


def test_a_lock_locks_itself_again_where_that_is_set() -> None:
    body = made("lock")
    assert body.call("lock", "unlock", {}) == {"lock": {"locked": False}}
    live(body, 60)
    assert body.values["lock"]["locked"] is False
    body.set("lock", {"auto_lock": True})
    live(body, 1)
    assert body.values["lock"]["locked"] is True


def test_a_plug_meters_what_flows_and_forgets_when_told() -> None:
    body = made("plug")
    body.set("outlet", {"on": True})
    live(body, 3600)
    assert 0.04 <= float(body.values["meter"]["energy"]) <= 0.043
    body.call("meter", "reset_energy", {})
    assert body.values["meter"]["energy"] == 0.0


def test_by_hand_also_what_no_hub_may_set() -> None:
    body = made("contact_sensor")
    with pytest.raises(ValueUnfit):
        body.set("contact", {"open": True})
    assert body.put("contact", {"open": True}) == {"contact": {"open": True}}
    for service, values in (("nothing", {"open": True}), ("contact", {"nothing": True}), ("contact", {"open": "wide"})):
        with pytest.raises(ValueUnfit):
            body.put(service, values)


@pytest.mark.parametrize(("hub_now", "ok"), [(None, True), (999, True), (1000, False)])
def test_a_command_expires_by_the_hubs_clock(hub_now: int | None, ok: bool) -> None:
    answer, _ = obey(made("lamp"), Command("c", "set", "light", {"on": True}, expires=1000), hub_now)
    assert answer.ok is ok
