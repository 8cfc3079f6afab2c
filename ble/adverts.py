"""What an advertisement says its sender is. Pure: `kind_of` takes one and answers with one of the structs here."""

from collections.abc import Callable
from enum import IntEnum
from typing import Final

from msgspec import Struct

from ble.errors import Malformed
from ble.radio import Advertisement, uuid16

DOORSTEP_SERVICE: Final = "d0025700-9a4b-4c3e-8f1d-6b0e5a7c2d10"
"""Doorstep's own GATT service; `pairing` says what runs over it."""

ESP_SERVICE: Final = "021a9004-0382-4aea-bff4-6b3f1c5adfb4"
"""ESP-IDF's default provisioning service. Applications may set another: the name is the second sign."""
ESP_NAME: Final = "PROV_"

MESH_PROVISIONING: Final = uuid16(0x1827)
MESH_PROXY: Final = uuid16(0x1828)
IMPROV: Final = uuid16(0x4677)
BTHOME: Final = uuid16(0xFCD2)
MATTER: Final = uuid16(0xFFF6)


class Unprovisioned(Struct, frozen=True, tag=True):
    """A mesh node of no network (Mesh Protocol 7.1.2.2.1). `oob` has the bits of its OOB Information."""

    device_uuid: bytes
    oob: int


class ProxyIdentity(IntEnum):
    """How a proxy says whose it is (Mesh Protocol 7.2.2.2)."""

    NETWORK = 0
    NODE = 1
    PRIVATE_NETWORK = 2
    PRIVATE_NODE = 3


class MeshProxy(Struct, frozen=True, tag=True):
    """A proxy of a mesh network: its `network_id` (8 octets) in clear, or a `hash` and a `random` (8 each)."""

    identity: ProxyIdentity
    network_id: bytes = b""
    hash: bytes = b""
    random: bytes = b""


class Improv(Struct, frozen=True, tag=True):
    """A device that takes Wi-Fi settings by Improv; `state` and `capabilities` as Improv numbers them."""

    state: int
    capabilities: int


class BTHome(Struct, frozen=True, tag=True):
    """A BTHome v2 sensor (`ble.bthome` reads it)."""

    encrypted: bool


class EspProvisioning(Struct, frozen=True, tag=True):
    """A device that takes Wi-Fi settings by ESP-IDF's protocomm."""


class Matter(Struct, frozen=True, tag=True):
    """A Matter device that waits to be commissioned (Matter Core 5.4.2.5.6)."""

    discriminator: int
    vendor: int
    product: int


class Doorstep(Struct, frozen=True, tag=True):
    """A device that offers Doorstep's own service."""


class Unknown(Struct, frozen=True, tag=True):
    """Nothing known here."""


Kind = Unprovisioned | MeshProxy | Improv | BTHome | EspProvisioning | Matter | Doorstep | Unknown


def kind_of(advert: Advertisement) -> Kind:
    """What its sender is. One that gives Improv data and has Doorstep's service too is Improv: it wants Wi-Fi first.

    Raises Malformed where service data of a known kind is not what that kind's specification says.
    """
    for service, parse in _PARSERS.items():
        if (data := advert.service_data.get(service)) is not None:
            return parse(data)
    if DOORSTEP_SERVICE in advert.services or DOORSTEP_SERVICE in advert.service_data:
        return Doorstep()
    if ESP_SERVICE in advert.services or advert.name.startswith(ESP_NAME):
        return EspProvisioning()
    return Unknown()


def kind_or_unknown(advert: Advertisement) -> Kind:
    """As `kind_of`; who says what is malformed is unknown."""
    try:
        return kind_of(advert)
    except Malformed:
        return Unknown()


def _unprovisioned(data: bytes) -> Unprovisioned:
    _long(data, 18)
    return Unprovisioned(data[:16], int.from_bytes(data[16:], "big"))


def _proxy(data: bytes) -> MeshProxy:
    _at_least(data, 1)
    if data[0] not in tuple(ProxyIdentity):
        raise Malformed("identification type of a mesh proxy")
    identity = ProxyIdentity(data[0])
    if identity is ProxyIdentity.NETWORK:
        _long(data, 9)
        return MeshProxy(identity, network_id=data[1:])
    _long(data, 17)
    return MeshProxy(identity, hash=data[1:9], random=data[9:])


def _improv(data: bytes) -> Improv:
    _at_least(data, 2)
    return Improv(state=data[0], capabilities=data[1])


def _bthome(data: bytes) -> BTHome:
    _at_least(data, 1)
    if data[0] >> 5 != 2:
        raise Malformed("version of BTHome")
    return BTHome(encrypted=bool(data[0] & 1))


def _matter(data: bytes) -> Matter:
    _at_least(data, 8)
    if data[0] != 0:
        raise Malformed("opcode of a Matter advertisement")
    return Matter(
        discriminator=int.from_bytes(data[1:3], "little") & 0xFFF,
        vendor=int.from_bytes(data[3:5], "little"),
        product=int.from_bytes(data[5:7], "little"),
    )


def _long(data: bytes, octets: int) -> None:
    if len(data) != octets:
        raise Malformed(f"service data of {len(data)} octets instead of {octets}")


def _at_least(data: bytes, octets: int) -> None:
    if len(data) < octets:
        raise Malformed(f"service data of {len(data)} octets, fewer than {octets}")


_PARSERS: Final[dict[str, Callable[[bytes], Kind]]] = {
    MESH_PROVISIONING: _unprovisioned,
    MESH_PROXY: _proxy,
    IMPROV: _improv,
    BTHOME: _bthome,
    MATTER: _matter,
}
