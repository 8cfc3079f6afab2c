"""What a write function is given: the transaction, the time, and the rows every change leaves behind."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import msgspec
from msgspec import Struct

from app.clock import Moment
from app.ids import new_id
from app.policy import Action, Actor

Row = tuple[Any, ...]
# Each half of it is a statement of its own, kept prepared; SQLite takes 32,766 values.
ROWS_AT_ONCE = 64
_encode = msgspec.json.Encoder().encode

_WHO = "(at,account_id,credential_id,type,kind,entity_id,home_id,data) VALUES(?,?,?,?,?,?,?,?)"
_AUDIT = "INSERT INTO audit" + _WHO
_EVENT = (
    "INSERT INTO events(seq,at,type,kind,entity_id,home_id,account_id,device_id,sees,data) VALUES(?,?,?,?,?,?,?,?,?,?)"
)
# The highest number ever given, which survives pruning.
_LAST_NUMBER = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name=?), 0)"


class Change(Struct, frozen=True, gc=False):
    """One thing that happened, as told to the audit trail and to listeners.

    `type` is dotted: noun.verb (device.renamed). `sees` is the action a listener must be allowed on the resource to be
    told. `data` is the event's body: never a secret. `home_id` None means it concerns `account_id` alone.
    """

    type: str
    kind: str
    id: str
    home_id: str | None
    sees: Action
    data: Any = None
    account_id: str | None = None
    device_id: str | None = None
    audit: bool = True


class Event(Struct, frozen=True, gc=False):
    """A change as listeners get it; `seq` orders all events of this hub. `data` is encoded JSON."""

    seq: int
    at: int
    type: str
    kind: str
    id: str
    home_id: str | None
    account_id: str | None
    device_id: str | None
    sees: Action
    data: bytes


class Reader:
    """Reading over a plain connection: rows as tuples, by position."""

    __slots__ = ("db",)

    # Whether what is resident in memory is what a question to the database would find.
    is_as_in_memory = False

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db

    def settle(self) -> None:
        """Nothing waits to be written (see `Tx.settle`)."""

    def one(self, sql: str, args: Sequence[Any] = ()) -> Row | None:
        """The first row, or None."""
        row: Row | None = self.db.execute(sql, args).fetchone()
        return row

    def all(self, sql: str, args: Sequence[Any] = ()) -> list[Row]:
        """Every row."""
        return self.db.execute(sql, args).fetchall()


def json_of(texts: Iterable[str]) -> str:
    """Any number of ids, or other texts, as one value of a statement, for `IN (SELECT value FROM json_each(?))`."""
    return _encode(list(texts)).decode()


class Batch:
    """What the acts of one transaction share. `memory_holds`: every commit before it has reached memory."""

    __slots__ = ("_before", "_db", "_memory_holds", "_numbers", "rows")

    def __init__(self, db: sqlite3.Connection, *, memory_holds: bool = False) -> None:
        self._db = db
        self._memory_holds = memory_holds
        self._before = db.total_changes
        self._numbers: dict[str, int] = {}
        # Statements that wait, of acts that are done.
        self.rows: list[tuple[str, Row]] = []

    @property
    def is_as_in_memory(self) -> bool:
        """Nothing has been written in this transaction yet, and memory has all that was before."""
        return self._memory_holds and self._db.total_changes == self._before

    def number(self, table: str) -> int:
        """The next key of a table that counts its rows; a number of an act that fails is left out."""
        last = self._numbers.get(table)
        if last is None:
            last = self._db.execute(_LAST_NUMBER, (table,)).fetchone()[0]
        self._numbers[table] = last + 1
        return last + 1

    def settle(self) -> None:
        """Run the statements that wait, each with all its rows at once."""
        rows, self.rows = self.rows, []
        by_statement: dict[str, list[Row]] = {}
        for sql, args in rows:
            by_statement.setdefault(sql, []).append(args)
        for sql, several in by_statement.items():
            _execute_all(self._db, sql, several)


class Tx(Reader):
    """One act inside the writer's current transaction. Lives only as long as the write function runs."""

    __slots__ = ("actor", "after_commit", "audit", "batch", "moment", "rows", "told")

    def __init__(self, db: sqlite3.Connection, moment: Moment, batch: Batch) -> None:
        self.db = db
        self.moment = moment
        self.batch = batch
        self.after_commit: list[Callable[[], None]] = []
        self.audit: list[Row] = []
        self.told: list[Row] = []
        # Of the first change: who did all this.
        self.actor: Actor | None = None
        self.rows: list[tuple[str, Row]] = []

    @property
    def is_as_in_memory(self) -> bool:  # type: ignore[override]
        """As of the batch: then memory, which only the writer changes, after commits, may answer for the disk."""
        return self.batch.is_as_in_memory

    @property
    def now(self) -> int:
        """ms since the epoch; the same for everything in this act."""
        return self.moment.ms

    def new_id(self) -> str:
        """A fresh UUIDv7."""
        return new_id(self.moment.ms)

    def run(self, sql: str, args: Sequence[Any] = ()) -> int:
        """Execute one statement; returns the number of rows it changed."""
        self._stand()
        return self.db.execute(sql, args).rowcount

    def put(self, sql: str, args: Row) -> None:
        """Execute one statement by the end of the batch, together with the same one of other acts.

        For rows that are asked for behind `settle` alone.
        """
        self._stand()
        self.rows.append((sql, args))

    def settle(self) -> None:
        """Have all that was `put` in this batch written: who is about to read or change such rows asks for it."""
        if self.rows or self.batch.rows:
            self._stand()
            self.batch.rows += self.rows
            self.rows = []
            self.batch.settle()

    def after(self, fn: Callable[[], None]) -> None:
        """Have `fn` called on the event loop once this is on disk, before the caller is answered. It must not raise."""
        self.after_commit.append(fn)

    def record(self, actor: Actor, change: Change) -> None:
        """Leave the audit row and the event of `change`; they are written with the batch's others."""
        self._stand()
        self.actor = self.actor or actor
        data = b"{}" if change.data is None else _encode(change.data)
        now, home_id = self.moment.ms, change.home_id
        who = (now, actor.account_id, actor.credential_id, change.type, change.kind, change.id, home_id, data)
        if change.audit:
            self.audit.append(who)
        of = (change.kind, change.id, home_id, change.account_id, change.device_id)
        self.told.append((now, change.type, *of, change.sees, data))

    def _stand(self) -> None:
        """Some disk errors end the whole transaction: an act that caught one must not go on outside of it."""
        if not self.db.in_transaction:
            raise sqlite3.OperationalError("the transaction has been rolled back")


