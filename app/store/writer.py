"""The one writer: everything that waits becomes one batch, one hop, one commit (specs/performance, 1c and 1d)."""

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import structlog

from app.clock import Clock, Moment
from app.store.checkpoint import fold
from app.store.connection import Connection
from app.store.errors import RunAgain, StoreClosed, StoreError, StoreSaturated, from_sqlite, of_act
from app.store.tx import Batch, Event, Tx, leave

T = TypeVar("T")

# 512 small acts commit in 7 to 11 ms (specs/performance, 1d): larger batches only add latency.
MAX_BATCH = 512
# At ~7,000 durable acts a second this is over a second of backlog; beyond it an honest "busy" beats a longer wait.
MAX_WAITING = 10_000

Act = Callable[[Tx], Any]
Capture = Callable[[Tx], None]
# The result, or the error.
Tell = Callable[[Any, Exception | None], None]
_log = structlog.get_logger("doorstep.store")


class _Waiting:
    """One act in the queue, and then its outcome."""

    __slots__ = ("act", "error", "result", "tell", "tx", "withdrawn")

    def __init__(self, act: Act, tell: Tell) -> None:
        self.act = act
        self.tell = tell
        self.withdrawn = False
        self.result: Any = None
        self.error: Exception | None = None
        self.tx: Tx | None = None


class Writer:
    """Owns the write connection. An act is a synchronous function of a Tx; its caller is answered after the commit."""

    def __init__(self, connection: Connection, clock: Clock, publish: Callable[[list[Event]], None]) -> None:
        self._connection = connection
        self._clock = clock
        self._publish = publish
        self._queue: deque[_Waiting] = deque()
        # Called after each act, within it: what it changed is put down for other nodes.
        self.capture: Capture | None = None
        self._wake = asyncio.Event()
        self._closing = False
        self.failing: StoreError | None = None
        self._memory_holds = True
        self._fold_next = False
        self._task = asyncio.create_task(self._run(), name="store-writer")

    @property
    def waiting(self) -> int:
        """How many acts are in the queue."""
        return len(self._queue)

    async def write(self, act: Callable[[Tx], T]) -> T:
        """Run `act` in its own savepoint of the next transaction; returns its result once that is on disk.

        Errors: whatever `act` raises (nothing of it is kept, its neighbours are untouched), or StoreError (nothing of
        the whole batch is kept). Cancelling the caller withdraws an act that has not begun; one that has is finished.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        waiting = self.submit(act, partial(_settle, future))
        try:
            return await future
        except asyncio.CancelledError:
            waiting.withdrawn = True
            raise

    def submit(self, act: Act, tell: Tell) -> _Waiting:
        """`write` for who would rather be told than wait: a task and a future less. `tell` must not raise."""
        if self._closing or self._task.done():
            raise StoreClosed
        if len(self._queue) >= MAX_WAITING:
            raise StoreSaturated
        waiting = _Waiting(act, tell)
        self._queue.append(waiting)
        self._wake.set()
        return waiting

    def fold(self) -> None:
        """Between two batches, fold what is left of the log: the next one begins it again."""
        self._fold_next = True
        self._wake.set()

    async def close(self) -> None:
        """Finish what waits, then end the task; the connection is the caller's to close. Safe to call twice."""
        self._closing = True
        self._wake.set()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while not (self._closing and not self._queue):
                await self._wake.wait()
                self._wake.clear()
                await self._fold_if_due()
                while self._queue:
                    await self._gather()
                    await self._commit(self._next())
                    await self._fold_if_due()
        finally:
            # Reached with a queue only when the loop is being torn down under us: nobody may wait for ever.
            _fail(self._queue, StoreClosed)
            for waiting in self._queue:
                _answer(waiting)
            self._queue.clear()

    async def _gather(self) -> None:
        """Turns of the loop while each brings more: what it reads of other sockets joins this batch and its commit."""
        seen = 0
        while seen < len(self._queue) < MAX_BATCH:
            seen = len(self._queue)
            await asyncio.sleep(0)

    async def _fold_if_due(self) -> None:
        if self._fold_next:
            self._fold_next = False
            with contextlib.suppress(sqlite3.Error):  # the checkpointer meets it as well, and says so
                await self._connection.hop(fold)

    def _next(self) -> list[_Waiting]:
        some = (self._queue.popleft() for _ in range(min(len(self._queue), MAX_BATCH)))
        return [waiting for waiting in some if not waiting.withdrawn]

    async def _commit(self, batch: list[_Waiting]) -> None:
        moment = self._clock.now()

        events: list[Event] = []
        try:
            events = await self._connection.hop(
                partial(_run_batch, acts=batch, moment=moment, capture=self.capture, memory_holds=self._memory_holds)
            )
            self.failing = None
        except sqlite3.Error as error:
            self._batch_failed(batch, error, partial(from_sqlite, error))
        except asyncio.CancelledError:
            _fail(batch, StoreClosed)
            raise
        except BaseException as error:
            self._batch_failed(batch, error, partial(StoreError, f"the writer failed: {type(error).__name__}"))
        finally:
            self._answer_all(batch, events)

    def _batch_failed(self, batch: list[_Waiting], error: BaseException, make: Callable[[], StoreError]) -> None:
        _fail(batch, make)
        # Said once for each spell of trouble: a full disk meets every write.
        if self.failing is None:
            _say("writing failed", code=make().code, error=str(error), acts=len(batch))
        self.failing = make()

    def _answer_all(self, batch: list[_Waiting], events: list[Event]) -> None:
        """Memory first, then listeners, then the callers: nobody reads older state than they were told of."""
        try:
            done = [waiting.tx for waiting in batch if waiting.error is None and waiting.tx is not None]
            for tx in done:
                for fn in tx.after_commit:
                    if not safely(fn, "a hook after a commit raised: memory may differ from the disk until a restart"):
                        self._memory_holds = False
            if events:
                self._publish(events)
        finally:
            for waiting in batch:
                _answer(waiting)


