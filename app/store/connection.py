"""The only door to aiosqlite: opening connections, and one hop to a connection's thread."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import aiosqlite

T = TypeVar("T")

BUSY_TIMEOUT_S = 5.0
CACHED_STATEMENTS = 512

_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    # Under group commit FULL is nearly free, and it is what "acknowledged" means.
    "PRAGMA synchronous=FULL",
    # The checkpointer does it from its own connection: no writer ever waits for a checkpoint.
    "PRAGMA wal_autocheckpoint=0",
    "PRAGMA foreign_keys=ON",
    "PRAGMA temp_store=MEMORY",
)


def open_plain(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A plain connection with the store's settings; raises sqlite3.Error."""
    uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
    db = sqlite3.connect(
        uri,
        uri=True,
        isolation_level=None,
        timeout=BUSY_TIMEOUT_S,
        cached_statements=CACHED_STATEMENTS,
        check_same_thread=False,
    )
    try:
        for pragma in _PRAGMAS[3:] if read_only else _PRAGMAS:
            db.execute(pragma)
    except BaseException:
        db.close()
        raise
    return db


class Connection:
    """One SQLite connection that lives on a thread of its own."""

    def __init__(self, inner: aiosqlite.Connection) -> None:
        self._inner = inner

    @classmethod
    async def open(cls, path: Path, *, read_only: bool = False) -> "Connection":
        """Open `path`; raises sqlite3.Error."""
        return cls(await aiosqlite.Connection(lambda: open_plain(path, read_only=read_only), iter_chunk_size=64))

    async def hop(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        """Run `fn` over the plain connection on its thread, in one hop.

        aiosqlite offers no public way to run a function there; this is its one private hook, wrapped here alone and
        tested against the pinned version. `fn` is passed as a closure because aiosqlite logs the arguments it is given.
        """
        plain = self._inner._conn
        result: T = await self._inner._execute(lambda: fn(plain))  # type: ignore[no-untyped-call]
        return result

    async def close(self) -> None:
        """Finish what is queued and end the thread."""
        await self._inner.close()
