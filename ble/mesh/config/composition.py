"""Composition Data page 0: what a node is made of (MshPRT 1.1, 4.2.2.1)."""

from enum import IntFlag

from msgspec import Struct

from ble.errors import Malformed
from ble.mesh.model_id import ModelId
from ble.mesh.octets import Octets, u16


class Features(IntFlag):
    """What a node can be for others (table 4.3)."""

    RELAY = 1
    PROXY = 2
    FRIEND = 4
    LOW_POWER = 8


class Element(Struct, frozen=True):
    """An addressable part of a node. `location` is one of the GATT namespace descriptors."""

    location: int
    models: tuple[ModelId, ...]


class Composition(Struct, frozen=True, kw_only=True):
    """Company, product and version ids, the replay list's size, and the elements in the order of their addresses."""

    company: int
    product: int
    version: int
    replay_list: int
    features: int
    elements: tuple[Element, ...]

    def pack(self) -> bytes:
        head = (self.company, self.product, self.version, self.replay_list, self.features)
        return b"".join(map(u16, head)) + b"".join(map(_pack_element, self.elements))


def _pack_element(element: Element) -> bytes:
    sig = [model for model in element.models if model.company is None]
    vendor = [model for model in element.models if model.company is not None]
    return b"".join(
        (
            u16(element.location),
            bytes([len(sig), len(vendor)]),
            *(u16(model.number) for model in sig),
            *(u16(model.company or 0) + u16(model.number) for model in vendor),
        )
    )


def unpack(page: bytes) -> Composition:
    """Raises Malformed. A node has at least one element."""
    octets = Octets(page)
    company, product, version, replay_list, features = (octets.u16() for _ in range(5))
    elements = []
    while octets.left:
        elements.append(_read_element(octets))
    if not elements:
        raise Malformed("a composition without elements")
    return Composition(
        company=company,
        product=product,
        version=version,
        replay_list=replay_list,
        features=features,
        elements=tuple(elements),
    )


def _read_element(octets: Octets) -> Element:
    location, sig, vendor = octets.u16(), octets.u8(), octets.u8()
    models = [ModelId(octets.u16()) for _ in range(sig)]
    for _ in range(vendor):
        company = octets.u16()
        models.append(ModelId(octets.u16(), company))
    return Element(location, tuple(models))
