"""Generic Battery (Mesh Model 1.1, 3.2.7 and 3.3.9)."""

from enum import IntEnum
from typing import Annotated, ClassVar, TypeAlias

from msgspec import Struct

from ble.mesh.model_id import ModelId
from ble.mesh.models.server import AtRest, Heard
from ble.mesh.octets import Octets
from ble.mesh.wire import Codec, WireMessage, table

SERVER, CLIENT = ModelId(0x100C), ModelId(0x100D)
_UNKNOWN_LEVEL, _UNKNOWN_MINUTES = 0xFF, 0xFFFFFF


class Charging(IntEnum):
    """Bits 4 and 5 of the flags (table 3.15)."""

    NO = 0
    DISCHARGING = 1
    CHARGING = 2
    UNKNOWN = 3


class Presence(IntEnum):
    """Bits 0 and 1 (table 3.13)."""

    ABSENT = 0
    REMOVABLE = 1
    FIXED = 2
    UNKNOWN = 3


class Battery(Struct, frozen=True, kw_only=True):
    """`level` in percent, times in minutes; None where not known. `indicator` 0 critical, 1 low, 2 good, 3 unknown."""

    level: int | None = None
    to_discharge: int | None = None
    to_charge: int | None = None
    presence: Presence = Presence.UNKNOWN
    indicator: int = 3
    charging: Charging = Charging.UNKNOWN
    service: int = 3


def _pack(battery: Battery) -> bytes:
    level = _UNKNOWN_LEVEL if battery.level is None else battery.level
    times = (battery.to_discharge, battery.to_charge)
    minutes = [_UNKNOWN_MINUTES if time is None else time for time in times]
    flags = battery.presence | battery.indicator << 2 | battery.charging << 4 | battery.service << 6
    return bytes([level]) + b"".join(time.to_bytes(3, "little") for time in minutes) + bytes([flags])


def _read(octets: Octets) -> Battery:
    level, to_discharge, to_charge, flags = octets.u8(), octets.number(3), octets.number(3), octets.u8()
    return Battery(
        level=level if level <= 100 else None,
        to_discharge=None if to_discharge == _UNKNOWN_MINUTES else to_discharge,
        to_charge=None if to_charge == _UNKNOWN_MINUTES else to_charge,
        presence=Presence(flags & 3),
        indicator=flags >> 2 & 3,
        charging=Charging(flags >> 4 & 3),
        service=flags >> 6,
    )


State: TypeAlias = Annotated[Battery, Codec(pack=_pack, read=_read)]


class BatteryGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8223


class BatteryStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8224
    battery: State


MESSAGES = table((BatteryGet, BatteryStatus))


class BatteryServer(AtRest):
    """Tells what the device's own program knows."""

    MODEL: ClassVar = SERVER
    MESSAGES: ClassVar = MESSAGES

    def __init__(self, battery: Battery) -> None:
        self.battery = battery

    def handle(self, message: WireMessage, heard: Heard) -> WireMessage | None:
        return self.status(heard.now) if isinstance(message, BatteryGet) else None

    def status(self, now: float) -> BatteryStatus:
        return BatteryStatus(self.battery)
