"""Accounts themselves: made by claim and invitation, named, upgraded, deleted."""

from collections.abc import Callable
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.accounts import queries
from app.accounts.codes import hash_code, new_code
from app.accounts.credentials import Credentials
from app.accounts.dialects import secret_row
from app.accounts.model import (
    ANONYMOUS_MS,
    MAX_ANONYMOUS,
    Account,
    AccountView,
    Key,
    LoginTaken,
    NotAnonymous,
    StillNeeded,
    normal_login,
)
from app.accounts.sessions import Sessions
from app.caller import Caller
from app.clock import to_time
from app.errors import NotFound, TooMany
from app.policy import SYSTEM, Action, Actor
from app.store.retention import KEEP, demand_room
from app.store.store import Store
from app.store.tx import Change, Reader, Tx

# 100 random bits: kept as a hash that nobody can search, typed once in years.
RECOVERY_LETTERS: Final = 20

# What stands in the way of deleting an account, in words; nothing: go on.
Needs = Callable[[Reader, str], list[str]]
# Told inside the transaction in which an account goes, while it is still there.
Going = Callable[[Tx, Caller, Account], None]


class NewAccount(msgspec.Struct, frozen=True):
    """An account just made; the recovery code (None: anonymous) is shown to its person once."""

    account: Account
    recovery_code: str | None


