"""What the crash tests write and how they judge it: acts of many rows, of which all or none may be found."""

from collections import Counter

from app.policy import SYSTEM, Action
from app.store.tx import Change, Reader, Tx

# Rows that one act leaves in each of these tables.
TABLES = {"secrets": 3, "events": 1, "audit": 1}


def act(tx: Tx, name: str) -> str:
    """An act that leaves rows in four tables; `name` has no slash."""
    for part in range(TABLES["secrets"]):
        tx.run("INSERT INTO secrets VALUES(?, zeroblob(500))", (f"{name}/{part}",))
    tx.record(SYSTEM, Change("thing.made", "thing", name, "home", Action.SELF))
    return name


def found(reader: Reader) -> tuple[set[str], set[str]]:
    """Names of the acts that are wholly there, and of those that are half-made."""
    rows: dict[str, Counter[str]] = {}
    for table in TABLES:
        sql = (
            "SELECT substr(row, 1, instr(row, '/')-1) FROM secrets"
            if table == "secrets"
            else f"SELECT entity_id FROM {table} WHERE kind='thing'"
        )
        for (name,) in reader.all(sql):
            rows.setdefault(name, Counter())[table] += 1
    whole = {name for name, count in rows.items() if count == TABLES}
    return whole, rows.keys() - whole
