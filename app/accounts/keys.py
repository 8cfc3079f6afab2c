"""Keys: credentials for programs, each acting for an account within its scopes, in one home or all."""

from typing import Annotated

from msgspec import Meta, Struct

from app.accounts import queries
from app.accounts.codes import hash_token
from app.accounts.credentials import Credentials
from app.accounts.dialects import STYLES, Dialect, new_secret, secret_row
from app.accounts.model import Key, PersonName
from app.accounts.service import Accounts
from app.accounts.sessions import Sessions
from app.caller import Caller
from app.clock import Time, to_ms, to_time
from app.errors import Invalid, NotFound, Refused
from app.policy import Action, Actor, Scope
from app.store.retention import demand_room
from app.store.store import Store
from app.store.tx import Change, Tx

Scopes = Annotated[frozenset[Scope], Meta(min_length=1, max_length=3)]


class NewKey(Struct, forbid_unknown_fields=True):
    """What a key needs. `home_id` left out: in every home of the account; `expires_at` left out: until it is ended.

    `dialect` is the face it is for, and opens no other.
    """

    name: PersonName
    scopes: Scopes
    home_id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    expires_at: Time | None = None
    dialect: Dialect = Dialect.COMPANION


class KeyView(Struct, frozen=True):
    """A key as its owner sees it; `id` is the client id."""

    id: str
    name: str
    dialect: str
    scopes: list[Scope]
    home_id: str | None
    created_at: Time
    expires_at: Time | None


class KeyMade(Struct, frozen=True):
    """A new key and its secret, which at most faces is the bearer token: it is shown this once."""

    key: KeyView
    secret: str


class Keys:
    """The keys of all accounts. Only a person makes and ends them, never a key."""

    def __init__(self, store: Store, credentials: Credentials, accounts: Accounts, sessions: Sessions) -> None:
        self._store = store
        self._credentials = credentials
        self._accounts = accounts
        self._sessions = sessions

    def start_housekeeping(self) -> None:
        """Have expired keys removed; the store must be open."""
        self._store.housekeeping.register("keys", self._sweep)

    async def create(self, by: Caller, new: NewKey) -> KeyMade:
        """A key of the caller's; raises Refused (for who has no login), Invalid, TooMany."""
        return await self._store.write(lambda tx: self.create_in(tx, by, new), once=by.once, returns=KeyMade)

    def create_in(self, tx: Tx, by: Caller, new: NewKey) -> KeyMade:
        """`create` inside `tx`."""
        account_id = self._sessions.demand_person(by.actor)
        if by.actor.anonymous:
            raise Refused("An account without a login has no keys.")
        expires_at = None if new.expires_at is None else to_ms(new.expires_at)
        if expires_at is not None and expires_at <= tx.now:
            raise Invalid("expires_at: in the past")
        demand_room(tx, "keys", account_id)
        secret = new_secret(new.dialect)
        key = Key(
            tx.new_id(),
            account_id,
            new.home_id,
            new.name,
            new.dialect.value,
            new.scopes,
            hash_token(secret),
            created_at=tx.now,
            expires_at=expires_at,
        )
        queries.insert_key(tx, key)
        if not STYLES[new.dialect].bearer:
            self._store.vault.keep(tx, secret_row(key.id), secret.encode())
        self._credentials.keys.put(tx, key.id, key)
        facts = {"name": key.name, "dialect": key.dialect, "scopes": sorted(key.scopes), "home_id": key.home_id}
        tx.record(by.actor, Change("key.created", "key", key.id, None, Action.SELF, facts, account_id=account_id))
        return KeyMade(_view(key), secret)

    def list_mine(self, actor: Actor) -> list[KeyView]:
        """The caller's keys, the oldest first."""
        account_id = self._sessions.demand_person(actor)
        mine = [key for key in self._credentials.keys.values() if key.account_id == account_id]
        return [_view(key) for key in sorted(mine, key=lambda key: key.id)]

    async def revoke(self, by: Caller, key_id: str) -> None:
        """End one of the caller's keys; raises NotFound."""
        await self._store.write(lambda tx: self._revoke_in(tx, by, key_id), once=by.once, returns=type(None))

    def _revoke_in(self, tx: Tx, by: Caller, key_id: str) -> None:
        account_id = self._sessions.demand_person(by.actor)
        key = queries.key(tx, key_id)
        if key is None or key.account_id != account_id:
            raise NotFound
        self._accounts.end_key_in(tx, by.actor, key)

    def _sweep(self, tx: Tx) -> int:
        ending = queries.expired_keys(tx, tx.now) if tx.moment.trusted else []
        for key in ending:
            self._accounts.end_key_in(tx, Actor(key.account_id), key)
        return len(ending)


def _view(key: Key) -> KeyView:
    expires_at = None if key.expires_at is None else to_time(key.expires_at)
    return KeyView(key.id, key.name, key.dialect, sorted(key.scopes), key.home_id, to_time(key.created_at), expires_at)
