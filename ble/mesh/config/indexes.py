"""Key indexes of 12 bits, packed two to three octets (MshPRT 1.1, 4.3.1.1)."""

from typing import Annotated, NamedTuple, TypeAlias

from ble.errors import Malformed
from ble.mesh.octets import Octets
from ble.mesh.wire import Codec, limited

MAX_INDEX = 0xFFF


class KeyPair(NamedTuple):
    """An application key's index and that of the network key it is bound to."""

    net: int
    app: int


def _checked(index: int) -> int:
    if not 0 <= index <= MAX_INDEX:
        raise Malformed(f"key index {index}")
    return index


def _pack_pair(pair: tuple[int, int]) -> bytes:
    return (_checked(pair[0]) | _checked(pair[1]) << 12).to_bytes(3, "little")


def _read_pair(octets: Octets) -> KeyPair:
    both = octets.number(3)
    return KeyPair(both & MAX_INDEX, both >> 12)


def _pack_list(indexes: tuple[int, ...]) -> bytes:
    pairs = zip(indexes[::2], indexes[1::2], strict=False)
    odd = _checked(indexes[-1]).to_bytes(2, "little") if len(indexes) % 2 else b""
    return b"".join(map(_pack_pair, pairs)) + odd


def _read_list(octets: Octets) -> tuple[int, ...]:
    found: list[int] = []
    while octets.left >= 3:
        found += _read_pair(octets)
    if octets.left:
        found.append(_checked(octets.u16()))
    return tuple(found)


Index: TypeAlias = Annotated[int, limited(2, MAX_INDEX)]
Pair: TypeAlias = Annotated[KeyPair, Codec(pack=_pack_pair, read=_read_pair)]
Indexes: TypeAlias = Annotated[tuple[int, ...], Codec(pack=_pack_list, read=_read_list)]
"""The last field of a message."""
