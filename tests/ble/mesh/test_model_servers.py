"""The models' servers: what they do with what they are told, in their own time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ble.errors import Malformed
from ble.mesh.access import Message
from ble.mesh.model_id import ModelId
from ble.mesh.models import (
    battery,
    conversions,
    ctl,
    health,
    hsl,
    level,
    lightness,
    onoff,
    power,
    scene,
    sensor,
    vendor,
)
from ble.mesh.models.server import Heard
from ble.mesh.models.tid import MAX_PEERS, NextTid, Tids
from ble.mesh.models.transition import UNKNOWN, Transition, transition

NODE = 0x0002


def at(now: float, source: int = 1) -> Heard:
    return Heard(now, source, NODE)


def test_a_switch_is_switched_and_says_so() -> None:
    switch = onoff.OnOffServer()
    assert switch.handle(onoff.OnOffGet(), at(0)) == onoff.OnOffStatus(0)
    assert switch.handle(onoff.set_on(True, 1), at(1)) == onoff.OnOffStatus(1)
    assert switch.handle(onoff.set_on(False, 2, acknowledged=False), at(2)) is None
    assert not switch.on(2)
    assert switch.handle(onoff.OnOffStatus(1), at(3)) is None


def test_a_repeat_is_done_once() -> None:
    """Mesh Model 1.1, 1.4.1.2: within six seconds of the first, from the same source to the same destination."""
    switch = onoff.OnOffServer()
    switch.handle(onoff.set_on(True, 7), at(0))
    switch.handle(onoff.set_on(False, 8), at(1, source=2))
    assert switch.handle(onoff.set_on(True, 7), at(5)) == onoff.OnOffStatus(0)
    assert switch.handle(onoff.set_on(True, 7), at(6)) == onoff.OnOffStatus(1)


def test_a_switch_is_on_all_the_way_down() -> None:
    switch = onoff.OnOffServer(on=True)
    going = switch.handle(onoff.set_on(False, 1, transition(10, delay=0.5)), at(0))
    assert going == onoff.OnOffStatus(1, 0, Transition(0x40 | 10).time)
    assert switch.status(10.4).on == 1
    assert switch.moving(10.4)
    assert switch.status(10.6) == onoff.OnOffStatus(0)


def test_a_delay_before_a_change_that_takes_no_time() -> None:
    server = level.LevelServer(5)
    status = server.handle(level.set_level(9, 1, transition(0, delay=1)), at(0))
    assert status == level.LevelStatus(5, 9, 0)
    assert (server.level(0.5), server.level(1), server.level(2)) == (5, 9, 9)


def test_a_time_too_long_to_be_said_is_unknown() -> None:
    server = level.LevelServer(0)
    server.handle(level.MoveSet(1, 1, transition(600)), at(0))
    assert server.status(0) == level.LevelStatus(0, level.HIGHEST, UNKNOWN)


def test_tids_of_strangers_take_no_memory() -> None:
    tids = Tids()
    for source in range(10 * MAX_PEERS):
        assert not tids.repeated(source, NODE, 1, 0)
    assert tids.repeated(10 * MAX_PEERS - 1, NODE, 1, 0)
    assert not tids.repeated(0, NODE, 1, 0)


def test_a_client_counts_round() -> None:
    tid = NextTid(254)
    assert [tid(), tid(), tid()] == [254, 255, 0]


def test_a_level_goes_there_in_its_time() -> None:
    server = level.LevelServer(0)
    server.handle(level.set_level(1000, 1, transition(10)), at(0))
    assert server.level(5) == 500
    assert server.level(20) == 1000


def test_a_delta_of_the_same_transaction_counts_from_its_start() -> None:
    """Mesh Model 1.1, 3.3.2.2.3."""
    server = level.LevelServer(100)
    server.handle(level.DeltaSet(10, 1), at(0))
    server.handle(level.DeltaSet(30, 1), at(1))
    assert server.level(1) == 130
    server.handle(level.DeltaSet(100_000, 2), at(2))
    assert server.level(2) == level.HIGHEST


def test_a_move_goes_on_until_it_is_stopped() -> None:
    server = level.LevelServer(0)
    server.handle(level.MoveSet(100, 1, transition(1)), at(0))
    assert server.level(10) == 1000
    server.handle(level.MoveSet(0, 2, transition(1)), at(10))
    assert server.level(99) == 1000
    server.handle(level.MoveSet(-100, 3, transition(1)), at(100))
    assert server.level(10_000) == level.LOWEST


@given(st.integers(-0x8000, 0x7FFF), st.integers(-0x8000, 0x7FFF), st.integers(0, 254), st.floats(0, 50_000))
def test_a_move_ends_within_the_levels(start: int, change: int, octet: int, later: float) -> None:
    server = level.LevelServer(start)
    try:
        status = server.handle(level.MoveSet(change, 1, Transition(octet, 0)), at(0))
    except Malformed:
        return
    assert status is not None
    status.message()
    assert level.LOWEST <= server.level(later) <= level.HIGHEST


def test_the_power_up_behaviour_is_told_and_set_beside() -> None:
    server = power.PowerOnOffServer()
    setup = power.PowerOnOffSetupServer(server)
    assert setup.handle(power.OnPowerUpSet(power.OnPowerUp.DEFAULT), at(0)) == power.OnPowerUpStatus(1)
    assert server.handle(power.OnPowerUpGet(), at(0)) == power.OnPowerUpStatus(1)
    assert setup.handle(power.OnPowerUpSetUnacknowledged(0), at(0)) is None
    assert server.behaviour is power.OnPowerUp.OFF


def test_a_light_is_held_in_its_range_and_off_is_off() -> None:
    light = lightness.LightnessServer()
    setup = lightness.LightnessSetupServer(light)
    assert setup.handle(lightness.RangeSet(1000, 2000), at(0)) == lightness.RangeStatus(0, 1000, 2000)
    assert light.handle(lightness.set_lightness(9000, 1), at(0)) == lightness.LightnessStatus(2000)
    assert light.handle(lightness.set_lightness(1, 2), at(0)) == lightness.LightnessStatus(1000)
    assert light.handle(lightness.set_lightness(0, 3), at(0)) == lightness.LightnessStatus(0)
    assert light.handle(lightness.LastGet(), at(0)) == lightness.LastStatus(1000)
    with pytest.raises(Malformed):
        setup.handle(lightness.RangeSet(0, 5), at(0))


def test_on_is_the_default_or_else_the_last() -> None:
    """Mesh Model 1.1, 6.1.2.2.3."""
    light = lightness.LightnessServer(500)
    light.turn(False, None, 0)
    assert light.lightness(0) == 0
    light.turn(True, None, 0)
    assert light.lightness(0) == 500
    light.default = 900
    light.turn(True, None, 0)
    assert light.lightness(0) == 900


def test_linear_is_the_square_of_actual() -> None:
    light = lightness.LightnessServer()
    assert light.handle(lightness.LinearSet(0x4000, 1), at(0)) == lightness.LinearStatus(0x4000)
    assert light.lightness(0) == 0x7FFF


@given(st.integers(0, 0xFFFF))
def test_conversions_come_back(value: int) -> None:
    assert conversions.lightness_of(conversions.level_of(value)) == value
    back = conversions.actual_of(conversions.linear_of(value))
    assert value <= back <= value + 1 + 0xFFFF / (2 * max(1, value))  # one step of linear is many of a low actual
    assert abs(conversions.linear_of(conversions.actual_of(value)) - value) <= 2
    assert (conversions.percent(value) == 0) == (value == 0)


@given(st.integers(0, 100), st.integers(0, 359))
def test_percentages_and_degrees_come_back(percent: int, degrees: int) -> None:
    assert conversions.percent(conversions.of_percent(percent)) == percent
    assert conversions.degrees(conversions.hue_of(degrees)) == degrees


@given(st.integers(2700, 6500))
def test_a_temperature_comes_back_from_its_level(kelvin: int) -> None:
    assert conversions.temperature_of(conversions.temperature_level(kelvin, 2700, 6500), 2700, 6500) == kelvin


def test_a_white_light_moves_both_of_its_states() -> None:
    light, warmth = lightness.LightnessServer(), ctl.TemperatureServer(4000)
    white = ctl.CtlServer(light, warmth)
    going = white.handle(ctl.set_ctl(10_000, 2000, 1, transition(1)), at(0))
    assert going == ctl.CtlStatus(0, 4000, 10_000, 2700, 10)
    assert white.handle(ctl.CtlGet(), at(2)) == ctl.CtlStatus(10_000, 2700)
    assert white.handle(ctl.TemperatureRangeGet(), at(2)) == ctl.TemperatureRangeStatus(0, 2700, 6500)
    assert warmth.handle(ctl.TemperatureSet(5000, 3, 1), at(3)) == ctl.TemperatureStatus(5000, 3)


def test_a_white_lights_range_and_default_are_set_beside() -> None:
    light, warmth = lightness.LightnessServer(), ctl.TemperatureServer(4000)
    white = ctl.CtlServer(light, warmth)
    setup = ctl.CtlSetupServer(white)
    held = setup.handle(ctl.TemperatureRangeSet(3000, 3500), at(0))
    assert held == white.handle(ctl.TemperatureRangeGet(), at(0)) == ctl.TemperatureRangeStatus(0, 3000, 3500)
    assert white.handle(ctl.set_ctl(1, 6000, 1), at(0)) == ctl.CtlStatus(1, 3500)
    assert setup.handle(ctl.TemperatureRangeSetUnacknowledged(3000, 3000), at(0)) is None
    with pytest.raises(Malformed):
        setup.handle(ctl.TemperatureRangeSet(3001, 3000), at(0))
    default = setup.handle(ctl.CtlDefaultSet(5, 3000, -1), at(0))
    assert default == white.handle(ctl.CtlDefaultGet(), at(0)) == ctl.CtlDefaultStatus(5, 3000, -1)


def test_a_coloured_lights_default_is_set_beside() -> None:
    coloured = hsl.HslServer(lightness.LightnessServer(), hsl.HueServer(), hsl.SaturationServer())
    setup = hsl.HslSetupServer(coloured)
    assert setup.handle(hsl.HslDefaultSet(1, 2, 3), at(0)) == hsl.HslDefaultStatus(1, 2, 3)
    assert setup.handle(hsl.HslDefaultSetUnacknowledged(4, 5, 6), at(0)) is None
    assert coloured.handle(hsl.HslDefaultGet(), at(0)) == hsl.HslDefaultStatus(4, 5, 6)
    assert coloured.handle(hsl.HslRangeGet(), at(0)) == hsl.HslRangeStatus(0, 0, 0xFFFF, 0, 0xFFFF)


def test_a_coloured_light_moves_all_three() -> None:
    light, hue, saturation = lightness.LightnessServer(), hsl.HueServer(), hsl.SaturationServer()
    coloured = hsl.HslServer(light, hue, saturation)
    assert coloured.handle(hsl.set_hsl(1, 2, 3, 1, transition(1)), at(0)) == hsl.HslStatus(0, 0, 0, 10)
    assert coloured.handle(hsl.HslTargetGet(), at(0)) == hsl.HslTargetStatus(1, 2, 3, 10)
    assert coloured.handle(hsl.HslGet(), at(2)) == hsl.HslStatus(1, 2, 3)
    assert hue.handle(hsl.HueSet(9, 1), at(3)) == hsl.HueStatus(9)
    assert saturation.handle(hsl.SaturationGet(), at(3)) == hsl.SaturationStatus(3)


def test_a_scene_is_stored_recalled_and_forgotten() -> None:
    light = lightness.LightnessServer(500)
    scenes = scene.SceneServer(
        lambda now: {"light": light.course.at(now)}, lambda kept, how, now: light.go(kept["light"][0], how, now)
    )
    setup = scene.SceneSetupServer(scenes)
    assert setup.handle(scene.SceneStore(5), at(0)) == scene.RegisterStatus(0, 5, (5,))
    light.go(100, None, 1)
    assert scenes.handle(scene.SceneGet(), at(1)) == scene.SceneStatus(0, 0)
    assert scenes.handle(scene.recall(5, 1, transition(1)), at(2)) == scene.SceneStatus(0, 0, 5, 10)
    assert scenes.handle(scene.SceneGet(), at(4)) == scene.SceneStatus(0, 5)
    assert light.lightness(4) == 500
    assert scenes.handle(scene.recall(6, 2), at(4)) == scene.SceneStatus(scene.SceneStatusCode.NOT_FOUND, 5)
    assert setup.handle(scene.SceneDelete(5), at(5)) == scene.RegisterStatus(0, 0, ())


def test_a_full_register_says_so() -> None:
    scenes = scene.SceneServer(lambda _: {}, lambda *_: None)
    for number in range(1, scene.REGISTER_SIZE + 1):
        assert scenes.store(number, 0) is scene.SceneStatusCode.SUCCESS
    assert scenes.store(99, 0) is scene.SceneStatusCode.REGISTER_FULL
    assert scenes.store(1, 0) is scene.SceneStatusCode.SUCCESS


def test_a_sensor_tells_one_or_all() -> None:
    sensors = sensor.SensorServer({0x0056: 21.5, 0x0076: 45.5})
    everything = sensors.handle(sensor.SensorGet(), at(0))
    assert isinstance(everything, sensor.SensorStatus)
    assert [one.reading for one in everything.values] == [21.5, 45.5]
    sensors.measure(0x0056, None)
    assert sensors.handle(sensor.SensorGet(0x0056), at(0)) == sensor.SensorStatus((sensor.Value(0x0056, b"\x7f"),))
    assert sensors.handle(sensor.SensorGet(0x0042), at(0)) == sensor.SensorStatus((sensor.Value(0x0042, b""),))
    assert sensors.handle(sensor.DescriptorGet(0x0042), at(0)) == sensor.DescriptorStatus(0x0042)
    described = sensors.handle(sensor.DescriptorGet(), at(0))
    assert isinstance(described, sensor.DescriptorStatus)
    assert described == sensor.DescriptorStatus.read(described.message().parameters)


def test_a_battery_tells_its_state() -> None:
    state = battery.Battery(level=80, charging=battery.Charging.DISCHARGING)
    assert battery.BatteryServer(state).handle(battery.BatteryGet(), at(0)) == battery.BatteryStatus(state)


def test_faults_stay_registered_until_they_are_cleared() -> None:
    server = health.HealthServer(0x0001)
    server.fault(3)
    server.fault()
    assert server.status(0) == health.CurrentStatus(0, 1, b"")
    assert server.handle(health.FaultGet(1), at(0)) == health.FaultStatus(0, 1, b"\x03")
    assert server.handle(health.FaultClear(1), at(0)) == health.FaultStatus(0, 1, b"")
    assert server.handle(health.FaultGet(2), at(0)) is None
    assert server.handle(health.FaultTest(9, 1), at(0)) == health.FaultStatus(9, 1, b"")
    with pytest.raises(Malformed):
        server.handle(health.PeriodSet(16), at(0))
    assert server.handle(health.PeriodSet(15), at(0)) == health.PeriodStatus(15)


def test_attention_counts_down() -> None:
    server = health.HealthServer(0x0001)
    assert server.handle(health.AttentionSet(10), at(100)) == health.AttentionStatus(10)
    assert server.attention(104) == 6
    assert server.handle(health.AttentionGet(), at(200)) == health.AttentionStatus(0)


def test_a_vendors_message_goes_to_its_program_and_nobody_elses() -> None:
    server = vendor.VendorServer(ModelId(1, 0x000A), vendor.echo(0x16))
    assert server.handle(vendor.message(0x000A, 0x15, b"Hello"), at(0)) == vendor.message(0x000A, 0x16, b"Hello")
    assert server.handle(vendor.message(0x000B, 0x15, b"Hello"), at(0)) is None
    assert server.handle(Message(0x8201), at(0)) is None
