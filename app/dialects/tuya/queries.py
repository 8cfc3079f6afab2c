"""The SQL of client sessions."""

from collections.abc import Iterable, Iterator

import msgspec

from app.dialects.tuya.model import Session
from app.store.tx import Reader, Tx

_COLUMNS = "id,key_id,access_hash,access_until,refresh_hash,previous_hash,previous_until,used_at"
_SESSION = f"SELECT {_COLUMNS} FROM tuya_sessions"  # noqa: S608 - our own names


def all_sessions(reader: Reader) -> Iterator[Session]:
    """Every session."""
    return (Session(*row) for row in reader.all(_SESSION))


def session_of_refresh(reader: Reader, refresh_hash: bytes) -> Session | None:
    """The session that a refresh token belongs to."""
    row = reader.one(f"{_SESSION} WHERE refresh_hash=?", (refresh_hash,))
    return None if row is None else Session(*row)


def sessions_of(reader: Reader, key_id: str) -> list[Session]:
    """A key's sessions, the one used longest ago first."""
    return [Session(*row) for row in reader.all(f"{_SESSION} WHERE key_id=? ORDER BY used_at, id", (key_id,))]


def unused(reader: Reader, before: int, limit: int) -> list[Session]:
    """Some sessions that nobody used since."""
    return [Session(*row) for row in reader.all(f"{_SESSION} WHERE used_at<? LIMIT ?", (before, limit))]


def put_session(tx: Tx, session: Session) -> None:
    """Store a session in place of what it was."""
    marks = ",".join("?" * len(Session.__struct_fields__))
    tx.run(f"INSERT OR REPLACE INTO tuya_sessions({_COLUMNS}) VALUES({marks})", msgspec.structs.astuple(session))


def delete_session(tx: Tx, session_id: str) -> None:
    """Remove a session."""
    tx.run("DELETE FROM tuya_sessions WHERE id=?", (session_id,))


def place(reader: Reader, key_id: str, topic: str) -> tuple[int, int] | None:
    """(incarnation, place) up to which a subscription has acknowledged everything."""
    row = reader.one("SELECT incarnation,place FROM tuya_subscriptions WHERE key_id=? AND topic=?", (key_id, topic))
    return None if row is None else (row[0], row[1])


def put_places(tx: Tx, places: Iterable[tuple[str, str, int, int]]) -> None:
    """Store them: (key, topic, incarnation, place); those of keys that ended are let go."""
    sql = (
        "INSERT OR REPLACE INTO tuya_subscriptions(key_id,topic,incarnation,place) "
        "SELECT ?,?,?,? WHERE EXISTS(SELECT 1 FROM keys WHERE id=?)"
    )
    for key_id, topic, incarnation, at in places:
        tx.run(sql, (key_id, topic, incarnation, at, key_id))