class Accounts:
    """Accounts. `needs` and `on_going` are filled by what depends on accounts (see server)."""

    def __init__(self, store: Store, credentials: Credentials, sessions: Sessions) -> None:
        self._store = store
        self._credentials = credentials
        self._sessions = sessions
        self.needs: list[Needs] = []
        self.on_going: list[Going] = []

    def start_housekeeping(self) -> None:
        """Have anonymous accounts removed once they end; the store must be open."""
        self._store.housekeeping.register("accounts", self._sweep)

    def name_of(self, account_id: str) -> str:
        """What an account is called, from memory; empty when there is none."""
        account = self._credentials.accounts.get(account_id)
        return "" if account is None else account.name

    def id_of_login(self, login: str) -> str | None:
        """The account of a login, from memory. A face must not let callers tell the answers apart."""
        return self._credentials.by_login.get(normal_login(login))

    def get_in(self, reader: Reader, account_id: str) -> Account:
        """One account from disk; raises NotFound."""
        account = queries.account(reader, account_id)
        if account is None:
            raise NotFound
        return account

    def create_in(self, tx: Tx, *, login: str, name: str, verifier: str, hub_owner: bool = False) -> NewAccount:
        """A full account inside `tx`; `verifier` is what `Passwords.hash` gave. Raises LoginTaken, TooMany."""
        recovery = new_code(RECOVERY_LETTERS)
        account = self._insert(
            tx,
            name,
            login=normal_login(login),
            verifier=verifier,
            recovery_hash=hash_code(recovery),
            hub_owner=hub_owner,
        )
        return NewAccount(account, recovery)

    def create_anonymous_in(self, tx: Tx, *, name: str) -> NewAccount:
        """An account without a login, for the taker of an invitation; it ends after 30 days. Raises TooMany."""
        if queries.count_anonymous(tx) >= MAX_ANONYMOUS:
            raise TooMany(f"There can be at most {MAX_ANONYMOUS} people without a login here.", most=MAX_ANONYMOUS)
        return NewAccount(self._insert(tx, name), None)

    def _insert(
        self,
        tx: Tx,
        name: str,
        *,
        login: str | None = None,
        verifier: str | None = None,
        recovery_hash: bytes | None = None,
        hub_owner: bool = False,
    ) -> Account:
        # Those known from elsewhere are bounded by the homes they are in: they keep nobody out here.
        if queries.count_here(tx) >= (KEEP["accounts"].most or 0):
            demand_room(tx, "accounts")
        if login is not None and queries.account_of_login(tx, login) is not None:
            raise LoginTaken
        private = Ed25519PrivateKey.generate()
        account = Account(
            tx.new_id(),
            login,
            name,
            verifier,
            private.public_key().public_bytes_raw(),
            recovery_hash,
            hub_owner,
            version=1,
            created_at=tx.now,
            expires_at=None if login is not None else tx.now + ANONYMOUS_MS,
        )
        queries.insert_account(tx, account)
        self._store.vault.keep(tx, f"account/{account.id}/key", private.private_bytes_raw())
        self._credentials.accounts.put(tx, account.id, account)
        tx.record(Actor(account.id), change("created", account, {"name": name, "anonymous": account.anonymous}))
        return account

    def put_in(self, tx: Tx, account: Account) -> Account:
        """Store `account` as its next version."""
        changed = msgspec.structs.replace(account, version=account.version + 1)
        queries.update_account(tx, changed)
        self._credentials.accounts.put(tx, changed.id, changed)
        return changed

    async def me(self, actor: Actor) -> AccountView:
        """The caller's own account."""
        account_id = self._sessions.demand_person(actor)
        return await self._store.read(lambda reader: view(self.get_in(reader, account_id)))

    async def rename(self, by: Caller, name: str) -> AccountView:
        """Call the caller's account `name`; raises VersionMismatch."""
        return await self._store.write(lambda tx: self._rename_in(tx, by, name), once=by.once, returns=AccountView)

    def _rename_in(self, tx: Tx, by: Caller, name: str) -> AccountView:
        old = self.get_in(tx, self._sessions.demand_person(by.actor))
        by.match(old.version)
        account = self.put_in(tx, msgspec.structs.replace(old, name=name))
        tx.record(by.actor, change("renamed", account, {"name": name}))
        return view(account)

    def upgrade_in(self, tx: Tx, by: Caller, login: str, verifier: str) -> str:
        """Give an account that has none a login (in its normal form); returns the recovery code.

        One that was known from elsewhere alone is at home here then too. Raises NotAnonymous, LoginTaken.
        """
        old = self.get_in(tx, self._sessions.demand_person(by.actor))
        if old.login is not None:
            raise NotAnonymous
        if queries.account_of_login(tx, login) is not None:
            raise LoginTaken
        recovery = new_code(RECOVERY_LETTERS)
        changed = msgspec.structs.replace(
            old,
            login=login,
            verifier=verifier,
            recovery_hash=hash_code(recovery),
            expires_at=None,
            elsewhere=False,
        )
        tx.record(by.actor, change("upgraded", self.put_in(tx, changed)))
        return recovery

    def delete_in(self, tx: Tx, by: Caller, account_id: str) -> None:
        """Delete an account at its person's wish; raises StillNeeded."""
        account = self.get_in(tx, account_id)
        reasons = [reason for needs in self.needs for reason in needs(tx, account_id)]
        if account.hub_owner:
            reasons.append("it owns this hub")
        if reasons:
            raise StillNeeded(f"The account cannot be deleted: {'; '.join(reasons)}.", reasons=reasons)
        self.remove_in(tx, by, account)

    def remove_in(self, tx: Tx, by: Caller, account: Account) -> None:
        """Remove `account` with its sessions, keys, memberships and secrets, inside `tx`."""
        for going in self.on_going:
            going(tx, by, account)
        self._sessions.end_all_in(tx, by.actor, account.id)
        self.end_keys_in(tx, by.actor, account.id)
        queries.delete_account(tx, account.id)
        self._store.vault.forget(tx, f"account/{account.id}/")
        self._credentials.accounts.drop(tx, account.id)
        tx.record(by.actor, change("deleted", account))

    def end_keys_in(self, tx: Tx, by: Actor, account_id: str) -> None:
        """End every key of an account, inside `tx`."""
        for key in queries.keys_of(tx, account_id):
            self.end_key_in(tx, by, key)

    def end_key_in(self, tx: Tx, by: Actor, key: Key) -> None:
        """End `key`, inside `tx`."""
        queries.delete_key(tx, key.id)
        self._store.vault.forget(tx, secret_row(key.id))
        self._credentials.keys.drop(tx, key.id)
        told = Change("key.ended", "key", key.id, None, Action.SELF, {"name": key.name}, account_id=key.account_id)
        tx.record(by, told)

    def _sweep(self, tx: Tx) -> int:
        ending = queries.expired_accounts(tx, tx.now) if tx.moment.trusted else []
        for account_id in ending:
            self.remove_in(tx, Caller(SYSTEM), self.get_in(tx, account_id))
        return len(ending)


def change(verb: str, account: Account, data: object = None) -> Change:
    """What happened to `account`, told to its person alone."""
    return Change(f"account.{verb}", "account", account.id, None, Action.SELF, data, account_id=account.id)


def view(account: Account) -> AccountView:
    """`account` as its owner sees it."""
    return AccountView(
        account.id,
        account.login,
        account.name,
        account.anonymous,
        account.hub_owner,
        account.public_key.hex(),
        account.version,
        to_time(account.created_at),
        None if account.expires_at is None else to_time(account.expires_at),
    )
