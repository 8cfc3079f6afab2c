"""Write fixtures/databases/schema-NNNN.db.gz: a database of the present schema with rows in every table."""

import contextlib
import gzip
import shutil
import sqlite3
import tempfile
from pathlib import Path

from app.store.connection import open_plain
from app.store.folder import DATABASE, VAULT_KEY
from app.store.migrations import version_of
from app.store.prepare import prepare

FIXTURES = Path(__file__).parent.parent / "fixtures" / "databases"
ROWS = 2
# The one row a database is made with.
MADE = "hub"


def tables(db: sqlite3.Connection) -> list[str]:
    """In the order they were created: what a row refers to comes before it."""
    sql = "SELECT name FROM sqlite_schema WHERE type='table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
    return [row[0] for row in db.execute(sql)]


def furnish(db: sqlite3.Connection) -> None:
    """Put `ROWS` rows into every table, each value told from all others, references kept."""
    for table in tables(db):
        if table == MADE:
            continue
        columns = db.execute(f"PRAGMA table_info({table})").fetchall()
        refers = {row[3]: (row[2], row[4]) for row in db.execute(f"PRAGMA foreign_key_list({table})")}
        for n in range(ROWS):
            values = [_value(refers.get(name, (table, name)), kind, n) for _, name, kind, *_ in columns]
            db.execute(f"INSERT INTO {table} VALUES({','.join('?' * len(values))})", values)


def _value(whose: tuple[str, str], kind: str, n: int) -> object:
    text = f"{whose[0]}.{whose[1]}.{n}"
    match kind:
        case "INTEGER":
            return n + 1
        case "REAL":
            return n + 0.5
        case "BLOB":
            return text.encode()
        case _:
            return text


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "data"
        prepare(folder).folder.release()
        with contextlib.closing(open_plain(folder / DATABASE)) as db:
            furnish(db)
            version = version_of(db)
        out = FIXTURES / f"schema-{version:04}.db.gz"
        # No name and no time in it: the same database gives the same file.
        with out.open("wb") as file, gzip.GzipFile("", "wb", 9, file, 0) as packed:
            packed.write((folder / DATABASE).read_bytes())
        shutil.copy(folder / VAULT_KEY, FIXTURES / f"schema-{version:04}.key")
    print(out)


if __name__ == "__main__":
    main()
