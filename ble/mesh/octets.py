"""A cursor over octets that came from outside: whatever is missing or left over raises Malformed, and nothing else."""

from typing import Literal

from ble.errors import Malformed

Order = Literal["little", "big"]


class Octets:
    """Takes fields from `data` one after another. Numbers are little-endian, as in the access layer, unless told."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise Malformed(f"{count} octets wanted, {self.left} left")
        self._at += count
        return self._data[self._at - count : self._at]

    def rest(self) -> bytes:
        return self.take(self.left)

    def number(self, size: int, order: Order = "little") -> int:
        return int.from_bytes(self.take(size), order)

    def u8(self) -> int:
        return self.number(1)

    def u16(self) -> int:
        return self.number(2)

    def i16(self) -> int:
        return int.from_bytes(self.take(2), "little", signed=True)

    def end(self) -> None:
        if self.left:
            raise Malformed(f"{self.left} octets too many")


def u16(value: int) -> bytes:
    """Two octets, little-endian."""
    return value.to_bytes(2, "little")
