"""Product models: strict files, and values checked against them."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.devices.product.catalogue import ProductUnfit, built_in, decode
from app.devices.product.model import Bool, Enum, Float, Int, Json, Product, Property, Service, String
from app.devices.product.values import ValueUnfit, check, check_call, check_set, sort_report

LAMP = json.loads(msgspec.json.encode(built_in().get("lamp")))
KINDS = {
    "climate_sensor",
    "contact_sensor",
    "curtain",
    "gateway",
    "lamp",
    "lock",
    "mesh_colour_lamp",
    "mesh_full_lamp",
    "mesh_lamp",
    "mesh_level",
    "mesh_sensor",
    "mesh_switch",
    "mesh_white_lamp",
    "motion_sensor",
    "plug",
    "switch",
    "thermostat",
}


def _properties() -> list[Property]:
    return [field for product in built_in().all() for service in product.services for field in service.properties]


def _fitting(field: Property) -> st.SearchStrategy[Any]:
    match field:
        case Bool():
            return st.booleans()
        case Int():
            return st.integers(0, (field.max - field.min) // field.step).map(lambda n: field.min + n * field.step)
        case Float():
            if field.step:
                most = int(round((field.max - field.min) / field.step, 6))
                return st.integers(0, most).map(lambda n: round(field.min + n * field.step, 6))
            return st.floats(field.min, field.max)
        case Enum():
            return st.sampled_from(field.values)
        case String():
            return st.text(max_size=field.max_length)
        case Json():
            return st.dictionaries(st.sampled_from("hsv"), st.integers(0, 1000), max_size=3).map(json.dumps)


@st.composite
def fields_and_values(draw: st.DrawFn) -> tuple[Property, Any]:
    field = draw(st.sampled_from(_properties()))
    return field, draw(_fitting(field))


def test_the_catalogue_has_ten_household_kinds_and_what_mesh_nodes_are() -> None:
    assert {product.id for product in built_in().all()} == KINDS


@pytest.mark.parametrize("product", built_in().all(), ids=lambda product: product.id)
def test_a_product_survives_its_own_encoding(product: Product) -> None:
    assert decode(msgspec.json.encode(product), product.id) == product


@given(fields_and_values())
def test_what_fits_is_taken_as_it_is_and_again(pair: tuple[Property, Any]) -> None:
    field, value = pair
    taken = check(field, value)
    assert taken == value
    assert check(field, json.loads(json.dumps(taken))) == taken


@given(
    st.sampled_from(_properties()),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
        max_leaves=4,
    ),
)
def test_anything_else_is_refused_by_name(field: Property, value: object) -> None:
    try:
        taken = check(field, value, on_step=False)
    except ValueUnfit as error:
        refusal = error
    else:
        assert type(taken) in (bool, int, float, str)
        if isinstance(field, Int | Float):
            assert not isinstance(taken, bool | str)
            assert field.min <= taken <= field.max
        return
    assert refusal.facts == {"property": field.id}


@pytest.mark.parametrize(
    ("value", "taken"), [(5, 5), (5.0, 5), (25, 25), (True, None), (6, None), (4.5, None), (30, None), ("5", None)]
)
def test_a_whole_number_and_its_steps(value: object, taken: int | None) -> None:
    field = Int(id="n", name="N", min=5, max=25, step=10)
    if taken is None:
        with pytest.raises(ValueUnfit):
            check(field, value)
    else:
        assert check(field, value) == taken


def test_a_report_may_lie_between_steps() -> None:
    target = Float(id="t", name="T", min=5, max=35, step=0.5)
    assert check(target, 21.37, on_step=False) == 21.37
    with pytest.raises(ValueUnfit):
        check(target, 21.37)
    assert check(target, 21) == 21.0


def _light() -> Service:
    lamp = built_in().get("lamp")
    assert lamp is not None
    light = lamp.service("light")
    assert light is not None
    return light


def test_what_may_be_set_and_called() -> None:
    assert check_set(_light(), {"on": True, "brightness": 500}) == {"on": True, "brightness": 500}
    for values in ({}, {"on": 1}, {"shine": True}, {"brightness": 5}):
        with pytest.raises(ValueUnfit):
            check_set(_light(), values)
    assert check_call(_light(), "blink", {"times": 3}) == {"times": 3}
    for command, params in (("blink", {}), ("blink", {"times": 3, "x": 1}), ("dance", {}), ("blink", {"times": 99})):
        with pytest.raises(ValueUnfit):
            check_call(_light(), command, params)


def test_only_what_is_reported_is_read_and_only_what_is_set_is_written() -> None:
    curtain = built_in().get("curtain")
    assert curtain is not None
    cover = curtain.service("cover")
    assert cover is not None
    with pytest.raises(ValueUnfit):
        check_set(cover, {"position": 3})
    fitting, unfit = sort_report(cover, {"position": 3, "control": "open", "colour": 1, "target": None, "work": "idle"})
    assert fitting == {"position": 3}
    assert set(unfit) == {"control", "colour", "work"}


def _edited(change: Callable[[Any], object]) -> bytes:
    copy = json.loads(json.dumps(LAMP))
    change(copy)
    return json.dumps(copy).encode()


def _first(product: Any) -> Any:
    return product["services"][0]["properties"][0]


def _brightness(product: Any) -> Any:
    return product["services"][0]["properties"][2]


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.update(colour="red"),
        lambda p: p.update(id="Lamp"),
        lambda p: p.update(services=[]),
        lambda p: p.pop("category"),
        lambda p: p["services"].append(p["services"][0]),
        lambda p: p["services"][0]["properties"].append(_first(p)),
        lambda p: _first(p).update(type="boolean"),
        lambda p: _first(p).update(access="x"),
        lambda p: _first(p).update(unit="m"),
        lambda p: _first(p)["tuya"].update(scale=1),
        lambda p: _brightness(p).update(min=2000),
        lambda p: _brightness(p).update(step=0),
        lambda p: _brightness(p).update(step=5000),
        lambda p: _brightness(p)["tuya"].update(dp=20),
        lambda p: _brightness(p)["tuya"].update(code="switch_led"),
        lambda p: p["services"][0]["commands"].append(p["services"][0]["commands"][0]),
    ],
)
def test_a_file_that_is_no_product_is_refused(change: Callable[[Any], object]) -> None:
    with pytest.raises(ProductUnfit):
        decode(_edited(change), "lamp")


@given(st.binary(max_size=200))
def test_bytes_are_a_product_or_refused(raw: bytes) -> None:
    with pytest.raises(ProductUnfit):
        decode(raw, "lamp")
