"""Signing in with a digest of the password, for clients of other people's APIs that never send the password itself.

To them the digest is the password, so that it is kept as one is: as argon2id of it, and only for who asked for that.
"""

import hashlib
from enum import StrEnum

from app.accounts.credentials import Credentials
from app.accounts.model import Account, SignInFailed, normal_login, normal_password
from app.accounts.passwords import Passwords
from app.accounts.service import change
from app.accounts.signing_in import SigningIn
from app.caller import Caller
from app.store.store import Store
from app.store.tx import Reader, Tx


class Digest(StrEnum):
    """Which digest of a password, in lower-case hexadecimal."""

    MD5 = "md5"
    SHA256 = "sha256"

    def of(self, password: str) -> str:
        """The digest of a password."""
        return hashlib.new(self.value, normal_password(password), usedforsecurity=False).hexdigest()


class DigestLogins:
    """Off for everybody until they turn it on with their password; a new password turns it off."""

    def __init__(self, store: Store, credentials: Credentials, signing_in: SigningIn, passwords: Passwords) -> None:
        self._store = store
        self._credentials = credentials
        self._signing_in = signing_in
        self._passwords = passwords
        signing_in.on_new_password.append(_forget_in)

    async def turn_on(self, by: Caller, password: str) -> None:
        """Let the caller sign in so; raises PasswordWrong, TooManyAttempts."""
        account = await self._signing_in.checked(by, password)
        verifiers = [await self._passwords.hash(digest.of(password)) for digest in Digest]

        def act(tx: Tx) -> None:
            self._signing_in.unchanged_in(tx, account)
            sql = "INSERT OR REPLACE INTO digest_logins(account_id,md5,sha256) VALUES(?,?,?)"
            tx.run(sql, (account.id, *verifiers))
            tx.record(by.actor, change("digest_login_on", account))

        await self._store.write(act)

    async def turn_off(self, by: Caller) -> None:
        """No longer."""
        account_id = self._signing_in.demand_person(by)
        account = self._credentials.accounts.get(account_id)

        def act(tx: Tx) -> None:
            if account is not None:
                _forget_in(tx, account)
                tx.record(by.actor, change("digest_login_off", account))

        await self._store.write(act)

    async def check(self, login: str, digest: Digest, given: str, *, address: str) -> Account:
        """The account that a login and the digest of its password are of.

        Raises SignInFailed (alike, and after as long, for a login nobody has), TooManyAttempts.
        """
        account = self._signing_in.attempt_as(normal_login(login), address)
        verifier = None if account is None else await self._store.read(lambda r: _verifier(r, account.id, digest))
        if not await self._passwords.verify(verifier, given.lower()) or account is None:
            raise SignInFailed
        self._signing_in.was_right(normal_login(login), address)
        return account


def _verifier(reader: Reader, account_id: str, digest: Digest) -> str | None:
    row = reader.one("SELECT md5,sha256 FROM digest_logins WHERE account_id=?", (account_id,))
    return None if row is None else row[list(Digest).index(digest)]


def _forget_in(tx: Tx, account: Account) -> None:
    tx.run("DELETE FROM digest_logins WHERE account_id=?", (account.id,))
