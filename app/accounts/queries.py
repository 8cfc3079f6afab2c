"""The SQL of accounts, sessions and keys; rows become structs by position."""

import msgspec

from app.accounts.model import Account, Key, Session
from app.policy import Scope
from app.store.housekeeping import BATCH
from app.store.retention import KEEP
from app.store.tx import Reader, Row, Tx

_ACCOUNT = (
    "SELECT id,login,name,verifier,public_key,recovery_hash,hub_owner,version,created_at,expires_at,elsewhere"
    " FROM accounts"
)
_SESSION = (
    "SELECT id,account_id,name,access_hash,access_until,refresh_hash,refresh_until,address,created_at,used_at"
    " FROM sessions"
)
_KEY = "SELECT id,account_id,home_id,name,dialect,scopes,secret_hash,created_at,expires_at FROM keys"

_TOO_MANY_SPENT = (
    "DELETE FROM spent_refresh WHERE session_id=? AND n<="
    "(SELECT n FROM spent_refresh WHERE session_id=? ORDER BY n DESC LIMIT 1 OFFSET ?)"
)

_scopes = msgspec.json.Decoder(frozenset[Scope])


def insert_account(tx: Tx, account: Account) -> None:
    """Store a new account."""
    tx.run(
        "INSERT INTO accounts(id,login,name,verifier,public_key,recovery_hash,hub_owner,version,created_at,expires_at,"
        "elsewhere) VALUES(?,?,?,?,?,?,?,?,?,?,?)",
        msgspec.structs.astuple(account),
    )
    link_key(tx, account.public_key, account.id)


def link_key(tx: Tx, public_key: bytes, account_id: str) -> None:
    """From now on that key names this account, and signs in to it."""
    tx.run(
        "INSERT OR REPLACE INTO account_keys(public_key,account_id,linked_at) VALUES(?,?,?)",
        (public_key, account_id, tx.now),
    )


def hand_keys_on(tx: Tx, account_id: str, to: str) -> None:
    """The keys that name one account name another from now on."""
    tx.run("UPDATE account_keys SET account_id=? WHERE account_id=?", (to, account_id))


def stop_signing_in(tx: Tx, account_id: str) -> None:
    """The keys of an account go on naming it, and open no session until they are linked again."""
    tx.run("UPDATE account_keys SET signs_in=0 WHERE account_id=?", (account_id,))


def unlink_key(tx: Tx, public_key: bytes) -> None:
    """That key names nobody any more."""
    tx.run("DELETE FROM account_keys WHERE public_key=?", (public_key,))


def account_of_key(reader: Reader, public_key: bytes, *, to_sign_in: bool = False) -> str | None:
    """Whom a key names; `to_sign_in`: only where a proof of it opens a session."""
    sql = "SELECT account_id FROM account_keys WHERE public_key=? AND signs_in>=?"
    row = reader.one(sql, (public_key, to_sign_in))
    return None if row is None else str(row[0])


def keys_naming(reader: Reader, account_id: str) -> list[bytes]:
    """The keys that name an account; the one it was made with first."""
    return [row[0] for row in naming_rows(reader, account_id)]


def key_in_home(reader: Reader, account_id: str, home_id: str) -> str | None:
    """The one of an account's keys that is a member in a home's log."""
    sql = (
        "SELECT id FROM sync_entities WHERE home_id=? AND kind='member' AND dead_at IS NULL AND id IN"
        " (SELECT lower(hex(public_key)) FROM account_keys WHERE account_id=?)"
    )
    row = reader.one(sql, (home_id, account_id))
    return None if row is None else str(row[0])


def naming_rows(reader: Reader, account_id: str) -> list[Row]:
    """The same as (key, whether it signs in, when it was linked)."""
    sql = (
        "SELECT k.public_key,k.signs_in,k.linked_at FROM account_keys k JOIN accounts a ON a.id=k.account_id"
        " WHERE k.account_id=? ORDER BY k.public_key!=a.public_key, k.linked_at, k.public_key"
    )
    return reader.all(sql, (account_id,))


def update_account(tx: Tx, account: Account) -> None:
    """Store what may change of an account."""
    tx.run(
        "UPDATE accounts SET login=?,name=?,verifier=?,recovery_hash=?,hub_owner=?,version=?,expires_at=?,elsewhere=?"
        " WHERE id=?",
        (
            account.login,
            account.name,
            account.verifier,
            account.recovery_hash,
            account.hub_owner,
            account.version,
            account.expires_at,
            account.elsewhere,
            account.id,
        ),
    )


def delete_account(tx: Tx, account_id: str) -> None:
    """Remove an account; its sessions, keys and memberships go with it."""
    tx.run("DELETE FROM accounts WHERE id=?", (account_id,))


def account(reader: Reader, account_id: str) -> Account | None:
    """One account."""
    return _to_account(reader.one(f"{_ACCOUNT} WHERE id=?", (account_id,)))


def account_of_login(reader: Reader, login: str) -> Account | None:
    """The account of a login (in its normal form)."""
    return _to_account(reader.one(f"{_ACCOUNT} WHERE login=?", (login,)))


def all_accounts(reader: Reader) -> list[Account]:
    """Every account."""
    return [found for row in reader.all(_ACCOUNT) if (found := _to_account(row)) is not None]


def count_here(reader: Reader) -> int:
    """How many accounts were made at this node."""
    row = reader.one("SELECT count(*) FROM accounts WHERE NOT elsewhere")
    return 0 if row is None else int(row[0])


def count_anonymous(reader: Reader) -> int:
    """How many accounts have no login."""
    row = reader.one("SELECT count(*) FROM accounts WHERE login IS NULL AND NOT elsewhere")
    return 0 if row is None else int(row[0])


