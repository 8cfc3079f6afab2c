"""Advertisements: what each kind looks like, and that no octets bring anything but the package's error."""

import time
from contextlib import suppress
from random import Random

import pytest

from ble.adverts import (
    BTHOME,
    DOORSTEP_SERVICE,
    ESP_SERVICE,
    IMPROV,
    MATTER,
    MESH_PROVISIONING,
    MESH_PROXY,
    BTHome,
    Doorstep,
    EspProvisioning,
    Improv,
    Kind,
    Matter,
    MeshProxy,
    ProxyIdentity,
    Unknown,
    Unprovisioned,
    kind_of,
)
from ble.bthome import Sensor
from ble.errors import BleError, Malformed
from ble.radio import Advertisement

UUID = bytes(range(16))
HASH, RANDOM = bytes.fromhex("0102030405060708"), bytes.fromhex("1112131415161718")

SEEN: list[tuple[str, bytes, Kind]] = [
    (MESH_PROVISIONING, UUID + b"\x40\x20", Unprovisioned(UUID, 0x4020)),
    (MESH_PROXY, b"\x00" + HASH, MeshProxy(ProxyIdentity.NETWORK, network_id=HASH)),
    (MESH_PROXY, b"\x01" + HASH + RANDOM, MeshProxy(ProxyIdentity.NODE, hash=HASH, random=RANDOM)),
    (MESH_PROXY, b"\x02" + HASH + RANDOM, MeshProxy(ProxyIdentity.PRIVATE_NETWORK, hash=HASH, random=RANDOM)),
    (MESH_PROXY, b"\x03" + HASH + RANDOM, MeshProxy(ProxyIdentity.PRIVATE_NODE, hash=HASH, random=RANDOM)),
    (IMPROV, bytes.fromhex("020f00000000"), Improv(state=2, capabilities=15)),
    (BTHOME, bytes.fromhex("40020a09"), BTHome(encrypted=False)),
    (BTHOME, bytes.fromhex("41a47266c95f730011223378237214"), BTHome(encrypted=True)),
    # Matter Core 5.4.2.5.6: discriminator 0xF00 of advertisement version 0, test vendor 0xFFF1, product 0x8000
    (MATTER, bytes.fromhex("00000ff1ff008000"), Matter(0xF00, 0xFFF1, 0x8000)),
    (MATTER, bytes.fromhex("00001ff1ff008000"), Matter(0xF00, 0xFFF1, 0x8000)),
]


@pytest.mark.parametrize(("service", "data", "kind"), SEEN)
def test_service_data_says_what_a_device_is(service: str, data: bytes, kind: Kind) -> None:
    assert kind_of(Advertisement(address="a", service_data={service: data})) == kind


def test_services_and_names_say_the_rest() -> None:
    assert kind_of(Advertisement(address="a", services=(DOORSTEP_SERVICE,))) == Doorstep()
    assert kind_of(Advertisement(address="a", services=(ESP_SERVICE,))) == EspProvisioning()
    assert kind_of(Advertisement(address="a", name="PROV_12ab")) == EspProvisioning()
    assert kind_of(Advertisement(address="a", name="lamp", services=(MESH_PROXY,))) == Unknown()


def test_a_device_with_both_services_is_told_its_wifi_first() -> None:
    both = Advertisement(address="a", services=(DOORSTEP_SERVICE,), service_data={IMPROV: b"\x02\x00\0\0\0\0"})
    assert kind_of(both) == Improv(2, 0)


@pytest.mark.parametrize(("service", "data", "kind"), SEEN)
def test_what_is_cut_short_is_refused(service: str, data: bytes, kind: Kind) -> None:
    with pytest.raises(Malformed):
        kind_of(Advertisement(address="a", service_data={service: data[: 1 if service == IMPROV else 0]}))


def _fuzz(rounds: int) -> None:
    chance = Random(rounds)
    slowest, worst = 0, b""
    for _ in range(rounds):
        service, said, _ = chance.choice(SEEN)
        data = said[: chance.randrange(len(said) + 1)] + chance.randbytes(chance.choice((0, 0, 1, 4, 20)))
        if data and chance.random() < 0.5:
            at = chance.randrange(len(data))
            data = data[:at] + chance.randbytes(1) + data[at + 1 :]
        advert = Advertisement(address="A4:C1:38:8D:18:B2", service_data={service: data})
        began = time.perf_counter_ns()
        with suppress(BleError):
            kind_of(advert)
        if service == BTHOME:
            for sensor in (Sensor(), Sensor(UUID)):
                with suppress(BleError):
                    sensor.hear(advert, 0.0)
        took = time.perf_counter_ns() - began
        if took > slowest:
            slowest, worst = took, data
    print(f"\nadvertisements: {rounds} inputs, the slowest {slowest / 1e6:.2f} ms ({worst.hex()})")


def test_any_octets_are_known_or_refused() -> None:
    _fuzz(10_000)


@pytest.mark.full
def test_any_octets_are_known_or_refused_a_million_times() -> None:
    _fuzz(1_000_000)
