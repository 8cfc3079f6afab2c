"""People as other nodes know them: by a key (app/sync/PROTOCOL.md)."""

import msgspec

from app.accounts import queries
from app.accounts.credentials import Credentials
from app.accounts.model import ANONYMOUS_MS, Account
from app.store.tx import Reader, Tx


class People:
    """Accounts by key, hexadecimal. A person may have several: the one made with the account, and linked ones."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def account_of_in(self, reader: Reader, key: str) -> str | None:
        """The account a key names here, None where it names nobody."""
        return queries.account_of_key(reader, bytes.fromhex(key))

    def known_in(self, tx: Tx, key: str, name: str, *, anonymous: bool = False) -> str:
        """The account a key names here; made, without a way to sign in, where it names nobody yet."""
        account_id = self.account_of_in(tx, key)
        if account_id is not None:
            return account_id
        ends = tx.now + ANONYMOUS_MS if anonymous else None
        account = Account(
            tx.new_id(), None, name, None, bytes.fromhex(key), None, False, 1, tx.now, ends, elsewhere=True
        )
        queries.insert_account(tx, account)
        self._credentials.accounts.put(tx, account.id, account)
        return account.id

    def called_in(self, tx: Tx, account_id: str, name: str, *, anonymous: bool | None = None) -> bool:
        """What somebody who is only known from elsewhere is called; who signs in here names themselves.

        `anonymous`: whether they have no login there; None: as it was. Returns whether anything is another.
        """
        account = queries.account(tx, account_id)
        if account is None or not account.elsewhere:
            return False
        ends = account.expires_at
        if anonymous is not None and anonymous is not account.anonymous:
            ends = tx.now + ANONYMOUS_MS if anonymous else None
        changed = msgspec.structs.replace(account, name=name or account.name, expires_at=ends)
        if changed == account:
            return False
        queries.update_account(tx, changed)
        self._credentials.accounts.put(tx, account_id, changed)
        return True

    def key_of_in(self, reader: Reader, account_id: str | None) -> str | None:
        """The key an account was made with, which names it; None: no such account."""
        return next(iter(self.keys_in(reader, account_id or "")), None)

    def key_in(self, reader: Reader, home_id: str, account_id: str | None, known: str | None = None) -> str | None:
        """The key that names an account to a home: `known` if that does, else the one that is a member there.

        Who is none is named by the key their account was made with; None: no such account.
        """
        keys = self.keys_in(reader, account_id or "")
        if known in keys:
            return known
        # Only who has several can be a member by another.
        return (queries.key_in_home(reader, account_id or "", home_id) if keys[1:] else None) or next(iter(keys), None)

    def name_of(self, account_id: str | None) -> str:
        """What somebody is called, from memory; empty: nobody."""
        account = self._credentials.accounts.get(account_id or "")
        return "" if account is None else account.name

    def named_in(self, reader: Reader, home_id: str, account_id: str | None, known: str | None) -> str | None:
        """`key_in`, and for an account that is gone what it was `known` by: who did something stays that."""
        return (self.key_in(reader, home_id, account_id, known) or known) if account_id else None

    def keys_in(self, reader: Reader, account_id: str) -> list[str]:
        """Every key that names an account, the one it was made with first."""
        return [key.hex() for key in queries.keys_naming(reader, account_id)]
