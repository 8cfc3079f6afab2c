"""What an advertisement is taken for, and that nothing heard can raise anything but the package's error."""

import contextlib
import random
import time

import pytest

from ble import adverts
from ble.adverts import kind_of
from ble.errors import BleError, Malformed
from ble.radio import Advertisement, uuid16

ID8, RANDOM8 = bytes(range(8)), bytes(range(8, 16))

KNOWN = [
    (adverts.MESH_PROVISIONING, bytes(range(16)) + b"\x80\x20", adverts.MeshUnprovisioned(bytes(range(16)), 0x8020)),
    (adverts.MESH_PROXY, b"\x00" + ID8, adverts.MeshProxy("network", network_id=ID8)),
    (adverts.MESH_PROXY, b"\x01" + ID8 + RANDOM8, adverts.MeshProxy("node", hash=ID8, random=RANDOM8)),
    (adverts.MESH_PROXY, b"\x02" + ID8 + RANDOM8, adverts.MeshProxy("private_network", hash=ID8, random=RANDOM8)),
    (adverts.MESH_PROXY, b"\x03" + ID8 + RANDOM8, adverts.MeshProxy("private_node", hash=ID8, random=RANDOM8)),
    (adverts.IMPROV, bytes.fromhex("020f00000000"), adverts.Improv(2, 15)),
    (adverts.BTHOME, bytes.fromhex("4002c409"), adverts.BTHome(False, False)),
    (adverts.BTHOME, bytes.fromhex("45"), adverts.BTHome(True, True)),
    (adverts.MATTER, bytes.fromhex("00000ff1ff008000"), adverts.Matter(3840, 0xFFF1, 0x8000)),
    (adverts.DOORSTEP, b"\x01abcdefghi", adverts.Ours(1, b"abcdefghi")),
]

MALFORMED = [
    (adverts.MESH_PROVISIONING, bytes(17)),
    (adverts.MESH_PROXY, b""),
    (adverts.MESH_PROXY, b"\x04" + bytes(16)),
    (adverts.MESH_PROXY, b"\x01" + bytes(15)),
    (adverts.IMPROV, bytes.fromhex("050000000000")),
    (adverts.IMPROV, b"\x01"),
    (adverts.BTHOME, b""),
    (adverts.BTHOME, b"\x20"),
    (adverts.MATTER, b"\x01" + bytes(7)),
    (adverts.DOORSTEP, b"\x01"),
]


@pytest.mark.parametrize(("service", "data", "kind"), KNOWN)
def test_what_is_known_is_recognised(service: str, data: bytes, kind: adverts.Kind) -> None:
    assert kind_of(Advertisement(address="A", service_data={service: data})) == kind


@pytest.mark.parametrize(("service", "data"), MALFORMED)
def test_what_claims_a_format_and_breaks_it_is_refused(service: str, data: bytes) -> None:
    with pytest.raises(Malformed):
        kind_of(Advertisement(address="A", service_data={service: data}))


def test_esp_provisioning_is_known_by_service_or_name() -> None:
    by_service = Advertisement(address="A", name="lamp", services=(adverts.ESP_PROVISIONING,))
    assert kind_of(by_service) == adverts.EspProvisioning("lamp")
    assert kind_of(Advertisement(address="A", name="PROV_1234")) == adverts.EspProvisioning("PROV_1234")


def test_anything_else_is_unknown() -> None:
    heard = Advertisement(address="A", name="TV", services=(uuid16(0x180F),), manufacturer_data={76: b"\x02"})
    assert kind_of(heard) == adverts.Unknown()


def _fuzz(count: int, seed: int) -> tuple[int, str]:
    """How long the slowest took, in nanoseconds, and what it was."""
    rng = random.Random(seed)
    services = sorted({service for service, _ in MALFORMED} | {uuid16(0x180F)})
    slowest = (0, "")
    for _ in range(count):
        service, data = rng.choice(services), rng.randbytes(rng.randrange(32))
        began = time.perf_counter_ns()
        with contextlib.suppress(BleError):
            kind_of(Advertisement(address="A", service_data={service: data}))
        slowest = max(slowest, (time.perf_counter_ns() - began, f"{service} {data.hex()}"))
    return slowest


def test_fuzzed_adverts_raise_only_our_error() -> None:
    _fuzz(5_000, 1)


@pytest.mark.full
def test_a_million_fuzzed_adverts_raise_only_our_error() -> None:
    took, what = _fuzz(1_000_000, 2)
    print(f"slowest advert: {took / 1000:.1f} us, {what}")
