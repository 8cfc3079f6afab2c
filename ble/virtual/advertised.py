"""Advertising data, written and read (Bluetooth Core Supplement, Part A). Pure."""

from uuid import UUID

from msgspec import Struct

from ble.radio import Advertisement, uuid16

_SHORT_TAIL = uuid16(0)[8:]
_MAX = 31


class Advert(Struct, frozen=True, kw_only=True):
    """What a device says of itself. Name and 128-bit services go into the scan response, the rest before it."""

    name: str = ""
    services: tuple[str, ...] = ()
    service_data: dict[str, bytes] = {}
    manufacturer_data: dict[int, bytes] = {}
    connectable: bool = True


def encoded(advert: Advert) -> tuple[bytes, bytes]:
    """Advertising data and scan response, at most 31 octets each. Raises ValueError where it does not fit."""
    first, second = [_field(0x01, b"\x06")], []
    short, full = _split(advert.services)
    if short:
        first.append(_field(0x03, short))
    if full:
        second.append(_field(0x07, full))
    for uuid, data in advert.service_data.items():
        packed, is_short = _packed(uuid)
        first.append(_field(0x16 if is_short else 0x21, packed + data))
    first += [_field(0xFF, one.to_bytes(2, "little") + data) for one, data in advert.manufacturer_data.items()]
    if advert.name:
        second.append(_field(0x09, advert.name.encode()))
    if max(len(b"".join(first)), len(b"".join(second))) > _MAX:
        raise ValueError("more than a legacy advertisement holds")
    return b"".join(first), b"".join(second)


def decoded(address: str, rssi: int, data: bytes) -> Advertisement:
    """What was heard; fields that are cut short or unknown are left out."""
    name, services = "", []
    service_data: dict[str, bytes] = {}
    manufacturer_data: dict[int, bytes] = {}
    for kind, value in _fields(data):
        if kind in (0x02, 0x03):
            services += [_unpacked(value[at : at + 2]) for at in range(0, len(value) - 1, 2)]
        elif kind in (0x06, 0x07):
            services += [_unpacked(value[at : at + 16]) for at in range(0, len(value) - 15, 16)]
        elif kind in (0x08, 0x09):
            name = value.decode(errors="replace")
        elif kind in _SERVICE_DATA and len(value) >= (size := _SERVICE_DATA[kind]):
            service_data[_unpacked(value[:size])] = value[size:]
        elif kind == 0xFF and len(value) >= 2:
            manufacturer_data[int.from_bytes(value[:2], "little")] = value[2:]
    return Advertisement(
        address=address,
        name=name,
        rssi=rssi,
        services=tuple(services),
        service_data=service_data,
        manufacturer_data=manufacturer_data,
    )


_SERVICE_DATA = {0x16: 2, 0x21: 16}


def _field(kind: int, value: bytes) -> bytes:
    return bytes([len(value) + 1, kind]) + value


def _fields(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at + 1 < len(data) and data[at] and at + data[at] < len(data):
        found.append((data[at + 1], data[at + 2 : at + 1 + data[at]]))
        at += 1 + data[at]
    return found


def _packed(uuid: str) -> tuple[bytes, bool]:
    if uuid.startswith("0000") and uuid.endswith(_SHORT_TAIL):
        return int(uuid[4:8], 16).to_bytes(2, "little"), True
    return UUID(uuid).bytes[::-1], False


def _unpacked(value: bytes) -> str:
    return uuid16(int.from_bytes(value, "little")) if len(value) == 2 else str(UUID(bytes=value[::-1]))


def _split(services: tuple[str, ...]) -> tuple[bytes, bytes]:
    packed = [_packed(one) for one in services]
    return b"".join(p for p, short in packed if short), b"".join(p for p, short in packed if not short)
