"""Addresses as values (MshPRT 1.1, 3.4.2). Who gets which is the network state's to say."""

from enum import IntEnum

UNASSIGNED = 0x0000
MAX_UNICAST = 0x7FFF
FIRST_GROUP, LAST_GROUP = 0xC000, 0xFEFF


class Fixed(IntEnum):
    """The groups that always exist (table 3.5)."""

    ALL_PROXIES = 0xFFFC
    ALL_FRIENDS = 0xFFFD
    ALL_RELAYS = 0xFFFE
    ALL_NODES = 0xFFFF


def is_unicast(address: int) -> bool:
    return 0x0001 <= address <= MAX_UNICAST


def is_virtual(address: int) -> bool:
    return 0x8000 <= address <= 0xBFFF


def is_group(address: int) -> bool:
    """The fixed groups included."""
    return FIRST_GROUP <= address <= 0xFFFF


def can_subscribe(address: int) -> bool:
    """Whether a model may subscribe to this as a plain address: a group, but not the one of all nodes (4.3.2.19)."""
    return is_group(address) and address != Fixed.ALL_NODES
