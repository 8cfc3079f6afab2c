"""Who a bearer token is, from memory: sessions, keys, and what the hub lends to the command on its own machine."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from app.accounts import queries
from app.accounts.codes import hash_token, new_token
from app.accounts.dialects import Dialect
from app.accounts.model import Account, Key, Session
from app.clock import Moment
from app.policy import Actor
from app.store.resident import Resident
from app.store.store import Store

_NEVER: Final = 1 << 62
_sha256 = hashlib.sha256
# Commands that run at once on the hub's own machine.
MAX_LENT: Final = 64


class _Entry(Struct, frozen=True, gc=False):
    """What a token's hash stands for, until a time (ms, exclusive), at one face."""

    actor: Actor
    until: int
    dialect: str = Dialect.COMPANION


class Credentials:
    """Every valid token by its SHA-256. `on_ended` is told the id of each session or key that is over."""

    def __init__(self, store: Store) -> None:
        self.accounts: Resident[str, Account] = Resident(lambda r: ((a.id, a) for a in queries.all_accounts(r)))
        self.sessions: Resident[str, Session] = Resident(lambda r: ((s.id, s) for s in queries.all_sessions(r)))
        self.keys: Resident[str, Key] = Resident(lambda r: ((k.id, k) for k in queries.all_keys(r)))
        self.on_ended: list[Callable[[str], None]] = []
        self.by_login: dict[str, str] = {}
        self._entries: dict[bytes, _Entry] = {}
        self._of_account: dict[str, set[str]] = {}
        self._lent: OrderedDict[str, bytes] = OrderedDict()
        self.accounts.watch(self._account_changed)
        self.sessions.watch(self._session_changed)
        self.keys.watch(self._key_changed)
        for resident in (self.accounts, self.sessions, self.keys):
            store.keep_resident(resident)

    def actor_of(self, token: bytes, now: Moment, dialect: str = Dialect.COMPANION) -> Actor | None:
        """Whose token this is, or None when it is wrong, expired, revoked, or another face's."""
        entry = self._entries.get(_sha256(token).digest())
        return entry.actor if entry is not None and now.ms < entry.until and entry.dialect == dialect else None

    def holder_of(self, credential_id: str, now: Moment) -> Actor | None:
        """Who stands behind a session or key, None once it is over: what a stream it opened goes by.

        A session lives on through its refreshes; one that is not refreshed is over with its access token.
        """
        digest = self._hash_of(credential_id)
        entry = None if digest is None else self._entries.get(digest)
        return entry.actor if entry is not None and now.ms < entry.until else None

    def is_person(self, actor: Actor) -> bool:
        """Whether a person is behind it (a session, or the command on the machine) and not a program's key."""
        credential_id = actor.credential_id or ""
        return credential_id in self.sessions or credential_id in self._lent

    def lend(self, account: Account, life_ms: int, now: Moment) -> str:
        """A token that acts as `account` for `life_ms`, kept in memory alone: for the command on this machine."""
        while len(self._lent) >= MAX_LENT:
            self._end_lent(next(iter(self._lent)))
        token = new_token("dsl")
        digest = hash_token(token)
        credential_id = f"lent-{digest[:8].hex()}"
        self._lent[credential_id] = digest
        actor = Actor(account.id, credential_id, hub_owner=account.hub_owner)
        self._entries[digest] = _Entry(actor, now.ms + life_ms)
        return token

    def _hash_of(self, credential_id: str) -> bytes | None:
        if (session := self.sessions.get(credential_id)) is not None:
            return session.access_hash
        if (key := self.keys.get(credential_id)) is not None:
            return key.secret_hash
        return self._lent.get(credential_id)

    def _end_lent(self, credential_id: str) -> None:
        self._entries.pop(self._lent.pop(credential_id), None)
        self._tell(credential_id)

    def _tell(self, credential_id: str) -> None:
        for fn in self.on_ended:
            fn(credential_id)

    def _account_changed(self, account_id: str, old: Account | None, new: Account | None) -> None:
        if old is not None and old.login is not None:
            self.by_login.pop(old.login, None)
        if new is not None and new.login is not None:
            self.by_login[new.login] = account_id
        if old is None:  # Its sessions and keys are loaded, and made, after it.
            return
        for credential_id in tuple(self._of_account.get(account_id, ())):
            self._enter_again(credential_id)

    def _enter_again(self, credential_id: str) -> None:
        if (session := self.sessions.get(credential_id)) is not None:
            self._enter_session(session)
        elif (key := self.keys.get(credential_id)) is not None:
            self._enter_key(key)

    def _session_changed(self, session_id: str, old: Session | None, new: Session | None) -> None:
        if old is not None and (new is None or new.access_hash != old.access_hash):
            self._entries.pop(old.access_hash, None)
        if new is not None:
            self._of_account.setdefault(new.account_id, set()).add(session_id)
            self._enter_session(new)
        elif old is not None:
            self._ended(old.account_id, session_id)

    def _key_changed(self, key_id: str, old: Key | None, new: Key | None) -> None:
        if old is not None:
            self._entries.pop(old.secret_hash, None)
        if new is not None:
            self._of_account.setdefault(new.account_id, set()).add(key_id)
            self._enter_key(new)
        elif old is not None:
            self._ended(old.account_id, key_id)

    def _ended(self, account_id: str, credential_id: str) -> None:
        held = self._of_account.get(account_id, set())
        held.discard(credential_id)
        if not held:
            self._of_account.pop(account_id, None)
        self._tell(credential_id)

    def _enter_session(self, session: Session) -> None:
        account = self.accounts.get(session.account_id)
        if account is None:
            self._entries.pop(session.access_hash, None)
            return
        actor = Actor(account.id, session.id, anonymous=account.anonymous, hub_owner=account.hub_owner)
        self._entries[session.access_hash] = _Entry(actor, min(session.access_until, _end_of(account)))

    def _enter_key(self, key: Key) -> None:
        account = self.accounts.get(key.account_id)
        if account is None:
            self._entries.pop(key.secret_hash, None)
            return
        actor = Actor(account.id, key.id, key.scopes, anonymous=account.anonymous, home_id=key.home_id)
        until = min(_NEVER if key.expires_at is None else key.expires_at, _end_of(account))
        self._entries[key.secret_hash] = _Entry(actor, until, key.dialect)


def _end_of(account: Account) -> int:
    return _NEVER if account.expires_at is None else account.expires_at
