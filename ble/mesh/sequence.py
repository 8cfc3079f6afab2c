"""Sequence numbers, handed out from blocks that are on disk before any of them is used."""

from msgspec import Struct
from msgspec.structs import replace

from ble.errors import BleError
from ble.mesh.network import MAX_SEQ

BLOCK = 256
RATE = 10
"""Numbers a second that a node uses at most (100 in any 10 seconds: Mesh Protocol 1.1, 3.6.6)."""


class NumbersUsedUp(BleError):
    """No sequence number that is safe to use is left: none is reserved, or the IV index has to be updated first."""

    code = "numbers_used_up"
    retryable = True


class Reserved(Struct, frozen=True, kw_only=True):
    """What is on disk: under `iv_index` every number below `upto` counts as used.

    After a restore, numbers begin at `floor` under each index up to `floor_iv`: the lost past may have used those.
    """

    iv_index: int = 0
    upto: int = 0
    floor: int = 0
    floor_iv: int = -1

    def first(self, iv_index: int) -> int:
        """The first number under this index that no block on disk holds."""
        if iv_index == self.iv_index:
            return self.upto
        return self.floor if iv_index <= self.floor_iv else 0

    def extended(self, iv_index: int, count: int = BLOCK) -> "Reserved":
        """With `count` more, under the index that is sent with. Raises NumbersUsedUp."""
        if iv_index < self.iv_index:
            raise NumbersUsedUp("the IV index went back")
        start = self.first(iv_index)
        if start > MAX_SEQ:
            raise NumbersUsedUp("an IV update is due")
        return replace(self, iv_index=iv_index, upto=min(start + count, MAX_SEQ + 1))


class Sequence:
    """Hands out the numbers of blocks that are on disk. What a process did not use when it ended stays unused."""

    def __init__(self, reserved: Reserved) -> None:
        self.reserved = reserved
        self._next = reserved.upto

    def left(self, iv_index: int) -> int:
        """How many can be taken for this index."""
        return self.reserved.upto - self._next if iv_index == self.reserved.iv_index else 0

    def take(self, iv_index: int) -> int:
        """The next number. Raises NumbersUsedUp."""
        if self.left(iv_index) <= 0:
            raise NumbersUsedUp("no sequence number is reserved")
        self._next += 1
        return self._next - 1

    def written(self, reserved: Reserved) -> None:
        """`reserved` is on disk: its numbers may be used."""
        if reserved.iv_index != self.reserved.iv_index:
            self._next = self.reserved.first(reserved.iv_index)
        self.reserved = reserved
