"""Advertising data in octets (Core Specification Supplement, Part A): what devices say, and what was heard of it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ble.radio import Advertisement, uuid16

LEGACY_OCTETS: Final = 31
FLAGS: Final = b"\x02\x01\x06"
"""General discoverable, no classic Bluetooth."""

_BASE: Final = uuid16(0)[8:]


def adverts_of(
    services: Sequence[str], service_data: Mapping[str, bytes], manufacturer_data: Mapping[int, bytes], name: str
) -> tuple[bytes, bytes]:
    """An advertisement and its scan response, which holds the name. Raises ValueError for what is too long."""
    parts = [FLAGS]
    for size, kind in ((2, 0x03), (16, 0x07)):
        if uuids := [octets for each in services if len(octets := _little(each)) == size]:
            parts.append(_part(kind, b"".join(uuids)))
    for each, data in service_data.items():
        uuid = _little(each)
        parts.append(_part(0x16 if len(uuid) == 2 else 0x21, uuid + data))
    parts += [_part(0xFF, company.to_bytes(2, "little") + data) for company, data in manufacturer_data.items()]
    said, answered = b"".join(parts), _part(0x09, name.encode()) if name else b""
    if max(len(said), len(answered)) > LEGACY_OCTETS:
        raise ValueError(f"{len(said)} and {len(answered)} octets, where {LEGACY_OCTETS} is the most")
    return said, answered


def heard(address: str, rssi: int, structures: Iterable[tuple[int, bytes]]) -> Advertisement:
    """What the structures (type, octets) of an advertisement say; what is cut short in them is left out."""
    name, services = "", list[str]()
    service_data, manufacturer_data = dict[str, bytes](), dict[int, bytes]()
    for kind, data in structures:
        if kind in (0x08, 0x09):
            name = data.decode(errors="replace")
        elif kind in (0x02, 0x03, 0x06, 0x07):
            size = 2 if kind < 0x06 else 16
            services += [uuid_text(data[at : at + size]) for at in range(0, len(data) - size + 1, size)]
        elif kind in (0x16, 0x21) and len(data) >= (size := 2 if kind == 0x16 else 16):
            service_data[uuid_text(data[:size])] = data[size:]
        elif kind == 0xFF and len(data) >= 2:
            manufacturer_data[int.from_bytes(data[:2], "little")] = data[2:]
    return Advertisement(
        address=address,
        name=name,
        rssi=rssi,
        services=tuple(services),
        service_data=service_data,
        manufacturer_data=manufacturer_data,
    )


def _part(kind: int, data: bytes) -> bytes:
    return bytes([1 + len(data), kind]) + data


def _little(uuid: str) -> bytes:
    """Two octets where the UUID is a short one, else sixteen."""
    octets = bytes.fromhex(uuid.replace("-", ""))[::-1]
    return octets[12:14] if uuid.endswith(_BASE) and uuid.startswith("0000") else octets


def uuid_text(little: bytes) -> str:
    """The UUID of two or sixteen octets, the lowest first, as they go through the air."""
    if len(little) == 2:
        return uuid16(int.from_bytes(little, "little"))
    text = little[::-1].hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
