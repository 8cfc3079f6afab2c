"""What keeps the file from growing for ever: small deletions through the writer, between everybody else's acts."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from app.clock import Clock, SystemClock, machine_clock_is_set
from app.store.errors import StoreClosed, StoreError
from app.store.hub import keep_time_floor
from app.store.once import KEEP_MS
from app.store.retention import DAY_MS, KEEP
from app.store.sizes import AGAIN, SizedHistory
from app.store.tx import Tx

EVERY_S: Final = 60.0
# A batch of deletions takes a few ms of the writer: no act waits longer for it.
BATCH: Final = 500

# Deletes at most `BATCH` rows; returns how many it did. Called again at once while it returns `BATCH`, or AGAIN.
Sweep = Callable[[Tx], int]

_log = structlog.get_logger("doorstep.store")


class Housekeeping:
    """A task that runs every registered sweep, each minute."""

    def __init__(self, write: Callable[[Sweep], Awaitable[int]], clock: Clock) -> None:
        self._write = write
        self._clock = clock
        self._sweeps: dict[str, Sweep] = {}
        for table, order in _HISTORIES:
            self.register(table, _history(table, order))
        self.journal = SizedHistory("journal", order="seq", per="device_id", octets=_ENTRY, batch=BATCH)
        self.register("journal", self.journal.sweep)
        self.register("commands", _ended_commands)
        self.register("idempotency", _idempotency)
        self.register("spent_refresh", _spent_refresh)
        self._task = asyncio.create_task(self._run(), name="store-housekeeping")

    def register(self, name: str, sweep: Sweep) -> None:
        """Have `sweep` run too; a service registers what only it knows to be over."""
        if name in self._sweeps:
            raise ValueError(f"two sweeps of {name}")
        self._sweeps[name] = sweep

    async def run(self) -> dict[str, int]:
        """One round now; returns how many rows each sweep removed. Raises StoreError."""
        await self._keep_time()
        removed = dict.fromkeys(self._sweeps, 0)
        for name, sweep in self._sweeps.items():
            while (count := await self._write(sweep)) != 0:
                removed[name] += max(count, 0)
                if AGAIN < count < BATCH:
                    break
        return removed

    async def close(self) -> None:
        """Stop; the time is kept once more."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        with contextlib.suppress(StoreError):
            await self._write(_time_floor)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.run()
            except StoreClosed:
                return
            except Exception as error:
                # The next round tries again; what the disk did is the writer's to report.
                _log.warning("housekeeping was cut short", error=type(error).__name__)

    async def _keep_time(self) -> None:
        if isinstance(self._clock, SystemClock) and await asyncio.to_thread(machine_clock_is_set):
            self._clock.follow_machine()
        await self._write(_time_floor)


def _time_floor(tx: Tx) -> int:
    keep_time_floor(tx)
    return 0


# Append-only tables and the column they are in order of.
_HISTORIES = (("events", "seq"), ("audit", "seq"), ("group_acts", "n"))
# What an entry of the journal takes on disk: its text, and its ids, numbers and part of two indexes.
_ENTRY = "length(CAST(value AS BLOB))+length(CAST(code AS BLOB))+220"


def _history(table: str, order: str) -> Sweep:
    keep_ms = (KEEP[table].keep_days or 0) * DAY_MS
    # The oldest `BATCH` alone are looked at: rows are in the order of time, give or take a clock that was set.
    aged = f"SELECT {order} FROM (SELECT {order}, at FROM {table} ORDER BY {order} LIMIT {BATCH}) WHERE at<?"  # noqa: S608 - our own names
    sql = f"DELETE FROM {table} WHERE {order} IN ({aged})"  # noqa: S608 - our own names

    def sweep(tx: Tx) -> int:
        return tx.run(sql, (tx.now - keep_ms,)) or _beyond(tx, table, order)

    return sweep


def _beyond(tx: Tx, table: str, order: str) -> int:
    """Remove what the newest `keep_rows` leave; numbers are gapless but for rows already removed."""
    newest = f"SELECT max({order}) FROM {table}"  # noqa: S608 - our own names
    old = f"SELECT {order} FROM {table} WHERE {order}<=({newest})-? ORDER BY {order} LIMIT {BATCH}"  # noqa: S608 - our own names
    return tx.run(f"DELETE FROM {table} WHERE {order} IN ({old})", (KEEP[table].keep_rows,))  # noqa: S608 - our own names


# Ended ones among the oldest: open ones are few, they end by their expiry.
_ENDED = """
DELETE FROM commands WHERE n IN (
  SELECT n FROM (SELECT n, ended_at FROM commands ORDER BY n LIMIT 5000)
  WHERE ended_at < ? OR (ended_at IS NOT NULL AND n <= (SELECT max(n) FROM commands) - ?)
  LIMIT ?)
"""


def _ended_commands(tx: Tx) -> int:
    keep = KEEP["commands"]
    return tx.run(_ENDED, (tx.now - (keep.keep_days or 0) * DAY_MS, keep.keep_rows, BATCH))


def _idempotency(tx: Tx) -> int:
    aged = "DELETE FROM idempotency WHERE rowid IN (SELECT rowid FROM idempotency WHERE at<? LIMIT ?)"
    return tx.run(aged, (tx.now - KEEP_MS, BATCH)) or _beyond(tx, "idempotency", "rowid")


def _spent_refresh(tx: Tx) -> int:
    sql = "DELETE FROM spent_refresh WHERE hash IN (SELECT hash FROM spent_refresh WHERE at<? LIMIT ?)"
    return tx.run(sql, (tx.now - (KEEP["spent_refresh"].keep_days or 0) * DAY_MS, BATCH))
