"""Hearing groups: two marks, check and index, then up to four octets of data, in this order and none missing."""

from pairing.ez.crc8 import crc8
from pairing.ez.monitor.votes import Votes
from pairing.ez.numbers import GROUP_CRC_MASK, GROUP_DATA, GROUP_MARK, GROUP_SIZE

_LEAD = 2
"""How often a group must be heard: seven bits of check let one in a hundred swapped octets pass."""


class Groups:
    """`padded`: whether a last group is checked with zeros up to four octets, or as short as it is."""

    def __init__(self, size: int, *, padded: bool) -> None:
        self._groups = -(-size // GROUP_SIZE)
        self._size = size
        self._padded = padded
        self._votes = Votes(self._groups)
        self._marks: list[int] = []
        self._data: list[int] = []

    def take(self, value: int) -> bool:
        """Whether this value completed a group."""
        if GROUP_MARK <= value < GROUP_DATA:
            short = self._close()
            self._marks = [*self._marks[-1:], value]
            return short
        if GROUP_DATA <= value < 2 * GROUP_DATA:
            return self._take_data(value - GROUP_DATA)
        short = self._close()
        self._marks = []
        return short

    def record(self) -> bytes | None:
        """The whole record, once every group is there."""
        groups = self._votes.whole(0, self._groups, lead=_LEAD)
        return None if groups is None else b"".join(g.to_bytes(GROUP_SIZE, "big") for g in groups)[: self._size]

    def _take_data(self, octet: int) -> bool:
        if len(self._marks) < 2:
            return False
        self._data.append(octet)
        return len(self._data) == self._length() and self._close()

    def _length(self) -> int:
        last = self._marks[1] & GROUP_CRC_MASK == self._groups - 1
        return (self._size - 1) % GROUP_SIZE + 1 if last and not self._padded else GROUP_SIZE

    def _close(self) -> bool:
        """Check what there is of a group; in the last padded one only the octets that count must be."""
        if not self._data:
            return False
        (check, mark), data = self._marks, self._data
        self._marks, self._data = [], []
        index = mark & GROUP_CRC_MASK
        if len(data) < min(GROUP_SIZE, self._size - index * GROUP_SIZE):
            return False
        octets = bytes(data).ljust(GROUP_SIZE, b"\0")
        if crc8((index, *(octets if self._padded else data))) & GROUP_CRC_MASK != check & GROUP_CRC_MASK:
            return False
        self._votes.put(index, int.from_bytes(octets, "big"))
        return True
