"""Properties that sensors report: their size and scale (Mesh Device Properties 2, 4; GATT Specification Supplement).

A value that says "not known" becomes None. A property that is not in the table is carried as its octets.
"""

from enum import Enum

from msgspec import Struct

from ble.errors import Malformed


class Unit(Enum):
    """What a value is measured in."""

    CELSIUS = "°C"
    PERCENT = "%"
    LUX = "lx"
    VOLT = "V"
    AMPERE = "A"
    WATT = "W"
    KILOWATT_HOUR = "kWh"
    KELVIN = "K"
    PPM = "ppm"
    PPB = "ppb"
    DECIBEL = "dB"
    NONE = ""


class Property(Struct, frozen=True, kw_only=True):
    """A number of `size` octets; the value is (number x `numerator` / `denominator`) `unit`. `unknown` says nothing."""

    name: str
    size: int
    unit: Unit = Unit.NONE
    numerator: int = 1
    denominator: int = 1
    signed: bool = False
    unknown: int | None = None

    def decode(self, octets: bytes) -> float | None:
        """Raises Malformed where the size is another."""
        if len(octets) != self.size:
            raise Malformed(f"{self.name} with {len(octets)} octets")
        number = int.from_bytes(octets, "little", signed=self.signed)
        return None if number == self.unknown else number * self.numerator / self.denominator

    def encode(self, value: float | None) -> bytes:
        """The nearest number. Raises Malformed where it does not fit."""
        number = self.unknown if value is None else round(value * self.denominator / self.numerator)
        try:
            return (0 if number is None else number).to_bytes(self.size, "little", signed=self.signed)
        except OverflowError as error:
            raise Malformed(f"{self.name} of {value}") from error


def _temperature8(name: str) -> Property:
    return Property(name=name, size=1, unit=Unit.CELSIUS, denominator=2, signed=True, unknown=0x7F)


def _humidity(name: str) -> Property:
    return Property(name=name, size=2, unit=Unit.PERCENT, denominator=100, unknown=0xFFFF)


def _percentage8(name: str) -> Property:
    return Property(name=name, size=1, unit=Unit.PERCENT, denominator=2, unknown=0xFF)


def _voltage(name: str) -> Property:
    return Property(name=name, size=2, unit=Unit.VOLT, denominator=64, unknown=0xFFFF)


def _current(name: str) -> Property:
    return Property(name=name, size=2, unit=Unit.AMPERE, denominator=100, unknown=0xFFFF)


def _illuminance(name: str) -> Property:
    return Property(name=name, size=3, unit=Unit.LUX, denominator=100, unknown=0xFFFFFF)


PROPERTIES: dict[int, Property] = {
    0x0042: _percentage8("motion sensed"),
    0x0043: _percentage8("motion threshold"),
    0x004C: Property(name="people count", size=2, unknown=0xFFFF),
    0x004D: Property(name="presence detected", size=1),
    0x004E: _illuminance("present ambient light level"),
    0x004F: _temperature8("present ambient temperature"),
    0x0051: Property(name="present correlated colour temperature", size=2, unit=Unit.KELVIN, unknown=0xFFFF),
    0x0052: Property(name="present device input power", size=3, unit=Unit.WATT, denominator=10, unknown=0xFFFFFF),
    0x0054: _temperature8("present device operating temperature"),
    0x0055: _illuminance("present illuminance"),
    0x0056: _temperature8("present indoor ambient temperature"),
    0x0057: _current("present input current"),
    0x0059: _voltage("present input voltage"),
    0x005B: _temperature8("present outdoor ambient temperature"),
    0x005C: _current("present output current"),
    0x005D: _voltage("present output voltage"),
    0x006A: Property(name="total device energy use", size=3, unit=Unit.KILOWATT_HOUR, unknown=0xFFFFFF),
    0x0072: Property(
        name="precise total device energy use",
        size=4,
        unit=Unit.KILOWATT_HOUR,
        denominator=1000,
        unknown=0xFFFFFFFF,
    ),
    0x0075: Property(
        name="precise present ambient temperature",
        size=2,
        unit=Unit.CELSIUS,
        denominator=100,
        signed=True,
        unknown=-0x8000,
    ),
    0x0076: _humidity("present ambient relative humidity"),
    0x0077: Property(name="present ambient carbon dioxide concentration", size=2, unit=Unit.PPM, unknown=0xFFFF),
    0x0078: Property(
        name="present ambient volatile organic compounds concentration", size=2, unit=Unit.PPB, unknown=0xFFFF
    ),
    0x0079: Property(name="present ambient noise", size=1, unit=Unit.DECIBEL, unknown=0xFF),
    0x00A7: _humidity("present indoor relative humidity"),
    0x00A8: _humidity("present outdoor relative humidity"),
}
"""By property id."""