def safely(fn: Callable[[], None], complaint: str) -> bool:
    """Call `fn`; what it raises is only logged: what is on disk stays acknowledged, whatever memory makes of it.

    Returns whether all went well.
    """
    try:
        fn()
        return True
    except Exception as error:
        # The place by hand: a renderer of tracebacks reads source files, and this is the event loop.
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else ""
        _say(complaint, error=type(error).__name__, detail=str(error), where=where)
        return False


def _say(what: str, **facts: object) -> None:
    """Log; on the full disk we report, the log may stand as well."""
    with contextlib.suppress(Exception):
        _log.error(what, **facts)


def _fail(batch: "list[_Waiting] | deque[_Waiting]", make: Callable[[], StoreError]) -> None:
    """An error object each: a traceback and its facts belong to one caller."""
    for waiting in batch:
        waiting.error = waiting.error or make()


def _answer(waiting: _Waiting) -> None:
    error = waiting.error
    try:
        waiting.tell(None if error is not None else waiting.result, error)
    except Exception as failure:
        _say("an answer was not given", error=type(failure).__name__, detail=str(failure))


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


def _run_batch(
    db: sqlite3.Connection, acts: list[_Waiting], moment: Moment, capture: Capture | None, *, memory_holds: bool
) -> list[Event]:
    """Runs on the connection's thread. Leaves each outcome in its `_Waiting`; raises only when the commit failed.

    Returns what listeners are to be told.
    """
    if db.in_transaction:
        # A rollback that failed under an earlier batch; nothing of that one was acknowledged.
        db.execute("ROLLBACK")
    db.execute("BEGIN IMMEDIATE")
    try:
        batch = Batch(db, memory_holds=memory_holds)
        if not _run_all(db, acts, moment, batch, capture):
            db.execute("ROLLBACK")
            db.execute("BEGIN IMMEDIATE")
            batch = Batch(db, memory_holds=memory_holds)
            _run_each(db, acts, moment, batch, capture)
        events = leave(db, batch, [waiting.tx for waiting in acts if waiting.tx is not None])
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
        raise
    return events


def _run_all(
    db: sqlite3.Connection, acts: list[_Waiting], moment: Moment, batch: Batch, capture: Capture | None
) -> bool:
    """Run the acts without savepoints, which most batches do not need: an act that refuses has seldom written anything.

    False when one failed after it had: then nothing of this counts, and all are run again, each in its own savepoint.
    """
    for waiting in acts:
        waiting.error, waiting.tx, tx = None, None, Tx(db, moment, batch)
        before = db.total_changes
        try:
            waiting.result = waiting.act(tx)
            if capture is not None:
                capture(tx)
            waiting.tx = tx
            batch.rows += tx.rows
        except Exception as error:
            if not db.in_transaction:
                raise
            if db.total_changes != before or isinstance(error, sqlite3.Error | RunAgain):
                return False
            waiting.error = error
    return True


def _run_each(
    db: sqlite3.Connection, acts: list[_Waiting], moment: Moment, batch: Batch, capture: Capture | None
) -> None:
    """Run each act in its own savepoint; what one wants done first becomes an act before it."""
    place = 0
    while place < len(acts):
        waiting = acts[place]
        _run_one(db, waiting, Tx(db, moment, batch), capture)
        if isinstance(waiting.error, RunAgain):
            first = _Waiting(waiting.error.first, lambda _result, _error: None)
            acts.insert(place, first)
            place += 1
            _run_one(db, first, Tx(db, moment, batch), capture)
            if first.error is None:
                continue
            waiting.error = first.error
        place += 1


def _run_one(db: sqlite3.Connection, waiting: _Waiting, tx: Tx, capture: Capture | None) -> None:
    waiting.error, waiting.tx = None, None
    db.execute("SAVEPOINT act")
    try:
        waiting.result = waiting.act(tx)
        if capture is not None:
            capture(tx)
        # Within its savepoint: nothing waits for a later act to undo.
        tx.settle()
        db.execute("RELEASE act")
        waiting.tx = tx
    except Exception as error:
        # A full disk can make SQLite roll the whole transaction back: then no neighbour may be answered as done.
        if not db.in_transaction:
            raise
        db.execute("ROLLBACK TO act")
        db.execute("RELEASE act")
        waiting.error = of_act(error)
