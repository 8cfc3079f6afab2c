"""Sessions of clients: each token call begins one of its own, so that two clients on one key never evict each other."""

import secrets
from typing import Final

import msgspec

from app.accounts.codes import hash_token
from app.accounts.model import Key
from app.clock import Moment
from app.dialects.tuya import codes, queries
from app.dialects.tuya.codes import TuyaError
from app.dialects.tuya.model import ACCESS_S, GRACE_MS, MS, UNUSED_MS, Given, Session
from app.policy import SYSTEM, Action
from app.store.resident import Resident
from app.store.retention import KEEP
from app.store.store import Store
from app.store.tx import Change, Tx

# As long as theirs: 128 random bits in hexadecimal.
TOKEN_OCTETS: Final = 16
SWEPT_AT_ONCE: Final = 500


class Sessions:
    """Kept in memory by the hashes of their tokens."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sessions: Resident[str, Session] = Resident(lambda r: ((s.id, s) for s in queries.all_sessions(r)))
        self._by_access: dict[bytes, tuple[str, int]] = {}
        self._of_key: dict[str, set[str]] = {}
        self._sessions.watch(self._index)
        store.keep_resident(self._sessions)

    def start_housekeeping(self) -> None:
        """Have sessions that nobody uses any more removed; the store must be open."""
        self._store.housekeeping.register("tuya sessions", self._sweep)

    def key_of(self, access_token: str, now: Moment) -> str | None:
        """The key behind a token that is valid now."""
        session_id, until = self._by_access.get(hash_token(access_token), ("", 0))
        session = self._sessions.get(session_id)
        return session.key_id if session is not None and now.ms < until else None

    async def begin(self, key: Key) -> Given:
        """A new session of `key`. At the limit the one used longest ago gives way."""
        return await self._store.write(lambda tx: self._begin_in(tx, key))

    def _begin_in(self, tx: Tx, key: Key) -> Given:
        held, most = queries.sessions_of(tx, key.id), KEEP["tuya_sessions"].most or 1
        for old in held[: max(0, len(held) - most + 1)]:
            self._end_in(tx, old)
        tx.record(
            SYSTEM,
            Change("key.used", "key", key.id, None, Action.SELF, {"face": "tuya"}, account_id=key.account_id),
        )
        return self._renew_in(tx, key, Session(tx.new_id(), key.id, b"", 0, b"", None, 0, tx.now))

    async def refresh(self, key: Key, refresh_token: str) -> Given:
        """New tokens for a refresh token, which is spent by it; raises TuyaError."""
        digest = hash_token(refresh_token)
        return await self._store.write(lambda tx: self._refresh_in(tx, key, digest))

    def _refresh_in(self, tx: Tx, key: Key, digest: bytes) -> Given:
        session = queries.session_of_refresh(tx, digest)
        if session is None or session.key_id != key.id:
            raise TuyaError(codes.TOKEN_INVALID)
        return self._renew_in(tx, key, session)

    def _renew_in(self, tx: Tx, key: Key, old: Session) -> Given:
        access, refresh = secrets.token_hex(TOKEN_OCTETS), secrets.token_hex(TOKEN_OCTETS)
        renewed = msgspec.structs.replace(
            old,
            access_hash=hash_token(access),
            access_until=tx.now + ACCESS_S * MS,
            refresh_hash=hash_token(refresh),
            previous_hash=old.access_hash or None,
            previous_until=min(old.access_until, tx.now + GRACE_MS),
            used_at=tx.now,
        )
        queries.put_session(tx, renewed)
        self._sessions.put(tx, renewed.id, renewed)
        return Given(access, refresh, ACCESS_S, ACCESS_S, key.account_id)

    def key_ended(self, key_id: str) -> None:
        """The key is over; its rows went with it."""
        for session_id in tuple(self._of_key.get(key_id, ())):
            self._sessions.change(session_id, None)

    def _end_in(self, tx: Tx, session: Session) -> None:
        queries.delete_session(tx, session.id)
        self._sessions.drop(tx, session.id)

    def _sweep(self, tx: Tx) -> int:
        ending = queries.unused(tx, tx.now - UNUSED_MS, SWEPT_AT_ONCE) if tx.moment.trusted else []
        for session in ending:
            self._end_in(tx, session)
        return len(ending)

    def _index(self, session_id: str, old: Session | None, new: Session | None) -> None:
        if old is not None:
            self._by_access.pop(old.access_hash, None)
            self._by_access.pop(old.previous_hash or b"", None)
            self._of_key.get(old.key_id, set()).discard(session_id)
        if new is not None:
            self._by_access[new.access_hash] = session_id, new.access_until
            if new.previous_hash is not None:
                self._by_access[new.previous_hash] = session_id, new.previous_until
            self._of_key.setdefault(new.key_id, set()).add(session_id)
        elif old is not None and not self._of_key[old.key_id]:
            del self._of_key[old.key_id]