def leave(db: sqlite3.Connection, batch: Batch, done: Sequence[Tx]) -> list[Event]:
    """Write what the acts of a batch recorded, a statement a table: inserts of each act cost more than all else.

    Returns the events, numbered in the order of the acts.
    """
    batch.settle()
    audit = [row for tx in done for row in tx.audit]
    told = [row for tx in done for row in tx.told]
    if audit:
        _execute_all(db, _AUDIT, audit)
    if not told:
        return []
    first = batch.number("events")
    # An enum member costs the driver a search for an adapter.
    _execute_all(db, _EVENT, [(seq, *row[:7], row[7]._value_, row[8]) for seq, row in enumerate(told, first)])
    return [Event(seq, *row) for seq, row in enumerate(told, first)]


def _execute_all(db: sqlite3.Connection, sql: str, rows: Sequence[Row]) -> None:
    """Execute `sql` for each row. Of an INSERT, rows go together: a table's count is kept once a statement."""
    if not sql.startswith("INSERT") or not sql.endswith(")"):
        db.executemany(sql, rows)
        return
    done, size = 0, ROWS_AT_ONCE
    while left := len(rows) - done:
        while size > left:
            size //= 2
        db.execute(_of_several(sql, size), tuple(chain.from_iterable(rows[done : done + size])))
        done += size


@lru_cache(maxsize=256)
def _of_several(sql: str, rows: int) -> str:
    """An INSERT of one row as one of `rows`."""
    head, _, row = sql.rpartition("VALUES")
    return f"{head}VALUES{','.join([row] * rows)}"
