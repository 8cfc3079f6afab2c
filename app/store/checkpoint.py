"""Folding the write-ahead log back into the database, from a connection no writer waits for."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

from app.store.connection import Connection
from app.store.errors import StoreError, from_sqlite

# Every half second keeps the log short and a 32-act commit's p99 near 1 ms (specs/performance, 1d).
EVERY_S = 0.5
# Past this the log is to begin again at its start: to sync octets that replace others takes half as long as to sync a
# file that grows. A hub under full load writes as much in half a second.
REUSE_ABOVE_BYTES = 16 * 1024 * 1024
# A reader that stays long lets the log grow; past this it is cut back as soon as nobody reads.
TRUNCATE_ABOVE_BYTES = 64 * 1024 * 1024
_FRAME = 4096 + 24


def fold(db: sqlite3.Connection) -> int:
    """Fold what can be without waiting for anybody; returns the octets of the log in use.

    Called where nobody writes meanwhile, it folds all: the next write begins the log again, unless somebody reads.
    """
    _, frames, _ = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return int(frames) * _FRAME


class Checkpointer:
    """A task on its own connection. An error is kept in `failing` and tried again: the log still has everything.

    `reuse` is called when the log is long, just after most of it was folded, for the writer to fold the rest.
    """

    def __init__(self, connection: Connection, wal: Path, reuse: Callable[[], None]) -> None:
        self._connection = connection
        self._wal = wal
        self._reuse = reuse
        self.wal_bytes = 0
        self.failing: StoreError | None = None
        self._task = asyncio.create_task(self._run(), name="store-checkpointer")

    @classmethod
    async def start(cls, path: Path, reuse: Callable[[], None]) -> "Checkpointer":
        """Open a connection to `path` and begin."""
        connection = await Connection.open(path)
        # Cutting the log back holds the writer's lock while it waits for readers: it must not wait for any.
        await connection.hop(lambda db: db.execute("PRAGMA busy_timeout=0").fetchone())
        return cls(connection, path.with_name(path.name + "-wal"), reuse)

    async def close(self) -> None:
        """Stop, after one last checkpoint that leaves an empty log."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        with contextlib.suppress(sqlite3.Error):
            await self._connection.hop(lambda db: db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())
        await self._connection.close()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                self.wal_bytes, used = await self._connection.hop(self._fold)
                self.failing = None
                if used > REUSE_ABOVE_BYTES:
                    self._reuse()
            except sqlite3.Error as error:
                self.failing = from_sqlite(error)

    def _fold(self, db: sqlite3.Connection) -> tuple[int, int]:
        """The size of the log, and how much of it is in use."""
        size = self._wal.stat().st_size if self._wal.exists() else 0
        if size > TRUNCATE_ABOVE_BYTES:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return size, fold(db)
