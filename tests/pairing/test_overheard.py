"""Who is heard over Bluetooth: what is taken for a device that could be paired, and what is made of hostile octets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ble.adverts import BTHOME, DOORSTEP_SERVICE, ESP_SERVICE, IMPROV, MATTER, MESH_PROVISIONING, MESH_PROXY
from ble.radio import Advertisement
from pairing.gatt.profile import announcement
from pairing.identity import peer_id
from pairing.overheard import Overheard, overheard

ADDRESS = "D0:00:00:00:00:01"
FINGERPRINT = bytes(range(1, 16))
ID = peer_id("d", FINGERPRINT)


def advert(service: str = "", data: bytes = b"", *, services: tuple[str, ...] = (), name: str = "") -> Advertisement:
    given = {service: data} if service else {}
    return Advertisement(address=ADDRESS, name=name, services=services, service_data=given)


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        (
            advert(DOORSTEP_SERVICE, announcement(FINGERPRINT, paired=False, pin=True), name="Lamp\x00"),
            Overheard(id=ID[:16], method="ble", address=ADDRESS, name="Lamp", auth="pin", mark=True),
        ),
        (
            advert(DOORSTEP_SERVICE, announcement(FINGERPRINT, paired=False, pin=False)),
            Overheard(id=ID[:16], method="ble", address=ADDRESS, auth="open", mark=True),
        ),
        (
            advert(IMPROV, b"\x02\x01\x00\x00\x00\x00", name="Plug"),
            Overheard(id="ble-d00000000001", method="ble_wifi", address=ADDRESS, name="Plug", auth="open"),
        ),
        (
            advert(IMPROV, b"\x01\x01"),
            Overheard(id="ble-d00000000001", method="ble_wifi", address=ADDRESS, auth="button"),
        ),
        (
            advert(services=(ESP_SERVICE,), name="PROV_1"),
            Overheard(id="ble-d00000000001", method="ble_wifi", address=ADDRESS, name="PROV_1"),
        ),
        (
            advert(MESH_PROVISIONING, bytes(range(16)) + b"\0\0"),
            Overheard(id="mesh-000102030405060708090a0b0c0d0e0f", method="mesh", address=ADDRESS),
        ),
        (advert(DOORSTEP_SERVICE, announcement(FINGERPRINT, paired=True, pin=True)), None),
        (advert(IMPROV, b"\x04\x01"), None),  # it has its network
        (advert(IMPROV, b"\x63\x01"), None),
        (advert(IMPROV, b""), None),
        (advert(MATTER, b"\0\xf0\x0f\x01\x00\x02\x00\x00"), None),
        (advert(MESH_PROXY, b"\0" + bytes(8)), None),
        (advert(name="somebody's watch"), None),
    ],
)
def test_who_could_be_paired(heard: Advertisement, expected: Overheard | None) -> None:
    assert overheard(heard) == expected


SERVICES = (DOORSTEP_SERVICE, IMPROV, ESP_SERVICE, MESH_PROVISIONING, MESH_PROXY, BTHOME, MATTER)


@given(
    st.builds(
        Advertisement,
        address=st.text(max_size=80),
        name=st.text(max_size=300),
        services=st.lists(st.sampled_from(SERVICES), max_size=3).map(tuple),
        service_data=st.dictionaries(st.sampled_from(SERVICES), st.binary(max_size=31), max_size=3),
    )
)
def test_whatever_is_advertised_becomes_short_clean_text_or_nothing(heard: Advertisement) -> None:
    device = overheard(heard)
    if device is not None:
        assert 0 < len(device.id) <= 64
        assert all(text.isprintable() and len(text) <= 64 for text in (device.id, device.name, device.address))
