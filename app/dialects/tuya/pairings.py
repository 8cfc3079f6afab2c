"""Pairing tokens that clients poll, and the sessions they stand for."""

from typing import Final, NamedTuple

from app.store.retention import DAY_MS
from app.store.store import Store
from app.store.tx import Reader, Tx

# Region 2, token 8, secret 4 (specs/tuya/notes.md, 9).
REGION_SIZE: Final = 2
SECRET_SIZE: Final = 4
# An app polls for 100 s; whoever looks a day later looks at the companion's list.
KEPT_MS: Final = DAY_MS


class Pairing(NamedTuple):
    """The session that a token stands for."""

    session_id: str
    home_id: str


async def keep(store: Store, whole: str, session_id: str, home_id: str, account_id: str) -> None:
    """Have the session found by the middle of its token."""
    token = whole[REGION_SIZE:-SECRET_SIZE]

    def act(tx: Tx) -> None:
        tx.run("DELETE FROM tuya_pairings WHERE created_at<?", (tx.now - KEPT_MS,))
        sql = "INSERT OR REPLACE INTO tuya_pairings(token,session_id,home_id,account_id,created_at) VALUES(?,?,?,?,?)"
        tx.run(sql, (token, session_id, home_id, account_id, tx.now))

    await store.write(act)


async def find(store: Store, token: str) -> Pairing | None:
    """The session of a token; the whole of it is understood as well."""
    if len(token) > REGION_SIZE + SECRET_SIZE + 8:
        return None
    middle = token[REGION_SIZE:-SECRET_SIZE] if len(token) > 8 else token

    def look(reader: Reader) -> Pairing | None:
        row = reader.one("SELECT session_id,home_id FROM tuya_pairings WHERE token=?", (middle,))
        return None if row is None else Pairing(*row)

    return await store.read(look)
