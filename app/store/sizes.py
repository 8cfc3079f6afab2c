"""A history that is bounded by its size as well as its age: by octets of all, and by rows of each writer, so that one
that says much loses its own oldest and nobody else's.

What is there is counted as it comes in, and after a start backwards from its end, in steps that nobody waits for.
"""

from collections import Counter
from collections.abc import Callable
from itertools import chain
from typing import Any, Final, TypeAlias

from msgspec import Struct

from app.store.retention import DAY_MS, KEEP
from app.store.tx import Tx

# Of one step, in the writer: about 2 ms of reading.
COUNTED_AT_ONCE: Final = 2_000
# What a sweep returns that has counted, and removed nothing yet.
AGAIN: Final = -1

# Of a row that was removed: its place, its octets, who wrote it.
Removed: TypeAlias = list[tuple[int, int, str]]


class _Found(Struct, frozen=True):
    """What was counted: how many rows, their octets, how many of each writer, and the last place looked at."""

    place: int
    rows: int = 0
    octets: int = 0
    of_writer: dict[str, int] = {}


class SizedHistory:
    """One table. `per` is the column of who wrote a row, `octets` SQL for how long one is, `order` its growing key.

    What it knows it learns after the commit that made it true: a step that is undone, or done twice, changes nothing.
    """

    def __init__(self, table: str, *, order: str, per: str, octets: str, batch: int) -> None:
        self._table = table
        self._order = order
        self._per = per
        self._size = octets
        self._batch = batch
        # Known are the rows after `_low`, up to `_high`.
        self._low = self._high = -1
        self._rows: Counter[str] = Counter()
        self.octets = 0
        # Told within the act that removes rows.
        self.on_removed: list[Callable[[Tx, Removed], None]] = []

    def sweep(self, tx: Tx) -> int:
        """Remove at most a batch; returns how many rows it was, or AGAIN."""
        if self._high < 0:
            self._begin(tx)
            return AGAIN
        new = self._count(tx, f"{self._order}>? ORDER BY {self._order}", self._high, "max")
        old = self._count(tx, f"{self._order}<=? ORDER BY {self._order} DESC", self._low, "min") if self._low else None
        tx.after(lambda: self._learn(new, old))
        if old is not None or new.rows == COUNTED_AT_ONCE:
            return AGAIN
        gone = self._aged(tx) or self._beyond(tx) or self._crowded(tx, new) or self._too_heavy(tx, new)
        for told in self.on_removed if gone else ():
            told(tx, gone)
        tx.after(lambda: self._forget(gone))
        return len(gone)

    # counting

    def _begin(self, tx: Tx) -> None:
        row = tx.one(f"SELECT coalesce(max({self._order}), 0) FROM {self._table}")  # noqa: S608 - our own names
        last = 0 if row is None else int(row[0])

        def start() -> None:
            self._low = self._high = last

        tx.after(start)

    def _count(self, tx: Tx, where: str, place: int, end: str) -> _Found:
        rows = f"SELECT {self._order} place, {self._per} who, {self._size} size FROM {self._table}"  # noqa: S608 - our own names
        some = f"{rows} WHERE {where} LIMIT {COUNTED_AT_ONCE}"
        found = tx.all(f"SELECT who, count(*), sum(size), {end}(place) FROM ({some}) GROUP BY who", (place,))  # noqa: S608 - our own names
        if not found:
            return _Found(place)
        last = (max if end == "max" else min)(row[3] for row in found)
        of_writer = {who: count for who, count, _, _ in found}
        return _Found(last, sum(of_writer.values()), sum(row[2] for row in found), of_writer)

    def _learn(self, new: _Found, old: _Found | None) -> None:
        self._high = new.place
        self._add(new)
        if old is not None:
            self._low = old.place - 1 if old.rows == COUNTED_AT_ONCE else 0
            self._add(old)

    def _add(self, found: _Found) -> None:
        self.octets += found.octets
        self._rows.update(found.of_writer)

    def _forget(self, gone: Removed) -> None:
        for place, octets, who in gone:
            if self._low < place <= self._high:
                self.octets -= octets
                self._rows[who] -= 1
                if not self._rows[who]:
                    del self._rows[who]

    # removing

    def _aged(self, tx: Tx) -> Removed:
        days = KEEP[self._table].keep_days or 0
        # The oldest alone are looked at: rows are in the order of time, give or take a clock that was set.
        oldest = f"SELECT {self._order}, at FROM {self._table} ORDER BY {self._order} LIMIT {self._batch}"  # noqa: S608 - our own names
        return self._remove(tx, f"SELECT {self._order} FROM ({oldest}) WHERE at<?", (tx.now - days * DAY_MS,))  # noqa: S608 - our own names

    def _beyond(self, tx: Tx) -> Removed:
        last = f"SELECT max({self._order}) FROM {self._table}"  # noqa: S608 - our own names
        return self._oldest(tx, f"{self._order}<=({last})-?", (KEEP[self._table].keep_rows,))

    def _crowded(self, tx: Tx, new: _Found) -> Removed:
        most = KEEP[self._table].keep_each
        if most is None:
            return []
        known = chain(self._rows, new.of_writer)
        counts = ((who, self._rows.get(who, 0) + new.of_writer.get(who, 0)) for who in known)
        who, rows = next(((who, rows) for who, rows in counts if rows > most), ("", most))
        return self._oldest(tx, f"{self._per}=?", (who,), rows - most) if rows > most else []

    def _too_heavy(self, tx: Tx, new: _Found) -> Removed:
        octets = self.octets + new.octets
        over = octets - (KEEP[self._table].keep_octets or octets)
        sql = f"SELECT {self._size} FROM {self._table} ORDER BY {self._order} LIMIT {self._batch}"  # noqa: S608 - our own names
        many = 0
        for (size,) in tx.all(sql) if over > 0 else ():
            if over <= 0:
                break
            many, over = many + 1, over - size
        return self._oldest(tx, "true", (), many) if many else []

    def _oldest(self, tx: Tx, where: str, args: tuple[Any, ...], most: int | None = None) -> Removed:
        many = self._batch if most is None else min(most, self._batch)
        sql = f"SELECT {self._order} FROM {self._table} WHERE {where} ORDER BY {self._order} LIMIT {many}"  # noqa: S608 - our own names
        return self._remove(tx, sql, args)

    def _remove(self, tx: Tx, which: str, args: tuple[Any, ...]) -> Removed:
        returning = f"RETURNING {self._order}, {self._size}, {self._per}"
        return tx.all(f"DELETE FROM {self._table} WHERE {self._order} IN ({which}) {returning}", args)  # noqa: S608 - our own names
