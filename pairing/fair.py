"""A table that strangers fill: it holds so much and no more, and no source of it crowds out the others."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

V = TypeVar("V")


class FairTable(Generic[V]):
    """At most `most` rows, `most_per_source` of them from one source.

    A new row in a full table takes the place of the oldest row of the source that has most, never of a source that has
    as few as its own: one who fills the table has his own rows displaced, and displaces nobody's. `on_displaced` is
    told which.
    """

    def __init__(
        self, most: int, most_per_source: int, on_displaced: Callable[[str, V], None] = lambda key, value: None
    ) -> None:
        self._most = most
        self._most_per_source = most_per_source
        self._on_displaced = on_displaced
        self._rows: dict[str, tuple[str, V]] = {}
        self._of_source: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def get(self, key: str) -> V | None:
        row = self._rows.get(key)
        return None if row is None else row[1]

    def values(self) -> list[V]:
        """Every row's, oldest first."""
        return [value for _, value in self._rows.values()]

    def put(self, key: str, source: str, value: V) -> bool:
        """Keep `value`; a row that is there stays its first source's. False: there is no room for this source."""
        row = self._rows.get(key)
        if row is None and not self._make_room(source):
            return False
        kept_for = source if row is None else row[0]
        self._rows[key] = (kept_for, value)
        self._of_source[kept_for] += row is None
        return True

    def pop(self, key: str) -> V | None:
        """Take a row out; None where there is none."""
        row = self._rows.pop(key, None)
        if row is None:
            return None
        source, value = row
        self._of_source[source] -= 1
        if not self._of_source[source]:
            del self._of_source[source]
        return value

    def _make_room(self, source: str) -> bool:
        mine = self._of_source.get(source, 0)
        if mine >= self._most_per_source:
            return False
        if len(self._rows) < self._most:
            return True
        biggest, rows = self._of_source.most_common(1)[0]
        if rows <= mine + 1:
            return False
        self._displace(next(key for key, (of, _) in self._rows.items() if of == biggest))
        return True

    def _displace(self, key: str) -> None:
        value = self.pop(key)
        if value is not None:
            self._on_displaced(key, value)
