"""The one row a node has of itself: which hub it is, which incarnation, whose claim it waits for, how late it is."""

import secrets
import sqlite3

from msgspec import Struct

from app.store.errors import VaultKeyWrong, VaultMismatch
from app.store.tx import Reader, Tx
from app.store.vault import Vault

CHECK_TEXT = b"doorstep vault"
CHECK_ROW = "hub/vault_check"
NODE_ID_BYTES = 8
# Events and audit rows are numbered in the order they were written: the last of each says how late it was. The journal
# is left out, a device may state its own times there.
_NEWEST = """
SELECT max((SELECT time_floor FROM hub),
           coalesce((SELECT at FROM events ORDER BY seq DESC LIMIT 1), 0),
           coalesce((SELECT at FROM audit ORDER BY seq DESC LIMIT 1), 0))
"""


class Hub(Struct, frozen=True):
    """`hub_id` None: not founded yet. `claim_hash` None: claimed, or not founded. Times in ms."""

    hub_id: str | None
    name: str
    incarnation: int
    node_id: str
    claim_hash: bytes | None
    claimed_at: int | None
    created_at: int


def read_hub(reader: Reader) -> Hub:
    """The row."""
    row = reader.one("SELECT hub_id,name,incarnation,node_id,claim_hash,claimed_at,created_at FROM hub")
    if row is None:
        raise LookupError("a prepared database has its hub row")
    return Hub(*row)


def found_hub(tx: Tx, hub_id: str, name: str, claim_hash: bytes) -> None:
    """Give the hub its identity and wait for its claim; keep the identity's private key in the same transaction."""
    tx.run("UPDATE hub SET hub_id=?, name=?, claim_hash=?, claimed_at=NULL", (hub_id, name, claim_hash))


def end_claim(tx: Tx) -> None:
    """Claimed: the code opens nothing any more."""
    tx.run("UPDATE hub SET claim_hash=NULL, claimed_at=?", (tx.now,))


def rename_hub(tx: Tx, name: str) -> None:
    """Call it `name`."""
    tx.run("UPDATE hub SET name=?", (name,))


def keep_time_floor(tx: Tx) -> None:
    """Time does not run behind this moment any more, not even after a restart with a dead clock."""
    tx.run("UPDATE hub SET time_floor=max(time_floor, ?)", (tx.now,))


def make_row(db: sqlite3.Connection, vault: Vault, now_ms: int) -> None:
    """The row of a new database."""
    check = vault.seal(CHECK_TEXT, CHECK_ROW)
    db.execute(
        "INSERT OR IGNORE INTO hub(id, node_id, vault_check, time_floor, created_at) VALUES(1,?,?,?,?)",
        (new_node_id(), check, now_ms, now_ms),
    )


def check_key(db: sqlite3.Connection, vault: Vault) -> None:
    """Raise VaultKeyWrong unless `vault` opens what this database was sealed with."""
    sealed = db.execute("SELECT vault_check FROM hub").fetchone()[0]
    try:
        vault.unseal(sealed, CHECK_ROW)
    except VaultMismatch as error:
        raise VaultKeyWrong("vault.key is not the key of this database") from error


def time_floor(db: sqlite3.Connection) -> int:
    """The latest time this database knows of (ms)."""
    floor: int = db.execute(_NEWEST).fetchone()[0]
    return floor


def new_node_id() -> str:
    """64 random bits, hex (specs/sync, 3a: a restored node must never speak as the one it was)."""
    return secrets.token_hex(NODE_ID_BYTES)
