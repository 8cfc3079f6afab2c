"""Proxy configuration (Mesh Protocol 1.1, 6.6): which destinations a proxy passes on to us."""

from collections.abc import Iterable
from enum import IntEnum
from typing import TypeAlias

from msgspec import Struct

from ble.errors import Malformed

ADDRESSES_AT_ONCE = 5
"""Addresses in a message that is not segmented (a control message carries 11 octets)."""

_SET, _ADD, _REMOVE, _STATUS = range(4)


class FilterType(IntEnum):
    """Whether the list says what is let through, or what is not."""

    ACCEPT = 0
    REJECT = 1


class SetType(Struct, frozen=True):
    """Choose the type; the list is empty after it. Answered with a Status."""

    filter_type: FilterType


class Add(Struct, frozen=True):
    """Put addresses on the list. Some proxies do not answer it."""

    addresses: tuple[int, ...]


class Remove(Struct, frozen=True):
    """Take addresses off the list."""

    addresses: tuple[int, ...]


class Status(Struct, frozen=True):
    """The type in use, and how many addresses are on the list."""

    filter_type: FilterType
    size: int


class Other(Struct, frozen=True):
    """A message of a kind we do not use (directed forwarding's, for one)."""

    opcode: int
    parameters: bytes


Configuration: TypeAlias = SetType | Add | Remove | Status | Other


def pack(message: Configuration) -> bytes:
    """Its octets, as the payload of a network PDU."""
    match message:
        case SetType(filter_type):
            return bytes((_SET, filter_type))
        case Add(addresses):
            return bytes((_ADD,)) + _packed(addresses)
        case Remove(addresses):
            return bytes((_REMOVE,)) + _packed(addresses)
        case Status(filter_type, size):
            return bytes((_STATUS, filter_type)) + size.to_bytes(2, "big")
        case Other(opcode, parameters):
            return bytes((opcode,)) + parameters


def read(data: bytes) -> Configuration:
    """Raises Malformed."""
    if not data:
        raise Malformed("empty proxy configuration")
    opcode, rest = data[0], data[1:]
    if opcode == _SET and len(rest) == 1:
        return SetType(_type(rest[0]))
    if opcode in (_ADD, _REMOVE) and rest and len(rest) % 2 == 0:
        addresses = tuple(int.from_bytes(rest[at : at + 2], "big") for at in range(0, len(rest), 2))
        return Add(addresses) if opcode == _ADD else Remove(addresses)
    if opcode == _STATUS and len(rest) == 3:
        return Status(_type(rest[0]), int.from_bytes(rest[1:], "big"))
    if opcode <= _STATUS:
        raise Malformed("proxy configuration of no such length")
    return Other(opcode, rest)


def additions(addresses: Iterable[int]) -> Iterable[Add]:
    """As many messages as these addresses need."""
    wanted = tuple(sorted(set(addresses)))
    return (Add(wanted[at : at + ADDRESSES_AT_ONCE]) for at in range(0, len(wanted), ADDRESSES_AT_ONCE))


def _packed(addresses: tuple[int, ...]) -> bytes:
    return b"".join(address.to_bytes(2, "big") for address in addresses)


def _type(octet: int) -> FilterType:
    if octet > FilterType.REJECT:
        raise Malformed("no such filter type")
    return FilterType(octet)
