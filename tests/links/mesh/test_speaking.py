"""Properties as mesh messages and back, and which elements of a node are which devices. Pure."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.devices.product.catalogue import built_in
from app.devices.product.values import check_set, sort_report
from app.links.mesh.kinds import Part, parts_of, prefix, uuid_of
from app.links.mesh.speaking import KELVIN, asking, service_of, setting, telling
from ble.errors import BleError
from ble.mesh.access import Message
from ble.mesh.config.composition import Composition, Element
from ble.mesh.models import ctl, hsl, level, lightness, onoff, sensor
from ble.mesh.models.server import Heard
from ble.mesh.node import products
from ble.mesh.node.elements import composition
from ble.mesh.node.products import Product

KINDS = ("mesh_lamp", "mesh_white_lamp", "mesh_colour_lamp", "mesh_full_lamp", "mesh_switch", "mesh_level")
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "on": st.booleans(),
        "brightness": st.integers(10, 1000),
        "temperature": st.integers(0, 1000),
        "level": st.integers(0, 1000),
    },
)


def made_of(product: Product) -> Composition:
    return composition(product.elements, company=1, product=1, version=1, features=0)


def part(product: str) -> Part:
    return Part(element=0, product=product, temperature=1 if product in ("mesh_white_lamp", "mesh_full_lamp") else None)


@pytest.mark.parametrize("product", [*KINDS, "mesh_sensor"])
def test_what_can_be_set_is_what_the_product_s_model_has(product: str) -> None:
    model = built_in().get(product)
    assert model is not None
    service = model.service(service_of(part(product)))
    assert service is not None
    assert set(part(product).models) == {field.id for field in service.properties if field.access.writable}


@given(st.sampled_from(KINDS), VALUES)
def test_what_is_set_is_what_the_answer_tells(product: str, wanted: dict[str, int | bool]) -> None:
    it = part(product)
    values = {name: value for name, value in wanted.items() if name in it.models}
    for asked in setting(it, values, tid=1):
        for told in telling(it, _answer(asked.message), KELVIN):
            assert told.service == service_of(it)
            for name in told.values.keys() & values.keys():
                if name != "on" or "brightness" not in values:
                    assert told.values[name] == values[name]


def _answer(message: object) -> Message:
    """What a node that did it says."""
    match message:
        case onoff.OnOffSet(on):
            return onoff.OnOffStatus(on).message()
        case level.LevelSet(raw):
            return level.LevelStatus(raw).message()
        case lightness.LightnessSet(raw):
            return lightness.LightnessStatus(raw).message()
        case ctl.TemperatureSet(kelvin):
            return ctl.TemperatureStatus(kelvin, 0).message()
    raise AssertionError(message)


@given(st.integers(0, 359), st.integers(0, 1000), st.integers(50, 1000))
def test_a_colour_comes_back_nearly_as_it_went(hue: int, saturation: int, value: int) -> None:
    it = part("mesh_colour_lamp")
    (asked,) = setting(it, {"colour": json.dumps({"h": hue, "s": saturation, "v": value})}, tid=1)
    assert isinstance(asked.message, hsl.HslSet)
    status = hsl.HslStatus(asked.message.lightness, asked.message.hue, asked.message.saturation)
    (told,) = telling(it, status.message())
    back = json.loads(told.values["colour"])
    assert abs(back["s"] - saturation) <= 2
    assert abs(back["v"] - value) <= 2
    if saturation > 20:
        assert min(abs(back["h"] - hue), 360 - abs(back["h"] - hue)) <= 1


@given(st.sampled_from([*KINDS, "mesh_sensor"]), st.integers(0, 0xFFFF), st.binary(max_size=12))
def test_whatever_a_node_says_fits_the_product_or_is_no_message(product: str, opcode: int, octets: bytes) -> None:
    it = Part(element=0, product=product, measures=product == "mesh_sensor")
    model = built_in().get(product)
    assert model is not None
    try:
        told = list(telling(it, Message(opcode, octets)))
    except BleError:
        return
    for one in told:
        service = model.service(one.service)
        assert service is not None
        assert sort_report(service, one.values)[1] == {}


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (products.dimmable, [("mesh_lamp", 0)]),
        (products.tunable, [("mesh_white_lamp", 0)]),
        (products.coloured, [("mesh_colour_lamp", 0)]),
        (products.thermometer, [("mesh_sensor", 0)]),
        (lambda: products.sockets(2), [("mesh_switch", 0), ("mesh_switch", 1)]),
    ],
)
def test_elements_are_devices(make: object, expected: list[tuple[str, int]]) -> None:
    found = parts_of(made_of(make()))  # type: ignore[operator]
    assert [(one.product, one.element) for one in found] == expected
    for one in found:
        for asked in asking(one):
            assert asked.element < 3


def test_a_strip_of_lamps_and_a_sensor_beside_a_switch() -> None:
    white = Element(0, (onoff.SERVER, lightness.SERVER, ctl.SERVER))
    warm = Element(0, (level.SERVER, ctl.TEMPERATURE))
    both = Element(0, (onoff.SERVER, sensor.SERVER))
    plain = Element(0, (level.SERVER,))
    made = Composition(
        company=1, product=1, version=1, replay_list=8, features=0, elements=(white, warm, white, warm, both, plain)
    )
    assert [(one.product, one.element, one.temperature) for one in parts_of(made)] == [
        ("mesh_white_lamp", 0, 1),
        ("mesh_white_lamp", 2, 3),
        ("mesh_switch", 4, None),
        ("mesh_sensor", 4, None),
        ("mesh_level", 5, None),
    ]


def test_hardware_ids_name_their_node() -> None:
    uuid = bytes(range(16))
    ids = {one.hardware_id(uuid) for one in parts_of(made_of(products.sockets(2)))}
    assert len(ids) == 2
    assert {uuid_of(one) for one in ids} == {uuid}
    assert all(one.startswith(prefix(uuid)) for one in ids)
    assert uuid_of("d-abc") == uuid_of("mesh-xyz-1") == b""


def test_the_servers_of_nodes_are_asked_in_words_they_know() -> None:
    lamp = products.tunable()
    (it,) = parts_of(made_of(lamp))
    for asked in asking(it):
        models = lamp.elements[asked.element].models
        server = next(
            m.server for m in models if m.server and asked.message.OPCODE in getattr(m.server, "MESSAGES", {})
        )
        answer = server.handle(asked.message, Heard(0.0, 1, 2))  # type: ignore[arg-type]
        assert answer is not None
        assert answer.message().opcode == asked.answer  # type: ignore[union-attr]


def test_values_fit_before_they_are_sent() -> None:
    model = built_in().get("mesh_full_lamp")
    assert model is not None
    light = model.service("light")
    assert light is not None
    values = check_set(light, {"on": True, "brightness": 10, "temperature": 0, "colour": '{"h":0,"s":0,"v":0}'})
    assert len(setting(part("mesh_full_lamp"), values, tid=0)) == 4
