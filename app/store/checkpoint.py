"""Folding the write-ahead log back into the database, from a connection no writer waits for."""

import asyncio
import contextlib
import sqlite3
from pathlib import Path

from app.store.connection import Connection
from app.store.errors import StoreError, from_sqlite

# Every half second keeps the log short and a 32-act commit's p99 near 1 ms (specs/performance, 1d).
EVERY_S = 0.5
# A reader that stays long lets the log grow; past this it is cut back as soon as nobody reads.
TRUNCATE_ABOVE_BYTES = 64 * 1024 * 1024


class Checkpointer:
    """A task on its own connection. An error is kept in `failing` and tried again: the log still has everything."""

    def __init__(self, connection: Connection, wal: Path) -> None:
        self._connection = connection
        self._wal = wal
        self.wal_bytes = 0
        self.failing: StoreError | None = None
        self._task = asyncio.create_task(self._run(), name="store-checkpointer")

    @classmethod
    async def start(cls, path: Path) -> "Checkpointer":
        """Open a connection to `path` and begin."""
        connection = await Connection.open(path)
        # Cutting the log back holds the writer's lock while it waits for readers: it must not wait for any.
        await connection.hop(lambda db: db.execute("PRAGMA busy_timeout=0").fetchone())
        return cls(connection, path.with_name(path.name + "-wal"))

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
                self.wal_bytes = await self._connection.hop(self._fold)
                self.failing = None
            except sqlite3.Error as error:
                self.failing = from_sqlite(error)

    def _fold(self, db: sqlite3.Connection) -> int:
        size = self._wal.stat().st_size if self._wal.exists() else 0
        mode = "TRUNCATE" if size > TRUNCATE_ABOVE_BYTES else "PASSIVE"
        db.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        return size
