"""Phones that a home's secrets are sealed for: each has a key pair of its own, and tells the public half (X25519)."""

from collections.abc import Callable
from typing import Annotated

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from msgspec import Meta, Struct

from app.accounts.model import Account, PersonName
from app.accounts.sessions import Sessions
from app.caller import Caller
from app.clock import Time, to_time
from app.errors import Invalid, NotFound, Refused, TooMany
from app.policy import Action, Actor
from app.store.retention import KEEP, demand_room
from app.store.store import Store
from app.store.tx import Change, Tx
from app.store.tx import Reader as Rows

SealKey = Annotated[str, Meta(min_length=64, max_length=64, pattern="^[0-9a-f]{64}$")]

_READER = "SELECT id,account_id,name,seal_key,created_at FROM readers"
_INSERT = "INSERT INTO readers(id,account_id,name,seal_key,created_at) VALUES(?,?,?,?,?)"
# Told inside the transaction in which an account's readers have changed: what is sealed for them is sealed anew.
Changed = Callable[[Tx, Caller, str], None]


class Reader(Struct, frozen=True, gc=False):
    """One phone of an account; `seal_key` is X25519."""

    id: str
    account_id: str
    name: str
    seal_key: bytes
    created_at: int


class NewReader(Struct, frozen=True, forbid_unknown_fields=True):
    """What the phone is called, and the key to seal for (X25519, hexadecimal); the private half stays on the phone."""

    name: PersonName
    seal_key: SealKey


class ReaderView(Struct, frozen=True):
    """A phone that secrets are sealed for. Compare `seal_key` with what the phone itself shows."""

    id: str
    name: str
    seal_key: str
    created_at: Time


class Readers:
    """The phones of all accounts. `on_changed` is filled by what seals secrets (see services)."""

    def __init__(self, store: Store, sessions: Sessions) -> None:
        self._store = store
        self._sessions = sessions
        self.on_changed: list[Changed] = []

    def of_account_in(self, reader: Rows, account_id: str) -> list[Reader]:
        """The phones of an account, the oldest first."""
        return [Reader(*row) for row in reader.all(f"{_READER} WHERE account_id=? ORDER BY id", (account_id,))]

    async def add(self, by: Caller, new: NewReader) -> ReaderView:
        """Have secrets sealed for a phone of the caller's too; raises Invalid, Refused (for who has no login), TooMany.

        The same key again is the same phone, by its newer name.
        """
        return await self._store.write(lambda tx: self.add_in(tx, by, new), once=by.once, returns=ReaderView)

    def add_in(self, tx: Tx, by: Caller, new: NewReader) -> ReaderView:
        """`add` inside `tx`."""
        account_id = self._sessions.demand_person(by.actor)
        if by.actor.anonymous:
            raise Refused("Nothing is sealed for an account without a login.")
        key = _checked(new.seal_key)
        old = next((r for r in self.of_account_in(tx, account_id) if r.seal_key == key), None)
        if old is not None:
            reader = msgspec.structs.replace(old, name=new.name)
            tx.run("UPDATE readers SET name=? WHERE id=?", (reader.name, reader.id))
            self._tell_in(tx, by, "renamed", reader)
            return _view(reader)
        demand_room(tx, "readers", account_id)
        reader = Reader(tx.new_id(), account_id, new.name, key, tx.now)
        tx.run(_INSERT, msgspec.structs.astuple(reader))
        self._tell_in(tx, by, "added", reader)
        self._changed_in(tx, by, account_id)
        return _view(reader)

    async def list_mine(self, actor: Actor) -> list[ReaderView]:
        """The caller's phones, the oldest first."""
        account_id = self._sessions.demand_person(actor)
        return await self._store.read(lambda reader: [_view(r) for r in self.of_account_in(reader, account_id)])

    async def remove(self, by: Caller, reader_id: str) -> None:
        """Nothing more is sealed for one of the caller's phones; raises NotFound."""
        await self._store.write(lambda tx: self.remove_in(tx, by, reader_id), once=by.once, returns=type(None))

    def remove_in(self, tx: Tx, by: Caller, reader_id: str) -> None:
        """`remove` inside `tx`."""
        account_id = self._sessions.demand_person(by.actor)
        reader = next((r for r in self.of_account_in(tx, account_id) if r.id == reader_id), None)
        if reader is None:
            raise NotFound
        self._remove_in(tx, by, reader)
        self._changed_in(tx, by, account_id)

    def account_linked_in(self, tx: Tx, by: Caller, account: Account, to: str) -> None:
        """The phones of `account` are the account `to`'s from now on; raises TooMany."""
        moving, most = self.of_account_in(tx, account.id), KEEP["readers"].most or 1
        if not moving:
            return
        if len(moving) + len(self.of_account_in(tx, to)) > most:
            raise TooMany(f"Secrets can be sealed for at most {most} phones of one account.", most=most)
        tx.run("UPDATE readers SET account_id=? WHERE account_id=?", (to, account.id))
        self._changed_in(tx, by, to)

    def account_recovered_in(self, tx: Tx, by: Caller, account: Account) -> None:
        """Whoever was in somebody's account reads nothing more on a phone they added to it."""
        ending = self.of_account_in(tx, account.id)
        for reader in ending:
            self._remove_in(tx, by, reader)
        if ending:
            self._changed_in(tx, by, account.id)

    def _remove_in(self, tx: Tx, by: Caller, reader: Reader) -> None:
        tx.run("DELETE FROM readers WHERE id=?", (reader.id,))
        self._tell_in(tx, by, "removed", reader)

    def _tell_in(self, tx: Tx, by: Caller, verb: str, reader: Reader) -> None:
        facts = {"name": reader.name, "seal_key": reader.seal_key.hex()}
        mine = reader.account_id
        tx.record(by.actor, Change(f"reader.{verb}", "reader", reader.id, None, Action.SELF, facts, account_id=mine))

    def _changed_in(self, tx: Tx, by: Caller, account_id: str) -> None:
        for changed in self.on_changed:
            changed(tx, by, account_id)


def can_be_sealed_for(public_key: bytes) -> bool:
    """Whether that is a key (X25519) to seal for: with some everybody would share the same secret."""
    try:
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(public_key))
    except ValueError:
        return False
    return True


def _checked(text: str) -> bytes:
    """The key; raises Invalid."""
    key = bytes.fromhex(text)
    if not can_be_sealed_for(key):
        raise Invalid("seal_key: not a public key of X25519 that can be sealed for")
    return key


def _view(reader: Reader) -> ReaderView:
    return ReaderView(reader.id, reader.name, reader.seal_key.hex(), to_time(reader.created_at))
