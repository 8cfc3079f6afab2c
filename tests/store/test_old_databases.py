"""Every schema there ever was opens with the present program, twice, with all its rows and the schema of a new one."""

import contextlib
import gzip
import sqlite3
from pathlib import Path

import pytest

from app.store.connection import open_plain
from app.store.folder import COPIES, DATABASE, VAULT_KEY
from app.store.migrations import schema_version, version_of
from app.store.prepare import prepare
from tests.make_database_fixture import FIXTURES, MADE, ROWS, furnish, tables

# What a later schema did away with, for its rows had no reader.
DROPPED = {"outbox"}
OLD = sorted(FIXTURES.glob("schema-*.db.gz"))


def place(fixture: Path, folder: Path) -> None:
    folder.mkdir()
    (folder / DATABASE).write_bytes(gzip.decompress(fixture.read_bytes()))
    (folder / VAULT_KEY).write_bytes(fixture.with_name(fixture.name.replace(".db.gz", ".key")).read_bytes())


def shape(db: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    """Columns (by name: an added one stands last), indexes and references of every table."""
    found: dict[str, list[tuple[object, ...]]] = {}
    for table in tables(db):
        found[table] = sorted(tuple(row[1:]) for row in db.execute(f"PRAGMA table_info({table})"))
        found[f"{table} indexes"] = sorted(tuple(row[2:]) for row in db.execute(f"PRAGMA index_list({table})"))
        found[f"{table} references"] = sorted(tuple(row[2:]) for row in db.execute(f"PRAGMA foreign_key_list({table})"))
    return found


def test_there_is_one_of_every_version() -> None:
    assert [path.name for path in OLD] == [f"schema-{n:04}.db.gz" for n in range(1, schema_version() + 1)]


@pytest.mark.parametrize("fixture", OLD, ids=lambda path: path.name)
def test_an_old_database_opens_twice_and_keeps_its_rows(fixture: Path, tmp_path: Path) -> None:
    place(fixture, tmp_path / "old")
    with contextlib.closing(sqlite3.connect(tmp_path / "old" / DATABASE)) as db:
        was = version_of(db)
        kept = [table for table in tables(db) if table not in DROPPED or was == schema_version()]
        before = {table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in kept}
    assert {table: count for table, count in before.items() if count < ROWS} == {MADE: 1}
    dumps = []
    for _ in range(2):
        prepare(tmp_path / "old").folder.release()
        with contextlib.closing(open_plain(tmp_path / "old" / DATABASE)) as db:
            assert version_of(db) == schema_version()
            assert db.execute("PRAGMA foreign_key_check").fetchall() == []
            assert {table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in before} == before
            dumps.append("\n".join(db.iterdump()))
    assert dumps[0] == dumps[1]
    assert (tmp_path / "old" / COPIES).exists() is (was < schema_version())


@pytest.mark.parametrize("fixture", OLD, ids=lambda path: path.name)
def test_an_upgraded_database_has_the_shape_of_a_new_one(fixture: Path, tmp_path: Path) -> None:
    place(fixture, tmp_path / "old")
    shapes = []
    for folder in (tmp_path / "old", tmp_path / "new"):
        prepare(folder).folder.release()
        with contextlib.closing(open_plain(folder / DATABASE)) as db:
            shapes.append(shape(db))
    assert shapes[0] == shapes[1]


def test_the_maker_of_fixtures_fills_every_table(tmp_path: Path) -> None:
    prepare(tmp_path / "data").folder.release()
    with contextlib.closing(open_plain(tmp_path / "data" / DATABASE)) as db:
        furnish(db)
        counts = {table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables(db)}
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    assert counts == {table: 1 if table == MADE else ROWS for table in counts}
