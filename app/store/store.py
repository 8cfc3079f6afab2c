"""The store as services see it: `write` an act, `read` a question, keep tables resident."""

import asyncio
import gc
import sqlite3
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from msgspec import Struct

from app.clock import Clock
from app.store.checkpoint import Checkpointer
from app.store.connection import Connection
from app.store.errors import StoreError, from_sqlite, is_storage
from app.store.folder import Folder
from app.store.housekeeping import Housekeeping
from app.store.later import Later
from app.store.once import Once, recall, remember
from app.store.tx import Event, Reader, Tx
from app.store.vault import Vault
from app.store.writer import Writer, safely

T = TypeVar("T")

# Lists and history; two so that one long export does not hold up every list.
READERS = 2
# Between two looks of the collector: some MB.
YOUNG_OBJECTS = 20_000


class Loaded(Protocol):
    """What is read into memory before the first request."""

    def load(self, reader: Reader) -> None: ...


class Answered(Struct, Generic[T], frozen=True):
    """An answer given before, which may be None."""

    answer: T


class Status(Struct, frozen=True):
    """`failing` what the last batch or checkpoint met, None while all is well; `waiting` acts in the queue."""

    failing: StoreError | None
    waiting: int
    wal_bytes: int


class Store:
    """One database file, opened. `prepare.open_store` makes one; `close` ends it and releases its folder."""

    def __init__(self, path: Path, clock: Clock, vault: Vault, folder: Folder | None = None) -> None:
        self.path = path
        self.folder = folder
        self.clock = clock
        self.vault = vault
        self._residents: list[Loaded] = []
        self._listeners: list[Callable[[list[Event]], None]] = []
        self._later: list[Later[Any]] = []
        self._writer: Writer
        self._write_connection: Connection
        self._checkpointer: Checkpointer
        self.housekeeping: Housekeeping
        self._readers: deque[Connection] = deque()
        self._free: asyncio.Semaphore
        self._opened = AsyncExitStack()

    async def open(self) -> None:
        """Open every connection or none. The schema must be the newest (see `prepare`); raises sqlite3.Error."""
        async with AsyncExitStack() as opened:
            if self.folder is not None:
                opened.callback(self.folder.release)
            self._write_connection = await Connection.open(self.path)
            opened.push_async_callback(self._write_connection.close)
            self._free = asyncio.Semaphore(READERS)
            for _ in range(READERS):
                self._readers.append(await Connection.open(self.path, read_only=True))
                opened.push_async_callback(self._readers[-1].close)
            self._checkpointer = await Checkpointer.start(self.path, self._reuse_log)
            opened.push_async_callback(self._checkpointer.close)
            self._writer = Writer(self._write_connection, self.clock, self._publish)
            opened.push_async_callback(self._writer.close)
            self.housekeeping = Housekeeping(self.write, self.clock)
            opened.push_async_callback(self.housekeeping.close)
            opened.push_async_callback(self._close_later)
            self._opened = opened.pop_all()

    def _reuse_log(self) -> None:
        self._writer.fold()

    async def close(self) -> None:
        """Finish every accepted write, fold the log into the file, end the threads, release the folder.

        In that order, whatever of it fails. Safe to call twice.
        """
        await self._opened.aclose()

    async def write(self, act: Callable[[Tx], T], *, once: Once | None = None, returns: type[T] | None = None) -> T:
        """Do `act` in one transaction; its result is returned when it is on disk.

        With `once`, a repeat does nothing and returns the first result, rebuilt as `returns` (which must be given).
        """
        if once is None:
            return await self._writer.write(act)
        result, encoded = await self._writer.write(lambda tx: self._do_once(tx, act, once))
        if encoded is None:
            return result  # type: ignore[return-value]  # None only when T is None
        return msgspec.json.decode(encoded, type=returns) if returns is not None else result  # type: ignore[return-value]

    def submit(
        self, act: Callable[[Tx], bytes], tell: Callable[[bytes | None, Exception | None], None], once: Once | None
    ) -> None:
        """`write` of an act whose result is JSON, for who would rather be told than wait; raises StoreError as well."""
        if once is not None:
            self._writer.submit(lambda tx: self._do_encoded_once(tx, act, once), tell)
        else:
            self._writer.submit(act, tell)

    async def answered(self, once: Once | None, returns: type[T]) -> Answered[T] | None:
        """What a repeat of `once` is answered, None the first time: for who asks more than a transaction can first."""
        if once is None:
            return None
        known = await self.read(lambda reader: recall(reader, self.vault, once, self.clock.now().ms))
        return None if known is None else Answered(msgspec.json.decode(known, type=returns))

    def _do_once(self, tx: Tx, act: Callable[[Tx], T], once: Once) -> tuple[T | None, bytes | None]:
        if (known := recall(tx, self.vault, once, tx.now)) is not None:
            return None, known
        result = act(tx)
        remember(tx, self.vault, once, result)
        return result, None

    def _do_encoded_once(self, tx: Tx, act: Callable[[Tx], bytes], once: Once) -> bytes:
        result, known = self._do_once(tx, lambda tx: msgspec.Raw(act(tx)), once)
        return bytes(result or known or b"")

    async def read(self, ask: Callable[[Reader], T]) -> T:
        """Run `ask` on a reading connection: what is committed, one snapshot within the call; raises StoreError."""
        async with self._free:
            connection = self._readers.popleft()
            try:
                return await connection.hop(lambda db: _ask(db, ask))
            finally:
                self._readers.append(connection)

    async def _close_later(self) -> None:
        for later in self._later:
            await later.close()

    def later(self, put: Callable[[Tx, list[T]], None], delay: float = 0.0) -> Later[T]:
        """Where to leave what `put` writes, many at once, within about `delay` seconds; flushed by `close`."""
        made: Later[T] = Later(self.write, put, delay)
        self._later.append(made)
        return made

    def keep_resident(self, resident: Loaded) -> None:
        """Have `resident` loaded by `load`."""
        self._residents.append(resident)

    async def load(self) -> None:
        """Load every resident table, then take what was loaded out of the collector's sight.

        Freezing takes the p99 of a write from 71 to 19 ms with 10,000 devices loaded (specs/performance, 1c).
        """
        for resident in self._residents:
            await self.read(resident.load)
        gc.collect()
        gc.freeze()
        # What requests leave is freed by counting; looking for rings after every 700 objects took 5 % of all time.
        gc.set_threshold(YOUNG_OBJECTS)

    async def attach(self, prepare: Callable[[sqlite3.Connection], None], capture: Callable[[Tx], None]) -> None:
        """Have `prepare` done to the writing connection, and from then on `capture` called within each act, at its end.

        What `capture` raises fails the act.
        """
        await self._write_connection.hop(prepare)
        self._writer.capture = capture

    def status(self) -> Status:
        """How storage is doing, for readiness, metrics and the doctor."""
        return Status(
            failing=self._writer.failing or self._checkpointer.failing,
            waiting=self._writer.waiting,
            wal_bytes=self._checkpointer.wal_bytes,
        )

    def listen(self, fn: Callable[[list[Event]], None]) -> None:
        """Have `fn` called with each batch of committed events, in order, before their callers are answered."""
        self._listeners.append(fn)

    def _publish(self, events: list[Event]) -> None:
        for fn in self._listeners:
            # The others, and the callers whose writes are on disk, have nothing to do with one that raises.
            safely(partial(fn, events), "a listener raised")


def _ask(db: sqlite3.Connection, ask: Callable[[Reader], T]) -> T:
    try:
        db.execute("BEGIN")
        try:
            return ask(Reader(db))
        finally:
            db.execute("ROLLBACK")
    except sqlite3.Error as error:
        if is_storage(error):
            raise from_sqlite(error) from error
        raise
