"""A lock for each of many things, of which few are wanted at a time."""

import asyncio
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Locks(Generic[K]):
    """A thing's lock lives as long as somebody wants it."""

    def __init__(self) -> None:
        self._wanted: dict[K, tuple[asyncio.Lock, int]] = {}

    @contextmanager
    def of(self, key: K) -> Iterator[asyncio.Lock]:
        """Its lock, to be acquired within the block."""
        lock, wanted = self._wanted.get(key, (asyncio.Lock(), 0))
        self._wanted[key] = lock, wanted + 1
        try:
            yield lock
        finally:
            left = self._wanted[key][1] - 1
            if left:
                self._wanted[key] = lock, left
            else:
                del self._wanted[key]
