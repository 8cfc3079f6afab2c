"""What an advertisement says its device is. Pure: it reads what was heard, and knows no radio."""

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct

from ble.errors import Malformed
from ble.radio import Advertisement, uuid16

MESH_PROVISIONING = uuid16(0x1827)
MESH_PROXY = uuid16(0x1828)
IMPROV = uuid16(0x4677)
BTHOME = uuid16(0xFCD2)
MATTER = uuid16(0xFFF6)
ESP_PROVISIONING = "021a9004-0382-4aea-bff4-6b3f1c5adfb4"
DOORSTEP = "d0025700-9a4b-4c3e-8f1d-6b0e5a7c2d10"
"""Our own profile: its service, and the key of its service data (one octet of flags, then 9 of the device's id)."""
SHORT_ID_SIZE = 9
"""Flags, service data and their heads then fill the 31 octets of an advertisement."""

_ESP_NAME = "PROV_"


class MeshUnprovisioned(Struct, frozen=True):
    """Mesh Protocol 1.1, 7.1.2.2.1: asks to be provisioned over GATT. `oob` are the OOB Information bits."""

    uuid: bytes
    oob: int


class MeshProxy(Struct, frozen=True):
    """Mesh Protocol 1.1, 7.2.2.2. `kind`: network, node, private_network, private_node.

    `network_id` with the first; `hash` and `random` with the others.
    """

    kind: str
    network_id: bytes = b""
    hash: bytes = b""
    random: bytes = b""


class Improv(Struct, frozen=True):
    """Improv Wi-Fi 2.0. `state`: 1 authorization required, 2 authorized, 3 provisioning, 4 provisioned."""

    state: int
    capabilities: int


class BTHome(Struct, frozen=True):
    """BTHome v2: readings are in the advertisement itself. `trigger`: it sends when something happens only."""

    encrypted: bool
    trigger: bool


class EspProvisioning(Struct, frozen=True):
    """ESP-IDF's protocomm over GATT; `name` is what the device is called on its label."""

    name: str


class Matter(Struct, frozen=True):
    """Matter Core 1.3, 5.4.2.5.6: ready for commissioning over BLE. Vendor and product are 0 where not told."""

    discriminator: int
    vendor: int
    product: int


class Ours(Struct, frozen=True):
    """A device of Doorstep's own profile."""

    flags: int
    short_id: bytes


class Unknown(Struct, frozen=True):
    """Nothing that we know."""


Kind: TypeAlias = MeshUnprovisioned | MeshProxy | Improv | BTHome | EspProvisioning | Matter | Ours | Unknown


def kind_of(heard: Advertisement) -> Kind:
    """What is this? The first of its service data that we know decides. Raises Malformed where that is not as said."""
    for uuid, read in _READERS.items():
        if uuid in heard.service_data:
            return read(heard.service_data[uuid])
    if ESP_PROVISIONING in heard.services or heard.name.startswith(_ESP_NAME):
        return EspProvisioning(heard.name)
    return Unknown()


def _sized(data: bytes, *sizes: int) -> None:
    if len(data) not in sizes:
        raise Malformed(f"service data of {len(data)} octets")


def _mesh_unprovisioned(data: bytes) -> MeshUnprovisioned:
    _sized(data, 18)
    return MeshUnprovisioned(data[:16], int.from_bytes(data[16:], "big"))


def _mesh_proxy(data: bytes) -> MeshProxy:
    if data[:1] == b"\x00":
        _sized(data, 9)
        return MeshProxy("network", network_id=data[1:])
    kind = {b"\x01": "node", b"\x02": "private_network", b"\x03": "private_node"}.get(data[:1])
    if kind is None:
        raise Malformed("mesh proxy identification of an unknown type")
    _sized(data, 17)
    return MeshProxy(kind, hash=data[1:9], random=data[9:])


def _improv(data: bytes) -> Improv:
    _sized(data, 6)
    if not 1 <= data[0] <= 4:
        raise Malformed("an Improv state that does not exist")
    return Improv(data[0], data[1])


def _bthome(data: bytes) -> BTHome:
    """https://bthome.io/format: bit 0 encryption, bit 2 trigger based, bits 5-7 version."""
    if not data:
        raise Malformed("BTHome without its device information")
    if data[0] >> 5 != 2:
        raise Malformed(f"BTHome of version {data[0] >> 5}")
    return BTHome(bool(data[0] & 1), bool(data[0] & 4))


def _matter(data: bytes) -> Matter:
    _sized(data, 8)
    if data[0]:
        raise Malformed("a Matter opcode other than commissionable")
    little = [int.from_bytes(data[at : at + 2], "little") for at in (1, 3, 5)]
    return Matter(little[0] & 0x0FFF, little[1], little[2])


def _ours(data: bytes) -> Ours:
    _sized(data, 1 + SHORT_ID_SIZE)
    return Ours(data[0], data[1:])


_READERS: dict[str, Callable[[bytes], Kind]] = {
    DOORSTEP: _ours,
    MESH_PROVISIONING: _mesh_unprovisioned,
    MESH_PROXY: _mesh_proxy,
    IMPROV: _improv,
    MATTER: _matter,
    BTHOME: _bthome,
}
