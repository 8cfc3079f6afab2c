"""The one private hook of aiosqlite that app/store leans on, held against the pinned version."""

import logging
import sqlite3
import threading
from importlib.metadata import version
from pathlib import Path

import aiosqlite
import pytest

from app.store.connection import Connection

PINNED = "0.22.1"


def test_the_version_is_the_one_looked_at() -> None:
    assert version("aiosqlite") == PINNED


async def test_a_hop_runs_on_the_connections_thread_over_the_plain_connection(tmp_path: Path) -> None:
    connection = await Connection.open(tmp_path / "x.db")
    plain, thread = await connection.hop(lambda db: (db, threading.get_ident()))
    assert type(plain) is sqlite3.Connection
    assert thread != threading.get_ident()
    assert await connection.hop(lambda db: threading.get_ident()) == thread
    await connection.close()


async def test_a_hop_raises_what_its_function_raises_and_goes_on(tmp_path: Path) -> None:
    connection = await Connection.open(tmp_path / "x.db")

    def fail(db: sqlite3.Connection) -> None:
        db.execute("nonsense")

    with pytest.raises(sqlite3.OperationalError):
        await connection.hop(fail)
    assert await connection.hop(lambda db: db.execute("SELECT 1").fetchone()) == (1,)
    await connection.close()


async def test_nothing_a_statement_is_given_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="aiosqlite")
    connection = await Connection.open(tmp_path / "x.db")
    canary = "canary-2b1f"
    await connection.hop(lambda db: db.execute("SELECT ?", (canary,)).fetchone())
    assert caplog.records != []
    assert canary not in caplog.text
    await connection.close()


async def test_the_settings_that_make_acknowledged_mean_on_disk(tmp_path: Path) -> None:
    connection = await Connection.open(tmp_path / "x.db")

    def settings(db: sqlite3.Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "wal_autocheckpoint", "foreign_keys")
        return [db.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert await connection.hop(settings) == ["wal", 2, 0, 1]
    await connection.close()


async def test_a_reading_connection_cannot_write(tmp_path: Path) -> None:
    await (await Connection.open(tmp_path / "x.db")).close()
    connection = await Connection.open(tmp_path / "x.db", read_only=True)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await connection.hop(lambda db: db.execute("CREATE TABLE t (a)"))
    await connection.close()


def test_the_hook_is_where_it_was() -> None:
    assert callable(aiosqlite.Connection._execute)
    assert isinstance(aiosqlite.Connection._conn, property)
