"""Signing in with a password, changing it, and coming back in when it is lost."""

from collections.abc import Callable

import msgspec

from app.accounts import queries
from app.accounts.attempts import PER_ACCOUNT, PER_ADDRESS, Allowance, Attempts, peer_of
from app.accounts.codes import hash_code, new_code, same
from app.accounts.credentials import Credentials
from app.accounts.model import (
    Account,
    NotAnonymous,
    Password,
    PasswordWrong,
    Recoverable,
    RecoveryFailed,
    SignedIn,
    SignInFailed,
    normal_login,
)
from app.accounts.passwords import Passwords
from app.accounts.service import RECOVERY_LETTERS, Accounts, change
from app.accounts.sessions import Sessions
from app.caller import BY_SYSTEM, Caller
from app.errors import Invalid, NotFound
from app.policy import Actor
from app.store.store import Store
from app.store.tx import Tx

# Told inside the transaction in which an account got a new password without the old one.
Recovered = Callable[[Tx, Caller, Account], None]


class SigningIn:
    """Password sign-in and recovery. `on_recovered` is filled by what tells others of it (see server)."""

    def __init__(
        self,
        store: Store,
        credentials: Credentials,
        accounts: Accounts,
        sessions: Sessions,
        passwords: Passwords,
        *,
        per_account: Allowance = PER_ACCOUNT,
        per_address: Allowance = PER_ADDRESS,
    ) -> None:
        self._store = store
        self._credentials = credentials
        self._accounts = accounts
        self._sessions = sessions
        self._passwords = passwords
        self._by_account = Attempts(per_account)
        self._by_address = Attempts(per_address)
        self.on_recovered: list[Recovered] = []
        self.on_new_password: list[Callable[[Tx, Account], None]] = []

    def attempt(self, address: str) -> None:
        """Count an attempt to get in from `address` that names no account; raises TooManyAttempts."""
        self._by_address.take(peer_of(address), self._store.clock.now().ms)

    def succeeded(self, address: str) -> None:
        """The attempt from `address` was right, and does not count."""
        self._by_address.give_back(peer_of(address))

    async def sign_in(self, *, login: str, password: str, name: str, address: str) -> SignedIn:
        """A session for a login and its password; `name` is what the phone is called.

        Raises SignInFailed (alike, and after as long, for a login nobody has), TooManyAttempts, TooMany.
        """
        login = normal_login(login)
        self._count(login, address)
        account = self._account(login)
        verifier = None if account is None else account.verifier
        right = await self._passwords.verify(verifier, password)
        if account is None or verifier is None or not right:
            raise SignInFailed
        fresh = await self._passwords.hash(password) if self._passwords.outdated(verifier) else None
        signed_in = await self._store.write(
            lambda tx: self._sign_in_in(tx, account.id, verifier, fresh=fresh, name=name, address=address)
        )
        self.was_right(login, address)
        return signed_in

    def _sign_in_in(
        self, tx: Tx, account_id: str, verifier: str, *, fresh: str | None, name: str, address: str
    ) -> SignedIn:
        account = queries.account(tx, account_id)
        if account is None or account.verifier != verifier:  # changed while it was being checked
            raise SignInFailed
        if fresh is not None:
            account = self._accounts.put_in(tx, msgspec.structs.replace(account, verifier=fresh))
        return self._sessions.open_in(tx, account, name=name, address=address)

    async def change_password(self, by: Caller, *, old: str, new: str) -> None:
        """Set a new password; the caller's other sessions end. Raises PasswordWrong, TooManyAttempts."""
        if await self._store.answered(by.once, type(None)) is not None:
            return
        account = await self.checked(by, old)
        verifier = await self._passwords.hash(new)

        def act(tx: Tx) -> None:
            self._set_password_in(tx, by, account, verifier, account.recovery_hash)
            self._sessions.end_all_in(tx, by.actor, account.id, but=by.actor.credential_id)

        await self._store.write(act, once=by.once, returns=type(None))

    async def upgrade(self, by: Caller, *, login: str, password: str) -> str:
        """Give the caller's account, which has none, a login; its memberships stay. Returns the recovery code.

        Raises NotAnonymous, LoginTaken (which counts, so that nobody lists logins by it), TooManyAttempts.
        """
        account_id = self._sessions.demand_person(by.actor)
        if (before := await self._store.answered(by.once, str)) is not None:
            return before.answer
        if self._has_login(account_id):
            raise NotAnonymous
        self.attempt(by.address)
        verifier, normal = await self._passwords.hash(password), normal_login(login)
        recovery = await self._store.write(
            lambda tx: self._accounts.upgrade_in(tx, by, normal, verifier), once=by.once, returns=str
        )
        self.succeeded(by.address)
        return recovery

    async def delete_account(self, by: Caller, *, password: str) -> None:
        """Delete the caller's account and what is only theirs; one without a login has no password to ask for.

        Raises PasswordWrong, TooManyAttempts, StillNeeded.
        """
        account_id = self._sessions.demand_person(by.actor)
        if self._has_login(account_id):
            await self.checked(by, password)
        await self._store.write(lambda tx: self._accounts.delete_in(tx, by, account_id))

    async def renew_recovery_code(self, by: Caller, *, password: str) -> str:
        """A new recovery code in the place of the old one; raises PasswordWrong, TooManyAttempts."""
        if (before := await self._store.answered(by.once, str)) is not None:
            return before.answer
        account = await self.checked(by, password)
        recovery = new_code(RECOVERY_LETTERS)

        def act(tx: Tx) -> str:
            current = self.unchanged_in(tx, account)
            renewed = self._accounts.put_in(tx, msgspec.structs.replace(current, recovery_hash=hash_code(recovery)))
            tx.record(by.actor, change("recovery_code_renewed", renewed))
            return recovery

        return await self._store.write(act, once=by.once, returns=str)

    async def recover(self, *, login: str, code: str, password: str, name: str, address: str) -> Recoverable:
        """A new password, a new recovery code and a session, for the recovery code; every other session and key ends.

        Raises RecoveryFailed (alike for a login nobody has), TooManyAttempts, TooMany.
        """
        login = normal_login(login)
        self._count(login, address)
        account, digest = self._account(login), hash_code(code)
        if not same(account.recovery_hash if account else None, digest) or account is None:
            raise RecoveryFailed
        verifier = await self._passwords.hash(password)

        def act(tx: Tx) -> Recoverable:
            by = Caller(Actor(account.id), address=address)
            current = queries.account(tx, account.id)
            if current is None or not same(current.recovery_hash, digest):  # one code, one recovery
                raise RecoveryFailed
            recovery = self._recover_in(tx, by, current, verifier)
            current = self._accounts.get_in(tx, account.id)
            return Recoverable(self._sessions.open_in(tx, current, name=name, address=address), recovery)

        result = await self._store.write(act)
        self.was_right(login, address)
        return result

    async def recover_on_the_machine(self, *, login: str, password: str) -> str:
        """The same for whoever holds the hub itself, without the code; returns the new code.

        Raises NotFound, Invalid.
        """
        try:
            msgspec.convert(password, Password)
        except msgspec.ValidationError as error:
            raise Invalid(f"password: {error}") from None
        verifier = await self._passwords.hash(password)
        login = normal_login(login)

        def act(tx: Tx) -> str:
            account = queries.account_of_login(tx, login)
            if account is None:
                raise NotFound("Nobody on this hub has this login.")
            return self._recover_in(tx, BY_SYSTEM, account, verifier)

        recovery = await self._store.write(act)
        self._by_account.forget(login)
        return recovery

    def _recover_in(self, tx: Tx, by: Caller, account: Account, verifier: str) -> str:
        recovery = new_code(RECOVERY_LETTERS)
        changed = msgspec.structs.replace(account, verifier=verifier, recovery_hash=hash_code(recovery))
        recovered = self._accounts.put_in(tx, changed)
        self._sessions.end_all_in(tx, by.actor, account.id)
        self._accounts.end_keys_in(tx, by.actor, account.id)
        on_machine = by is BY_SYSTEM
        tx.record(by.actor, change("recovered", recovered, {"on_the_machine": on_machine, "address": by.address}))
        for told in self.on_recovered:
            told(tx, by, recovered)
        for forgotten in self.on_new_password:
            forgotten(tx, recovered)
        return recovery

    def _set_password_in(self, tx: Tx, by: Caller, seen: Account, verifier: str, recovery_hash: bytes | None) -> None:
        current = self.unchanged_in(tx, seen)
        changed = msgspec.structs.replace(current, verifier=verifier, recovery_hash=recovery_hash)
        tx.record(by.actor, change("password_changed", self._accounts.put_in(tx, changed)))
        for told in self.on_new_password:
            told(tx, changed)

    def unchanged_in(self, tx: Tx, seen: Account) -> Account:
        """The account as it is now; raises PasswordWrong when the password that was checked is no longer the one."""
        current = queries.account(tx, seen.id)
        if current is None or current.verifier != seen.verifier:
            raise PasswordWrong
        return current

    async def checked(self, by: Caller, password: str) -> Account:
        """The caller's account, after their password; wrong ones count against it."""
        account = self._credentials.accounts.get(self._sessions.demand_person(by.actor))
        if account is None or account.login is None:
            raise NotFound
        self._by_account.take(account.login, self._store.clock.now().ms)
        if not await self._passwords.verify(account.verifier, password):
            raise PasswordWrong
        self._by_account.forget(account.login)
        return account

    def attempt_as(self, login: str, address: str) -> Account | None:
        """Count an attempt to sign in as `login`; whose it is. Raises TooManyAttempts."""
        self._count(login, address)
        return self._account(login)

    def demand_person(self, by: Caller) -> str:
        """The caller's account, for what only a person may do to it; raises NotFound, Refused, PersonOnly."""
        return self._sessions.demand_person(by.actor)

    def _has_login(self, account_id: str) -> bool:
        account = self._credentials.accounts.get(account_id)
        return account is not None and account.login is not None

    def _account(self, login: str) -> Account | None:
        account_id = self._credentials.by_login.get(login)
        return None if account_id is None else self._credentials.accounts.get(account_id)

    def _count(self, login: str, address: str) -> None:
        now = self._store.clock.now().ms
        self._by_address.take(peer_of(address), now)
        self._by_account.take(login, now)

    def was_right(self, login: str, address: str) -> None:
        """The attempt was, and does not count."""
        self._by_account.forget(login)
        self._by_address.give_back(peer_of(address))
