"""Bindings between states: what one becomes as another (Mesh Model 1.1, 6.1)."""

from math import ceil, isqrt

LIGHTNESS_MAX = 0xFFFF
TEMPERATURE_MIN, TEMPERATURE_MAX = 0x0320, 0x4E20
"""800 K to 20,000 K (6.1.3.1)."""

_SHIFT = 0x8000


def linear_of(actual: int) -> int:
    """Light Lightness Linear of Actual: ceil(65535 x (actual / 65535)^2) (6.1.2.1.1)."""
    return ceil(actual * actual / LIGHTNESS_MAX)


def actual_of(linear: int) -> int:
    """Light Lightness Actual of Linear: 65535 x sqrt(linear / 65535), cut to a whole number (6.1.2.2.1)."""
    return isqrt(linear * LIGHTNESS_MAX)


def level_of(lightness: int) -> int:
    """Generic Level of Light Lightness Actual, hue, or saturation (6.1.2.2.2; 6.1.4.1.1; 6.1.4.2.1)."""
    return lightness - _SHIFT


def lightness_of(level: int) -> int:
    """The way back."""
    return level + _SHIFT


def within(lightness: int, low: int, high: int) -> int:
    """A lightness that was asked for, held in the range; 0 stays 0, which is off (6.1.2.2.5)."""
    return 0 if lightness == 0 else min(high, max(low, lightness))


def temperature_level(kelvin: int, low: int, high: int) -> int:
    """Generic Level of Light CTL Temperature over its range (6.1.3.1.1)."""
    return round((kelvin - low) * 0xFFFF / (high - low)) - _SHIFT if high > low else 0


def temperature_of(level: int, low: int, high: int) -> int:
    """The way back (6.1.3.1.1)."""
    return low + round((level + _SHIFT) * (high - low) / 0xFFFF)


def percent(lightness: int) -> int:
    """0 to 100; what is not off is at least 1."""
    return 0 if lightness == 0 else max(1, round(lightness * 100 / LIGHTNESS_MAX))


def of_percent(value: int) -> int:
    """The lightness of a percentage."""
    return round(min(100, max(0, value)) * LIGHTNESS_MAX / 100)


def degrees(hue: int) -> int:
    """A hue in whole degrees, 0 to 359 (6.1.4.1)."""
    return round(hue * 360 / 0x10000) % 360


def hue_of(angle: int) -> int:
    """The hue of an angle in degrees."""
    return round(angle % 360 * 0x10000 / 360) & 0xFFFF
