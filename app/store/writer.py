"""The one writer: everything that waits becomes one batch, one hop, one commit (specs/performance, 1c and 1d)."""

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from app.clock import Clock
from app.store.connection import Connection
from app.store.errors import StoreError, from_sqlite
from app.store.tx import Event, Tx

T = TypeVar("T")

# 512 small acts commit in 7 to 11 ms (specs/performance, 1d): larger batches only add latency.
MAX_BATCH = 512
# At ~7,000 durable acts a second this is over a second of backlog; beyond it an honest "busy" beats a longer wait.
MAX_WAITING = 10_000

Act = Callable[[Tx], Any]


class _Waiting:
    """One act in the queue, and then its outcome."""

    __slots__ = ("act", "error", "future", "result", "tx")

    def __init__(self, act: Act, future: asyncio.Future[Any]) -> None:
        self.act = act
        self.future = future
        self.result: Any = None
        self.error: BaseException | None = None
        self.tx: Tx | None = None


class Writer:
    """Owns the write connection. An act is a synchronous function of a Tx; its caller is answered after the commit."""

    def __init__(self, connection: Connection, clock: Clock, publish: Callable[[list[Event]], None]) -> None:
        self._connection = connection
        self._clock = clock
        self._publish = publish
        self._queue: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._run(), name="store-writer")

    async def write(self, act: Callable[[Tx], T]) -> T:
        """Run `act` in its own savepoint of the next transaction; returns its result once that is on disk.

        Errors: whatever `act` raises (nothing of it is kept, its neighbours are untouched), or StoreError.
        Cancelling the caller does not undo an act that has begun.
        """
        if self._closing or len(self._queue) >= MAX_WAITING:
            raise StoreError("the hub is stopping" if self._closing else "too many writes are waiting")
        waiting = _Waiting(act, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._wake.set()
        result: T = await waiting.future
        return result

    async def close(self) -> None:
        """Finish what waits, then end the task; the connection is the caller's to close."""
        self._closing = True
        self._wake.set()
        await self._task

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), MAX_BATCH))]
                await self._commit(batch)
            if self._closing:
                return

    async def _commit(self, batch: list[_Waiting]) -> None:
        moment = self._clock.now()

        def in_thread(db: sqlite3.Connection) -> None:
            _run_batch(db, batch, lambda: Tx(db, moment))

        try:
            await self._connection.hop(in_thread)
        except sqlite3.Error as error:
            _fail(batch, from_sqlite(error))
        except Exception as error:
            _fail(batch, StoreError(f"the writer failed: {type(error).__name__}"))
        self._answer(batch)

    def _answer(self, batch: list[_Waiting]) -> None:
        """Memory first, then listeners, then the callers: nobody reads older state than they were told of."""
        done = [waiting for waiting in batch if waiting.error is None and waiting.tx is not None]
        for waiting in done:
            for fn in waiting.tx.after_commit if waiting.tx else ():
                fn()
        events = [event for waiting in done if waiting.tx for event in waiting.tx.events]
        if events:
            self._publish(events)
        for waiting in batch:
            if waiting.future.done():
                continue
            if waiting.error is not None:
                waiting.future.set_exception(waiting.error)
            else:
                waiting.future.set_result(waiting.result)


def _fail(batch: list[_Waiting], error: BaseException) -> None:
    for waiting in batch:
        waiting.error = waiting.error or error


def _run_batch(db: sqlite3.Connection, batch: list[_Waiting], begin: Callable[[], Tx]) -> None:
    """Runs on the connection's thread. Leaves each outcome in its `_Waiting`; raises only when the commit failed."""
    db.execute("BEGIN IMMEDIATE")
    try:
        for waiting in batch:
            _run_one(db, waiting, begin())
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
        raise


def _run_one(db: sqlite3.Connection, waiting: _Waiting, tx: Tx) -> None:
    db.execute("SAVEPOINT act")
    try:
        waiting.result = waiting.act(tx)
        waiting.tx = tx
        db.execute("RELEASE act")
    except Exception as error:
        # A full disk can make SQLite roll the whole transaction back: then no neighbour may be answered as done.
        if not db.in_transaction:
            raise
        db.execute("ROLLBACK TO act")
        db.execute("RELEASE act")
        waiting.error = from_sqlite(error) if isinstance(error, sqlite3.OperationalError) else error
