"""The SQL of sign-ins on second screens."""

from msgspec import Struct
from msgspec.structs import astuple

from app.store.tx import Reader, Tx

_SCREEN = "SELECT id,code_hash,poll_hash,screen,address,account_id,created_at,expires_at FROM screen_sign_ins"


class Screen(Struct, frozen=True, gc=False):
    """A sign-in under way. `account_id` None: nobody has said yes."""

    id: str
    code_hash: bytes
    poll_hash: bytes
    screen: str
    address: str
    account_id: str | None
    created_at: int
    expires_at: int


def insert_screen(tx: Tx, row: Screen) -> None:
    """Store a new one."""
    tx.run(
        "INSERT INTO screen_sign_ins(id,code_hash,poll_hash,screen,address,account_id,created_at,expires_at)"
        " VALUES(?,?,?,?,?,?,?,?)",
        astuple(row),
    )


def screen(reader: Reader, screen_id: str) -> Screen | None:
    """One."""
    row = reader.one(f"{_SCREEN} WHERE id=?", (screen_id,))
    return None if row is None else Screen(*row)


def screen_of_code(reader: Reader, code_hash: bytes) -> Screen | None:
    """The one that shows a code."""
    row = reader.one(f"{_SCREEN} WHERE code_hash=?", (code_hash,))
    return None if row is None else Screen(*row)


def count_screens_at(reader: Reader, address: str) -> int:
    """How many one address has under way."""
    row = reader.one("SELECT count(*) FROM screen_sign_ins WHERE address=?", (address,))
    return 0 if row is None else int(row[0])


def approve_screen(tx: Tx, screen_id: str, account_id: str) -> None:
    """Somebody has said yes."""
    tx.run("UPDATE screen_sign_ins SET account_id=? WHERE id=?", (account_id, screen_id))


def forget_approved(tx: Tx, account_id: str) -> None:
    """What somebody has said yes to, and no screen has fetched yet, comes to nothing."""
    tx.run("DELETE FROM screen_sign_ins WHERE account_id=?", (account_id,))


def delete_screen(tx: Tx, screen_id: str) -> None:
    """It is done."""
    tx.run("DELETE FROM screen_sign_ins WHERE id=?", (screen_id,))


def delete_expired_screens(tx: Tx) -> None:
    """Make room."""
    tx.run("DELETE FROM screen_sign_ins WHERE expires_at<=?", (tx.now,))
