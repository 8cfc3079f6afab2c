"""What a write function is given: the transaction, the time, and the three rows every change leaves behind."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from app.clock import Moment
from app.ids import new_id
from app.policy import Action, Actor

Row = tuple[Any, ...]
_encode = msgspec.json.Encoder().encode

_WHO = "(at,account_id,credential_id,type,kind,entity_id,home_id,data) VALUES(?,?,?,?,?,?,?,?)"
_AUDIT = "INSERT INTO audit" + _WHO
_OUTBOX = "INSERT INTO outbox" + _WHO
_EVENT = (
    "INSERT INTO events(seq,at,type,kind,entity_id,home_id,account_id,device_id,sees,data) VALUES(?,?,?,?,?,?,?,?,?,?)"
)
# The highest number ever given, which survives pruning.
_LAST_EVENT = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name='events'), 0)"


class Change(Struct, frozen=True, gc=False):
    """One thing that happened, as told to the audit trail, to sync's outbox and to listeners.

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
    sync: bool = True


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

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db

    def one(self, sql: str, args: Sequence[Any] = ()) -> Row | None:
        """The first row, or None."""
        row: Row | None = self.db.execute(sql, args).fetchone()
        return row

    def all(self, sql: str, args: Sequence[Any] = ()) -> list[Row]:
        """Every row."""
        return self.db.execute(sql, args).fetchall()


class Tx(Reader):
    """One act inside the writer's current transaction. Lives only as long as the write function runs."""

    __slots__ = ("after_commit", "audit", "moment", "outbox", "told")

    def __init__(self, db: sqlite3.Connection, moment: Moment) -> None:
        super().__init__(db)
        self.moment = moment
        self.after_commit: list[Callable[[], None]] = []
        self.audit: list[Row] = []
        self.outbox: list[Row] = []
        self.told: list[Row] = []

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

    def after(self, fn: Callable[[], None]) -> None:
        """Have `fn` called on the event loop once this is on disk, before the caller is answered. It must not raise."""
        self.after_commit.append(fn)

    def record(self, actor: Actor, change: Change) -> None:
        """Leave the audit row, the outbox row and the event of `change`; they are written with the batch's others."""
        self._stand()
        data = b"{}" if change.data is None else _encode(change.data)
        now, home_id = self.moment.ms, change.home_id
        who = (now, actor.account_id, actor.credential_id, change.type, change.kind, change.id, home_id, data)
        if change.audit:
            self.audit.append(who)
        if change.sync and home_id is not None:
            self.outbox.append(who)
        of = (change.kind, change.id, home_id, change.account_id, change.device_id)
        self.told.append((now, change.type, *of, change.sees, data))

    def _stand(self) -> None:
        """Some disk errors end the whole transaction: an act that caught one must not go on outside of it."""
        if not self.db.in_transaction:
            raise sqlite3.OperationalError("the transaction has been rolled back")


def leave(db: sqlite3.Connection, done: Iterable[Tx]) -> list[Event]:
    """Write what the acts of a batch recorded, a statement a table: three inserts an act cost more than all else of it.

    Returns the events, numbered in the order of the acts.
    """
    audit = [row for tx in done for row in tx.audit]
    outbox = [row for tx in done for row in tx.outbox]
    told = [row for tx in done for row in tx.told]
    if audit:
        db.executemany(_AUDIT, audit)
    if outbox:
        db.executemany(_OUTBOX, outbox)
    if not told:
        return []
    last: int = db.execute(_LAST_EVENT).fetchone()[0]
    events = [Event(seq, *row) for seq, row in enumerate(told, last + 1)]
    # An enum member costs the driver a search for an adapter.
    db.executemany(_EVENT, [(*astuple(event)[:8], event.sees.value, event.data) for event in events])
    return events
