"""The SQL of invitations; rows become structs by position."""

import msgspec

from app.homes.invitation_model import Invitation, InvitationState
from app.hours import Window
from app.policy import Role
from app.store.tx import Reader, Row, Tx

_COLUMNS = (
    "id,home_id,code_hash,account_id,login,role,until,hours,only,anonymous,state,created_by,taken_by,version,"
    "created_at,expires_at"
)
_INVITATION = f"SELECT {_COLUMNS} FROM invitations"  # noqa: S608 - our own names

_windows = msgspec.json.Decoder(tuple[Window, ...])
_ids = msgspec.json.Decoder(frozenset[str])


_INSERT = f"INSERT INTO invitations({_COLUMNS}) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
_AS_NEW = ",".join(f"{name}=excluded.{name}" for name in _COLUMNS.split(",") if name not in ("id", "home_id"))


def insert_invitation(tx: Tx, invitation: Invitation) -> None:
    """Store a new invitation."""
    tx.run(_INSERT, _row(invitation))


def store_invitation(tx: Tx, invitation: Invitation) -> None:
    """Store an invitation, whether or not there was one of its id."""
    tx.run(f"{_INSERT} ON CONFLICT(id) DO UPDATE SET {_AS_NEW}", _row(invitation))


def delete_invitation(tx: Tx, invitation_id: str) -> None:
    """Forget an invitation."""
    tx.run("DELETE FROM invitations WHERE id=?", (invitation_id,))


def _row(invitation: Invitation) -> Row:
    only = None if invitation.only is None else msgspec.json.encode(sorted(invitation.only)).decode()
    fields = msgspec.structs.asdict(invitation) | {
        "role": invitation.role.value,
        "hours": msgspec.json.encode(invitation.hours).decode(),
        "only": only,
        "state": invitation.state.value,
    }
    return tuple(fields.values())


def end_invitation(tx: Tx, invitation: Invitation) -> None:
    """Store how an invitation ended."""
    tx.run(
        "UPDATE invitations SET state=?,taken_by=?,version=? WHERE id=?",
        (invitation.state.value, invitation.taken_by, invitation.version, invitation.id),
    )


def forget_ended(tx: Tx, home_id: str, most: int) -> None:
    """Make room: forget the oldest invitations of a home that nobody can take up any more."""
    tx.run(
        "DELETE FROM invitations WHERE id IN (SELECT id FROM invitations WHERE home_id=?"
        " AND (state!='pending' OR expires_at<=?) ORDER BY created_at LIMIT ?)",
        (home_id, tx.now, most),
    )


def count(reader: Reader, home_id: str) -> int:
    """How many invitations of a home there are, ended ones too."""
    row = reader.one("SELECT count(*) FROM invitations WHERE home_id=?", (home_id,))
    return 0 if row is None else int(row[0])


def by_code(reader: Reader, code_hash: bytes) -> Invitation | None:
    """The invitation of a code."""
    return _one(reader.one(f"{_INVITATION} WHERE code_hash=?", (code_hash,)))


def of_home(reader: Reader, home_id: str, invitation_id: str) -> Invitation | None:
    """One invitation to a home."""
    return _one(reader.one(f"{_INVITATION} WHERE id=? AND home_id=?", (invitation_id, home_id)))


def by_code_of(reader: Reader, home_id: str) -> list[Invitation]:
    """The invitations to a home that are taken up by a code, ended ones too."""
    rows = reader.all(f"{_INVITATION} WHERE home_id=? AND code_hash IS NOT NULL ORDER BY id", (home_id,))
    return [_to_invitation(row) for row in rows]


def any_of(reader: Reader, invitation_id: str) -> Invitation | None:
    """One invitation, whatever home it is to."""
    return _one(reader.one(f"{_INVITATION} WHERE id=?", (invitation_id,)))


def for_account(reader: Reader, account_id: str, invitation_id: str) -> Invitation | None:
    """One invitation addressed to an account."""
    return _one(reader.one(f"{_INVITATION} WHERE id=? AND account_id=?", (invitation_id, account_id)))


def listed(reader: Reader, home_id: str, after: str, limit: int) -> list[Invitation]:
    """At most `limit` invitations to a home in the order they were made, after the id `after`."""
    rows = reader.all(f"{_INVITATION} WHERE home_id=? AND id>? ORDER BY id LIMIT ?", (home_id, after, limit))
    return [_to_invitation(row) for row in rows]


def open_of_home(reader: Reader, home_id: str) -> list[Invitation]:
    """What could still be taken up in a home."""
    return [_to_invitation(row) for row in reader.all(f"{_INVITATION} WHERE home_id=? AND state='pending'", (home_id,))]


def open_for(reader: Reader, account_id: str, after: str, now: int, limit: int) -> list[Invitation]:
    """At most `limit` invitations an account can accept at `now` (ms), after the id `after`."""
    rows = reader.all(
        f"{_INVITATION} WHERE account_id=? AND state='pending' AND expires_at>? AND id>? ORDER BY id LIMIT ?",
        (account_id, now, after, limit),
    )
    return [_to_invitation(row) for row in rows]


def _one(row: Row | None) -> Invitation | None:
    return None if row is None else _to_invitation(row)


def _to_invitation(row: Row) -> Invitation:
    fields = list(row)
    fields[5] = Role(row[5])
    fields[7] = _windows.decode(row[7])
    fields[8] = None if row[8] is None else _ids.decode(row[8])
    fields[9] = bool(row[9])
    fields[10] = InvitationState(row[10])
    return Invitation(*fields)