def expired_accounts(reader: Reader, now: int) -> list[str]:
    """Ids of some of the anonymous accounts that have ended."""
    rows = reader.all("SELECT id FROM accounts WHERE expires_at<=? LIMIT ?", (now, BATCH))
    return [row[0] for row in rows]


def insert_session(tx: Tx, session: Session) -> None:
    """Store a new session."""
    tx.run(
        "INSERT INTO sessions(id,account_id,name,access_hash,access_until,refresh_hash,refresh_until,address,"
        "created_at,used_at) VALUES(?,?,?,?,?,?,?,?,?,?)",
        msgspec.structs.astuple(session),
    )


def update_session(tx: Tx, session: Session, answer: bytes | None = None) -> None:
    """Store what may change of a session; `answer` is the sealed one of its last refresh, None: as it was."""
    tx.run(
        "UPDATE sessions SET name=?,access_hash=?,access_until=?,refresh_hash=?,refresh_until=?,address=?,used_at=?,"
        "answer=coalesce(?,answer) WHERE id=?",
        (
            session.name,
            session.access_hash,
            session.access_until,
            session.refresh_hash,
            session.refresh_until,
            session.address,
            session.used_at,
            answer,
            session.id,
        ),
    )


def delete_session(tx: Tx, session_id: str) -> None:
    """Remove a session."""
    tx.run("DELETE FROM sessions WHERE id=?", (session_id,))


def session(reader: Reader, session_id: str) -> Session | None:
    """One session."""
    row = reader.one(f"{_SESSION} WHERE id=?", (session_id,))
    return None if row is None else Session(*row)


def session_of_refresh(reader: Reader, refresh_hash: bytes) -> Session | None:
    """The session whose refresh token this is."""
    row = reader.one(f"{_SESSION} WHERE refresh_hash=?", (refresh_hash,))
    return None if row is None else Session(*row)


def sessions_of(reader: Reader, account_id: str) -> list[Session]:
    """An account's sessions, the one used longest ago first."""
    rows = reader.all(f"{_SESSION} WHERE account_id=? ORDER BY used_at, id", (account_id,))
    return [Session(*row) for row in rows]


def all_sessions(reader: Reader) -> list[Session]:
    """Every session."""
    return [Session(*row) for row in reader.all(_SESSION)]


def expired_sessions(reader: Reader, now: int) -> list[str]:
    """Ids of some of the sessions nobody can refresh any more."""
    return [row[0] for row in reader.all("SELECT id FROM sessions WHERE refresh_until<=? LIMIT ?", (now, BATCH))]


def spend_refresh(tx: Tx, session: Session) -> None:
    """Keep that the session's present refresh token was traded in; the oldest beyond their most give way."""
    tx.run("INSERT INTO spent_refresh(hash,session_id,at) VALUES(?,?,?)", (session.refresh_hash, session.id, tx.now))
    tx.run(_TOO_MANY_SPENT, (session.id, session.id, KEEP["spent_refresh"].most))


def spent_refresh(reader: Reader, refresh_hash: bytes) -> tuple[str, int, bytes | None, bool] | None:
    """Of a traded-in token: its session, when (ms), the session's last answer (sealed), and whether it is the last."""
    row = reader.one(
        "SELECT spent.session_id, spent.at, sessions.answer, NOT EXISTS("
        "  SELECT 1 FROM spent_refresh later WHERE later.session_id=spent.session_id AND later.n>spent.n)"
        " FROM spent_refresh spent JOIN sessions ON sessions.id=spent.session_id WHERE spent.hash=?",
        (refresh_hash,),
    )
    return None if row is None else (row[0], row[1], row[2], bool(row[3]))


def insert_key(tx: Tx, key: Key) -> None:
    """Store a new key."""
    tx.run(
        "INSERT INTO keys(id,account_id,home_id,name,dialect,scopes,secret_hash,created_at,expires_at)"
        " VALUES(?,?,?,?,?,?,?,?,?)",
        (
            key.id,
            key.account_id,
            key.home_id,
            key.name,
            key.dialect,
            msgspec.json.encode(sorted(key.scopes)).decode(),
            key.secret_hash,
            key.created_at,
            key.expires_at,
        ),
    )


def delete_key(tx: Tx, key_id: str) -> None:
    """Remove a key."""
    tx.run("DELETE FROM keys WHERE id=?", (key_id,))


def key(reader: Reader, key_id: str) -> Key | None:
    """One key."""
    row = reader.one(f"{_KEY} WHERE id=?", (key_id,))
    return None if row is None else _to_key(row)


def keys_of(reader: Reader, account_id: str) -> list[Key]:
    """An account's keys, the oldest first."""
    return [_to_key(row) for row in reader.all(f"{_KEY} WHERE account_id=? ORDER BY id", (account_id,))]


def expired_keys(reader: Reader, now: int) -> list[Key]:
    """Some of the keys that have expired."""
    return [_to_key(row) for row in reader.all(f"{_KEY} WHERE expires_at<=? LIMIT {BATCH}", (now,))]


def all_keys(reader: Reader) -> list[Key]:
    """Every key."""
    return [_to_key(row) for row in reader.all(_KEY)]


def _to_account(row: Row | None) -> Account | None:
    if row is None:
        return None
    fields = list(row)
    fields[6], fields[10] = bool(row[6]), bool(row[10])
    return Account(*fields)


def _to_key(row: Row) -> Key:
    key_id, account_id, home_id, name, dialect, scopes, secret_hash, created_at, expires_at = row
    found = _scopes.decode(scopes)
    return Key(key_id, account_id, home_id, name, dialect, found, secret_hash, created_at, expires_at)
