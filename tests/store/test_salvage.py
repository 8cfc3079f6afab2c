"""A damaged database without a backup: what is readable is saved, what was damaged is kept, or nothing changes."""

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.commands.doctor import doctor
from app.store.connection import open_plain
from app.store.errors import StoreBusy, StoreDamaged, VaultKeyWrong
from app.store.folder import DATABASE, VAULT_KEY, Folder
from app.store.prepare import prepare
from app.store.salvage import salvage
from tests.make_database_fixture import furnish, tables

ROWS = 4000


@pytest.fixture
def furnished(folder: Path) -> Path:
    """Rows in every table, thousands in two of them."""
    prepare(folder).folder.release()
    with contextlib.closing(open_plain(folder / DATABASE)) as db:
        furnish(db)
        db.execute("BEGIN")
        for n in range(ROWS):
            db.execute("INSERT INTO secrets VALUES(?, zeroblob(60))", (f"{n:05}",))
            db.execute("INSERT INTO bindings(hardware_id, owner_epoch) VALUES(?, 1)", (f"{n:05}",))
        db.execute("COMMIT")
    return folder


def pages_of(folder: Path, name: str) -> list[int]:
    """Offsets of the pages of a table or index, as the database lists them."""
    with contextlib.closing(sqlite3.connect(folder / DATABASE)) as db:
        try:
            found = db.execute("SELECT pageno FROM dbstat WHERE name=?", (name,)).fetchall()
        except sqlite3.OperationalError:
            # Not in every build of SQLite: a page of the table can be told by what is written in it.
            content = (folder / DATABASE).read_bytes()
            return sorted({content.find(f"{n:05}".encode()) // 4096 * 4096 for n in range(500, ROWS, 500)})
        return [(number - 1) * 4096 for (number,) in found]


def spoil(folder: Path, offset: int) -> None:
    content = bytearray((folder / DATABASE).read_bytes())
    content[offset : offset + 4096] = b"\xa5" * 4096
    (folder / DATABASE).write_bytes(content)


def counts(folder: Path) -> dict[str, int]:
    with contextlib.closing(open_plain(folder / DATABASE, read_only=True)) as db:
        return {table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables(db)}


def test_most_rows_outlive_a_lost_page(furnished: Path) -> None:
    before = counts(furnished)
    pages = pages_of(furnished, "secrets")
    spoil(furnished, pages[len(pages) // 2])
    with pytest.raises(StoreDamaged):
        prepare(furnished)
    damaged = (furnished / DATABASE).read_bytes()
    salvaged = salvage(furnished)
    assert "secrets" in salvaged.incomplete
    assert (salvaged.aside / DATABASE).read_bytes() == damaged
    prepare(furnished).folder.release()
    after = counts(furnished)
    assert ROWS // 2 < after["secrets"] <= before["secrets"]
    # What a new incarnation clears, writes, or what stood in the lost page.
    changed = {"sessions", "spent_refresh", "screen_sign_ins", "events", "audit", *salvaged.incomplete}
    changed |= {"mqtt_sessions", "mqtt_received", "mqtt_owed"}
    assert [table for table in before if table not in changed and after[table] != before[table]] == []


def test_an_empty_folder_holds_nothing_to_save(folder: Path) -> None:
    with pytest.raises(VaultKeyWrong):
        salvage(folder)


def test_what_cannot_be_read_at_all_is_left_as_it_is(furnished: Path) -> None:
    spoil(furnished, 0)
    damaged = (furnished / DATABASE).read_bytes()
    with pytest.raises(StoreDamaged, match="list of tables"):
        salvage(furnished)
    assert (furnished / DATABASE).read_bytes() == damaged
    assert not (furnished / "aside").exists()


def test_a_running_hub_is_not_operated_on(furnished: Path) -> None:
    held = Folder.hold(furnished)
    with pytest.raises(StoreBusy):
        salvage(furnished)
    held.release()


def test_what_refers_to_lost_rows_goes_with_them(furnished: Path) -> None:
    with contextlib.closing(sqlite3.connect(furnished / DATABASE)) as db:
        db.execute("PRAGMA foreign_keys=OFF")
        db.execute("DELETE FROM homes WHERE id='homes.id.1'")
        db.commit()
    salvage(furnished)
    with contextlib.closing(open_plain(furnished / DATABASE)) as db:
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        assert db.execute("SELECT home_id FROM members").fetchall() == [("homes.id.0",)]
        assert db.execute("SELECT incarnation FROM hub").fetchone() == (2,)


def test_the_key_must_be_there(furnished: Path) -> None:
    (furnished / VAULT_KEY).write_bytes(b"x" * 32)
    with pytest.raises(VaultKeyWrong):
        salvage(furnished)


def test_the_way_out_that_errors_name_is_a_command(furnished: Path) -> None:
    before = counts(furnished)
    done = CliRunner().invoke(doctor, ["salvage", "--data", str(furnished), "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.output)
    assert report["incomplete"] == []
    assert report["rows"] == before
    assert Path(report["aside"]).parent == furnished / "aside"
    assert "doctor salvage" in StoreDamaged.hint
