"""The table of what BTHome sensors measure, held to the library that reads them."""

import pytest
from bthome_ble.const import MEAS_TYPES
from bthome_ble.event import EventDeviceKeys
from sensor_state_data.description import BaseBinarySensorDescription

from ble.bthome_kinds import KINDS, MAX_MEASURES, Form, Point, measures_of, names_of, point

PACKET_ID = 0x00


@pytest.mark.parametrize("code", [code for code, each in MEAS_TYPES.items() if code != PACKET_ID and each.meas_format])
def test_every_object_that_the_library_reads_is_of_a_kind_with_its_unit_and_range(code: int) -> None:
    read = MEAS_TYPES[code]
    shape = read.meas_format
    assert shape is not None
    if isinstance(shape, EventDeviceKeys):
        found = point(str(shape.value), "press", event=True)
        assert found is not None
        assert found.kind.form is Form.EVENT
        return
    key = str(shape.device_class.value)  # type: ignore[union-attr]
    if isinstance(shape, BaseBinarySensorDescription):
        found = point(key, True)
        assert found is not None
        return
    if read.data_format in ("string", "raw"):
        assert point(key, "text") is not None
        return
    unit = shape.native_unit_of_measurement
    found = point(key, 1.0, "" if unit is None else str(unit.value if hasattr(unit, "value") else unit))
    assert found is not None
    bits = 8 * read.data_length
    signed = read.data_format == "signed_integer"
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    assert found.kind.low <= low * read.factor + 1e-6
    assert high * read.factor - 1e-6 <= found.kind.high


def test_names_are_told_apart() -> None:
    names = [kind.name for kind in KINDS.values()]
    shared = {name for name in names if names.count(name) > 1}
    assert shared == {"mass", "distance", "volume"}  # one quantity in two units, of which a sensor uses one


def test_several_of_a_kind_are_numbered_as_the_library_numbers_them() -> None:
    first = point("temperature_1", 20.0, "°C")
    assert first == Point(KINDS[0x02], "_1", 20.0)
    battery, low = point("battery", 97.0, "%"), point("battery", False)
    assert battery is not None
    assert low is not None
    assert (battery.name, low.name) == ("battery", "battery_low")
    second = point("temperature_2", 21.0, "°C")
    assert first is not None
    assert second is not None
    measures = measures_of([[first, second], [battery]])
    assert [name for name, _ in names_of(measures)] == ["battery", "temperature_1", "temperature_2"]
    assert point("temperature", 20.0, "°F") is None
    assert point("", 1.0) is None
    assert len(measures_of([[battery] * 99])) == MAX_MEASURES
