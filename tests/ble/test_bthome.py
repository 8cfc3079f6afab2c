"""BTHome v2: readings, ciphers, and what was said before.

The enciphered advertisement is the worked example of https://bthome.io/encryption/ (key, address, data, readings).
"""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from ble.adverts import BTHOME
from ble.bthome import Event, Heard, Reading, Sensor
from ble.errors import Malformed, WrongKey
from ble.radio import Advertisement

KEY = bytes.fromhex("231d39c1d7cc1ab1aee224cd096db932")
ADDRESS = "54:48:E6:8F:80:A5"
EXAMPLE = bytes.fromhex("41a47266c95f730011223378237214")


def advert(data: bytes) -> Advertisement:
    return Advertisement(address=ADDRESS, rssi=-60, service_data={BTHOME: data})


def enciphered(said: bytes, counter: int, key: bytes = KEY) -> Advertisement:
    """As https://bthome.io/encryption/ has it: nonce of address, UUID, device information and counter."""
    count = counter.to_bytes(4, "little")
    nonce = bytes.fromhex(ADDRESS.replace(":", "")) + b"\xd2\xfc\x41" + count
    sealed = AESCCM(key, tag_length=4).encrypt(nonce, said, None)
    return advert(b"\x41" + sealed[:-4] + count + sealed[-4:])


def test_the_published_example_deciphers() -> None:
    heard = Sensor(KEY).hear(advert(EXAMPLE), 0.0)
    assert heard == Heard((Reading("temperature", 25.06, "°C"), Reading("humidity", 50.55, "%")))


def test_readings_events_and_several_of_a_kind() -> None:
    heard = Sensor().hear(advert(bytes.fromhex("4001610242ff02ca093a01")), 0.0)
    assert heard is not None
    assert heard.readings == (
        Reading("battery", 97.0, "%"),
        Reading("temperature_1", -1.9, "°C"),
        Reading("temperature_2", 25.06, "°C"),
    )
    assert heard.events == (Event("button", "press"),)
    assert Sensor().hear(advert(bytes.fromhex("401a01")), 0.0) == Heard((Reading("door", True),))


def test_an_old_counter_tells_nothing_whatever_came_between() -> None:
    sensor = Sensor(KEY)
    told = enciphered(bytes.fromhex("02ca09"), 50)
    assert sensor.hear(told, 0.0) is not None
    assert sensor.hear(told, 9.0) is None
    for _ in range(3):  # what makes the library itself forget
        with pytest.raises(WrongKey):
            sensor.hear(enciphered(b"\x01\x01", 90, bytes(16)), 10.0)
    assert sensor.hear(enciphered(bytes.fromhex("02ca09"), 49), 11.0) is None
    assert sensor.counter == 50
    assert sensor.hear(enciphered(bytes.fromhex("0161"), 51), 12.0) == Heard((Reading("battery", 97.0, "%"),))
    assert Sensor(KEY, counter=sensor.counter).hear(told, 0.0) is None


def test_what_is_in_clear_is_not_heard_from_a_sensor_with_a_key() -> None:
    with pytest.raises(WrongKey):
        Sensor(KEY).hear(advert(bytes.fromhex("400161")), 0.0)
    with pytest.raises(WrongKey):
        Sensor().hear(advert(EXAMPLE), 0.0)
    with pytest.raises(WrongKey):
        Sensor(b"short")


def test_a_packet_sent_again_tells_nothing() -> None:
    sensor = Sensor()
    pressed = advert(bytes.fromhex("4000093a01"))
    assert sensor.hear(pressed, 0.0) == Heard((Reading("packet_id", 9.0),), (Event("button", "press"),))
    assert sensor.hear(pressed, 1.0) is None
    assert sensor.hear(advert(bytes.fromhex("40000a3a01")), 2.0) is not None
    assert sensor.hear(advert(bytes.fromhex("40000a3a01")), 9.0) is not None


def test_another_version_is_refused() -> None:
    with pytest.raises(Malformed):
        Sensor().hear(advert(bytes.fromhex("200161")), 0.0)
