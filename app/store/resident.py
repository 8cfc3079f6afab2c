"""Tables that are read from memory: loaded at start, changed only by the writer, after the commit."""

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from app.store.tx import Reader, Tx

K = TypeVar("K")
V = TypeVar("V")


class Resident(Generic[K, V]):
    """A dict of what is on disk. `watch` is told of every change (key, old, new), to keep indexes."""

    def __init__(self, load: Callable[[Reader], Iterable[tuple[K, V]]]) -> None:
        self._load = load
        self._items: dict[K, V] = {}
        self._watchers: list[Callable[[K, V | None, V | None], None]] = []
        self.get = self._items.get

    def load(self, reader: Reader) -> None:
        """Read everything; called once, before the first request."""
        for key, value in self._load(reader):
            self.change(key, value)

    def watch(self, fn: Callable[[K, V | None, V | None], None]) -> None:
        """Have `fn(key, old, new)` called at each change, and for each item as it is loaded."""
        self._watchers.append(fn)

    def put(self, tx: Tx, key: K, value: V) -> None:
        """`value` is what others read once `tx` is on disk."""
        tx.after(lambda: self.change(key, value))

    def drop(self, tx: Tx, key: K) -> None:
        """Nobody reads `key` any more once `tx` is on disk."""
        tx.after(lambda: self.change(key, None))

    def change(self, key: K, new: V | None) -> None:
        """`new` (None: nothing) is on disk; for hooks that run after a commit, all others `put` or `drop`."""
        old = self._items.get(key)
        if new is None:
            self._items.pop(key, None)
        else:
            self._items[key] = new
        for fn in self._watchers:
            fn(key, old, new)

    def values(self) -> Iterator[V]:
        """Everything, in no promised order."""
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, key: K) -> bool:
        return key in self._items
