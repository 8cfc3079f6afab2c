"""Who is there: a node is away once several polls in a row had no answer, and back with the first word from it."""

from collections.abc import Callable

MISSES = 3


class Presence:
    """By primary unicast address. `told` is called with each change: the address, and whether it is away."""

    def __init__(self, told: Callable[[int, bool], None], misses: int = MISSES) -> None:
        self._told, self._misses = told, misses
        self._missed: dict[int, int] = {}

    def away(self, address: int) -> bool:
        return self._missed.get(address, 0) >= self._misses

    def heard(self, address: int) -> None:
        if self._missed.pop(address, 0) >= self._misses:
            self._told(address, False)

    def missed(self, address: int) -> None:
        """A poll had no answer, though a proxy carried it."""
        self._missed[address] = self._missed.get(address, 0) + 1
        if self._missed[address] == self._misses:
            self._told(address, True)

    def forget(self, address: int) -> None:
        self._missed.pop(address, None)
