"""BTHome v2 sensors: what an advertisement measures, deciphered and checked for repetition. `bthome-ble` parses.

The library's own state between advertisements is not used: it keeps old values, takes any counter below 100, and any
counter at all after two advertisements that do not decipher, which anybody can send.
"""

import logging
from datetime import datetime
from math import isfinite
from typing import Any, Final

from bthome_ble import BTHomeBluetoothDeviceData, SensorUpdate
from msgspec import Struct

from ble.adverts import BTHOME, BTHome, kind_of
from ble.bthome_kinds import Point, point
from ble.errors import Malformed, WrongKey
from ble.radio import Advertisement

KEY_OCTETS: Final = 16
REPEAT_S: Final = 4.0
"""Within this time an equal packet id is the same packet, sent again."""

logging.getLogger("bthome_ble").setLevel(logging.CRITICAL)  # it logs a warning for each octet a stranger gets wrong

Value = float | bool | str


class Reading(Struct, frozen=True):
    """One measurement. `key` is the library's name ("temperature", "humidity_2", "door"), `unit` may be empty."""

    key: str
    value: Value
    unit: str = ""


class Event(Struct, frozen=True):
    """Something that happened: a button pressed ("button", "press"), a dimmer turned (with `steps`)."""

    key: str
    event: str
    properties: dict[str, str | int | float | None] = {}


class Heard(Struct, frozen=True):
    """What one advertisement told."""

    readings: tuple[Reading, ...] = ()
    events: tuple[Event, ...] = ()


class _Info(Struct):
    """An advertisement as the library takes it."""

    name: str
    address: str
    rssi: int
    service_data: dict[str, bytes]
    time: float
    manufacturer_data: dict[int, bytes] = {}
    service_uuids: tuple[str, ...] = ()
    source: str = ""


class Sensor:
    """One sensor, by its address. `bind_key` (16 octets) where it enciphers: what it says in clear is not heard then.

    `counter` is the last one accepted; keep it, or old advertisements can be played again after a restart. A sensor
    whose counter begins again (a new battery, in some) must be given again with its key.
    """

    def __init__(self, bind_key: bytes | None = None, *, counter: int = -1) -> None:
        if bind_key is not None and len(bind_key) != KEY_OCTETS:
            raise WrongKey("a bind key has 16 octets")
        self.counter = counter
        self._key = bind_key
        self._packet: tuple[float, float] | None = None

    def hear(self, advert: Advertisement, now: float) -> Heard | None:
        """What it tells; None where that was told before. `now` in seconds, of any clock that only goes forward.

        Raises Malformed, and WrongKey where it does not decipher, or is in clear though there is a key.
        """
        kind = kind_of(advert)
        if not isinstance(kind, BTHome):
            raise Malformed("no BTHome")
        if kind.encrypted:
            return self._enciphered(advert, now)
        if self._key is not None:
            raise WrongKey("in clear, though there is a key")
        return self._new(*_parse(advert, None, now), now)

    def _enciphered(self, advert: Advertisement, now: float) -> Heard | None:
        data = advert.service_data[BTHOME]
        if self._key is None:
            raise WrongKey("enciphered, and no key is known")
        if len(data) < 1 + 8:
            raise Malformed("too short to be enciphered")
        counter = int.from_bytes(data[-8:-4], "little")
        if counter <= self.counter:
            return None
        heard, parser = _parse(advert, self._key, now)
        if not parser.bindkey_verified:
            raise WrongKey("does not decipher")
        self.counter = counter
        return heard

    def _new(self, heard: Heard, parser: BTHomeBluetoothDeviceData, now: float) -> Heard | None:
        if parser.packet_id is None:
            return heard
        last, self._packet = self._packet, (parser.packet_id, now)
        repeated = last is not None and last[0] == parser.packet_id and now - last[1] < REPEAT_S
        return None if repeated else heard


def _parse(advert: Advertisement, key: bytes | None, now: float) -> tuple[Heard, BTHomeBluetoothDeviceData]:
    parser = BTHomeBluetoothDeviceData(bindkey=key)
    info: Any = _Info(advert.name, advert.address, advert.rssi, {BTHOME: advert.service_data[BTHOME]}, now)
    try:
        update = parser.update(info)
    except (ValueError, IndexError, OverflowError) as error:
        raise Malformed("BTHome") from error
    return Heard(_readings(update), _events(update)), parser


def _readings(update: SensorUpdate) -> tuple[Reading, ...]:
    units = {
        key: str(described.native_unit_of_measurement or "") for key, described in update.entity_descriptions.items()
    }
    found = [(key.key, _plain(each.native_value), units.get(key, "")) for key, each in update.entity_values.items()]
    found += [(key.key, each.native_value, "") for key, each in update.binary_entity_values.items()]
    return tuple(
        Reading(key, value, unit) for key, value, unit in found if value is not None and key != "signal_strength"
    )


def _events(update: SensorUpdate) -> tuple[Event, ...]:
    return tuple(Event(key.key, each.event_type, each.event_properties or {}) for key, each in update.events.items())


def _plain(value: object) -> Value | None:
    """As a struct holds it: times as seconds since 1970, and no number that is none."""
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, int | float):
        return value if isfinite(value) else None
    return value if isinstance(value, str) else None


def points_of(heard: Heard) -> list[Point]:
    """What of it is in the table of kinds."""
    found = [point(each.key, each.value, each.unit) for each in heard.readings]
    found += [point(each.key, each.event, event=True) for each in heard.events]
    return [each for each in found if each is not None]
