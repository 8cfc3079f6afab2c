"""The models' messages: published and recorded octets, there and back, and what nobody meant."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ble.errors import Malformed
from ble.mesh import access
from ble.mesh.model_id import ModelId
from ble.mesh.models import battery, ctl, health, hsl, known, level, lightness, onoff, power, scene, sensor, vendor
from ble.mesh.models.properties import PROPERTIES
from ble.mesh.models.transition import Transition, time_octet, transition
from ble.mesh.wire import WireMessage
from tests.ble.mesh.prov_fuzzing import ROUNDS, fuzz
from tests.ble.mesh.vectors import recorded, vector

u8, u16, bit = st.integers(0, 0xFF), st.integers(0, 0xFFFF), st.integers(0, 1)
i16, i32 = st.integers(-0x8000, 0x7FFF), st.integers(-(2**31), 2**31 - 1)
kelvin = st.integers(0x0320, 0x4E20)
how = st.none() | st.builds(Transition, u8, u8)
values = st.lists(st.builds(sensor.Value, st.integers(1, 0xFFFF), st.binary(max_size=20)), max_size=5).map(tuple)
minutes = st.none() | st.integers(0, 0xFFFFFE)
two = st.integers(0, 3)

MESSAGES = st.one_of(
    st.builds(onoff.OnOffSet, bit, u8, how),
    st.builds(onoff.OnOffStatus, bit) | st.builds(onoff.OnOffStatus, bit, bit, u8),
    st.builds(level.LevelSet, i16, u8, how),
    st.builds(level.DeltaSet, i32, u8, how),
    st.builds(level.MoveSetUnacknowledged, i16, u8, how),
    st.builds(level.LevelStatus, i16, i16, u8),
    st.builds(power.OnPowerUpSet, st.integers(0, 2)),
    st.builds(lightness.LightnessSet, u16, u8, how),
    st.builds(lightness.LightnessStatus, u16, u16, u8),
    st.builds(lightness.RangeStatus, u8, u16, u16),
    st.builds(ctl.CtlSet, u16, kelvin, i16, u8, how),
    st.builds(ctl.CtlStatus, u16, u16, u16, u16, u8),
    st.builds(ctl.TemperatureStatus, u16, i16, u16, i16, u8),
    st.builds(hsl.HslSet, u16, u16, u16, u8, how),
    st.builds(hsl.HslStatus, u16, u16, u16, u8),
    st.builds(hsl.HueSet, u16, u8, how),
    st.builds(scene.SceneRecall, st.integers(1, 0xFFFF), u8, how),
    st.builds(scene.SceneStatus, u8, u16, u16, u8),
    st.builds(scene.RegisterStatus, u8, u16, st.lists(u16, max_size=16).map(tuple)),
    st.builds(sensor.SensorStatus, values),
    st.builds(sensor.DescriptorStatus, u16),
    st.builds(
        battery.BatteryStatus,
        st.builds(
            battery.Battery,
            level=st.none() | st.integers(0, 100),
            to_discharge=minutes,
            to_charge=minutes,
            presence=two.map(battery.Presence),
            indicator=two,
            charging=two.map(battery.Charging),
            service=two,
        ),
    ),
    st.builds(health.CurrentStatus, u8, u16, st.binary(max_size=9)),
    st.builds(health.AttentionSet, u8),
)


@given(MESSAGES)
def test_what_is_packed_is_read(message: WireMessage) -> None:
    assert known.read(access.unpack(message.message().pack())) == message


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("8.3.18", health.CurrentStatus(0, 0, b"\x00")),
        ("8.3.19", health.CurrentStatus(0, 0, bytes([0x01, 0x07, 0x03]))),
    ],
)
def test_the_published_health_messages(section: str, message: WireMessage) -> None:
    payload = bytes.fromhex(vector(section)[0]["access_payload"])
    assert known.read(access.unpack(payload)) == message
    assert message.message().pack() == payload


def test_the_published_vendor_message() -> None:
    """MshPRT 1.1, 8.3.21."""
    payload = bytes.fromhex(vector("8.3.21")[0]["access_payload"])
    assert vendor.message(0x000A, 0x15, b"Hello").pack() == payload
    assert known.read(access.unpack(payload)) is None


def test_what_bluez_answers_to_on() -> None:
    status = known.read(access.unpack(recorded("bluez_meshd_5.66", "onoff_status")))
    assert status == onoff.OnOffStatus(1)
    assert isinstance(status, onoff.OnOffStatus)
    assert onoff.reported(status)
    with pytest.raises(Malformed):
        onoff.reported(onoff.OnOffStatus(1, 2, 0))


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (sensor.value(0x0056, 21.5), "c00a2b"),
        (sensor.value(0x004E, 123.45), "c409393000"),
        (sensor.Value(0x0800, b"\x01"), "01000801"),
        (sensor.Value(0x0056, b""), "ff5600"),
    ],
)
def test_sensor_values_in_both_formats(one: sensor.Value, text: str) -> None:
    """Mesh Model 1.1, 4.2.14.1: A has 4 bits of length less one and 11 of id, B has 7 and 16; length 127 is none."""
    assert sensor.SensorStatus((one,)).message().parameters.hex() == text


@pytest.mark.parametrize("property_id", PROPERTIES)
def test_a_reading_comes_back_and_so_does_that_there_is_none(property_id: int) -> None:
    known_property = PROPERTIES[property_id]
    assert sensor.value(property_id, 1).reading == 1
    if known_property.unknown is not None:
        assert sensor.value(property_id, None).reading is None
    with pytest.raises(Malformed):
        sensor.value(property_id, 1e15)
    with pytest.raises(Malformed):
        _ = sensor.Value(property_id, bytes(known_property.size + 1)).reading


def test_a_property_that_is_not_in_the_table_is_carried() -> None:
    assert sensor.Value(0x0666, b"abc").reading is None
    with pytest.raises(Malformed):
        sensor.value(0x0666, 1)


@given(st.integers(0, 62), st.integers(0, 3))
def test_a_time_comes_back(steps: int, resolution: int) -> None:
    seconds = Transition(resolution << 6 | steps).seconds
    assert transition(seconds).seconds == seconds


@pytest.mark.parametrize("seconds", [-1.0, 62 * 600.0 + 301])
def test_a_time_that_no_octet_says_is_refused(seconds: float) -> None:
    with pytest.raises(Malformed):
        time_octet(seconds)
    with pytest.raises(Malformed):
        transition(0, delay=seconds)
    with pytest.raises(Malformed):
        _ = Transition(0x3F).seconds


@pytest.mark.parametrize(
    "payload",
    [
        "82020201",
        "8202010105",
        "825e00001f03000001",
        "825e0000214e000001",
        "8242000001",
        "521e",
        "520100",
        "8213030000",
    ],
)
def test_a_prohibited_value_is_malformed(payload: str) -> None:
    with pytest.raises(Malformed):
        known.read(access.unpack(bytes.fromhex(payload)))


def test_what_is_bound_and_what_joins_a_group() -> None:
    for model in (onoff.SERVER, lightness.SERVER, hsl.HUE, scene.SERVER, ModelId(1, 0x000A)):
        assert known.is_bindable(model)
        assert known.is_subscriber(model)
    for model in (power.SETUP, health.SERVER, battery.SERVER, sensor.SERVER):
        assert known.is_bindable(model)
        assert not known.is_subscriber(model)
    for model in (onoff.CLIENT, ModelId(0x0000), ModelId(0x1400)):
        assert not known.is_bindable(model)


HONEST: dict[str, list[WireMessage]] = {
    "onoff": [onoff.OnOffSet(1, 2, Transition(3, 4)), onoff.OnOffStatus(1, 0, 9)],
    "level": [level.LevelSet(5, 1), level.DeltaSet(-9, 3, Transition(1)), level.MoveSet(9, 9)],
    "power": [power.OnPowerUpSet(2), power.OnPowerUpStatus(1)],
    "lightness": [lightness.LightnessSet(7, 7), lightness.RangeSet(1, 9), lightness.LinearStatus(1, 2, 3)],
    "ctl": [ctl.CtlSet(9, 3000, 0, 1), ctl.TemperatureSet(3000, 0, 1), ctl.CtlStatus(1, 2, 3, 4, 5)],
    "hsl": [hsl.HslSet(1, 2, 3, 4), hsl.HueSet(5, 6), hsl.HslTargetStatus(1, 2, 3, 4)],
    "scene": [scene.SceneRecall(1, 2), scene.SceneStore(3), scene.RegisterStatus(0, 1, (1, 2))],
    "sensor": [
        sensor.SensorStatus((sensor.value(0x0056, 20), sensor.Value(0x0900, b"12345"))),
        sensor.DescriptorStatus((sensor.Descriptor(property_id=0x0056),)),
    ],
    "battery": [battery.BatteryStatus(battery.Battery(level=50))],
    "health": [health.CurrentStatus(1, 2, b"3"), health.FaultTest(1, 2), health.PeriodSet(3)],
}


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.parametrize("name", HONEST)
def test_models_fuzzed(name: str, rounds: int) -> None:
    def parse(payload: bytes) -> Any:
        message = known.read(access.unpack(payload))
        if isinstance(message, sensor.SensorStatus):
            for one in message.values:
                _ = one.reading
        if isinstance(message, onoff.OnOffStatus):
            onoff.reported(message)

    assert fuzz(name, parse, [message.message().pack() for message in HONEST[name]], rounds, most=40) > 0
