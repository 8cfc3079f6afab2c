"""The SQL of pairing sessions; the reducer's state is one JSON column."""

import msgspec

from app.store.tx import Reader, Tx
from pairing.session.states import SessionState

_decode = msgspec.json.Decoder(SessionState).decode
_encode = msgspec.json.Encoder().encode


def insert(tx: Tx, state: SessionState) -> None:
    """Store a new session."""
    request = state.request
    tx.run(
        "INSERT INTO pairing_sessions(id,home_id,account_id,method,state,created_at,expires_at) VALUES(?,?,?,?,?,?,?)",
        (
            state.id,
            request.home,
            request.account,
            request.method,
            _encode(state).decode(),
            state.created_at,
            state.expires_at,
        ),
    )


def update(tx: Tx, state: SessionState) -> bool:
    """Store what has become of a session; False when it is there no more (its home is gone)."""
    return bool(
        tx.run(
            "UPDATE pairing_sessions SET state=?, ended=?, version=version+1 WHERE id=?",
            (_encode(state).decode(), int(state.state.terminal), state.id),
        )
    )


def hand_on(tx: Tx, account_id: str, to: str) -> None:
    """What one account began, another began."""
    tx.run(
        "UPDATE pairing_sessions SET account_id=?, state=json_set(state, '$.request.account', ?) WHERE account_id=?",
        (to, to, account_id),
    )


def get(reader: Reader, session_id: str) -> SessionState | None:
    """One session, open or ended."""
    row = reader.one("SELECT state FROM pairing_sessions WHERE id=?", (session_id,))
    return None if row is None else _decode(row[0])


def open_sessions(reader: Reader) -> list[SessionState]:
    """Every session that has not ended."""
    return [_decode(row[0]) for row in reader.all("SELECT state FROM pairing_sessions WHERE ended=0")]


def open_count(reader: Reader, home_id: str) -> int:
    """How many of a home's sessions have not ended."""
    row = reader.one("SELECT count(*) FROM pairing_sessions WHERE home_id=? AND ended=0", (home_id,))
    return 0 if row is None else int(row[0])


def of_home(reader: Reader, home_id: str, before: tuple[int, str] | None, limit: int) -> list[SessionState]:
    """A home's sessions, newest first, those before the place (created_at, id)."""
    at, session_id = before or (2**62, "")
    return [
        _decode(row[0])
        for row in reader.all(
            "SELECT state FROM pairing_sessions WHERE home_id=? AND (created_at,id)<(?,?)"
            " ORDER BY created_at DESC, id DESC LIMIT ?",
            (home_id, at, session_id, limit),
        )
    ]


def make_room(tx: Tx, home_id: str, most: int) -> None:
    """Forget a home's oldest ended sessions until there are fewer than `most`."""
    tx.run(
        "DELETE FROM pairing_sessions WHERE id IN (SELECT id FROM pairing_sessions WHERE home_id=? AND ended=1"
        " ORDER BY created_at DESC LIMIT -1 OFFSET ?)",
        (home_id, most - 1),
    )


def joined(reader: Reader, session_id: str, attempt: int) -> str | None:
    """The device an attempt brought in."""
    row = reader.one("SELECT device_id FROM pairing_joins WHERE session_id=? AND attempt=?", (session_id, attempt))
    return None if row is None else str(row[0])


def insert_joined(tx: Tx, session_id: str, attempt: int, device_id: str) -> None:
    """Note which device an attempt brought in."""
    tx.run("INSERT INTO pairing_joins(session_id,attempt,device_id) VALUES(?,?,?)", (session_id, attempt, device_id))


def delete_ended(tx: Tx, before: int, limit: int) -> int:
    """Forget sessions that expired before `before`; how many rows went."""
    return tx.run(
        "DELETE FROM pairing_sessions WHERE id IN"
        " (SELECT id FROM pairing_sessions WHERE ended=1 AND created_at<? LIMIT ?)",
        (before, limit),
    )
