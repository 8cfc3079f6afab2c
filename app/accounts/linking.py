"""Keys that name an account: the one it was made with, and those its person proved to be theirs as well.

A home that is kept by a hub and a cloud names its members by their keys (app/sync/PROTOCOL.md). Somebody with an
account at each is two people to them until they link the key of one to the other.
"""

from collections.abc import Callable

from msgspec import Struct

from app.accounts import queries
from app.accounts.model import Account
from app.accounts.proofs import Purpose
from app.accounts.proving import Proving
from app.accounts.service import Accounts, change
from app.accounts.sessions import Sessions
from app.accounts.signing_in import SigningIn
from app.caller import Caller
from app.clock import Time, to_time
from app.errors import Conflict, NotFound, Refused, TooMany
from app.policy import Actor
from app.store.retention import KEEP, demand_room
from app.store.store import Store
from app.store.tx import Reader, Tx

# Told inside the transaction in which an account that was only known from elsewhere turns out to be somebody's here
# (an account id): what it has becomes theirs. Its keys are theirs already; it is still there, and goes afterwards.
Linked = Callable[[Tx, Caller, Account, str], None]
# Why a key (hexadecimal) must go on naming an account, in words; nothing: it need not.
KeyNeeds = Callable[[Reader, str, str], list[str]]


class KeyTaken(Conflict):
    """This key names an account here that somebody signs in to."""

    code = "key_taken"
    hint = "Sign in to that account instead; or, if it has no login, end its sessions first."


class OwnKey(Conflict):
    """The key an account was made with always names it."""

    code = "own_key"


class KeyNeeded(Conflict):
    """The account is known by this key in a home; `facts['reasons']` say where."""

    code = "key_needed"
    hint = "Leave the home first, or keep the key."


class NamingKey(Struct, frozen=True):
    """A public key (Ed25519, hexadecimal) that names the caller's account.

    `own`: the account was made with it, here or at another hub. `signs_in`: a proof of it opens a session; after the
    account was recovered none does until it is linked again.
    """

    public_key: str
    own: bool
    signs_in: bool
    linked_at: Time


class Linking:
    """The keys that name accounts. `on_linked` and `needs` are filled by what names people by key (see services)."""

    def __init__(
        self, store: Store, accounts: Accounts, sessions: Sessions, signing_in: SigningIn, proving: Proving
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._sessions = sessions
        self._signing_in = signing_in
        self._proving = proving
        self.on_linked: list[Linked] = []
        self.needs: list[KeyNeeds] = []

    async def link(self, by: Caller, *, public_key: str, proof: str) -> NamingKey:
        """From now on the key names the caller's account, and what was known here under it alone is theirs.

        Raises ProofWrong, ChallengeOver, KeyTaken, Refused (for who has no login), TooMany, TooManyAttempts, and what
        stands in the way of joining both (Conflict).
        """
        self._demand_lasting(by.actor)
        if (before := await self._store.answered(by.once, NamingKey)) is not None:
            return before.answer
        self._signing_in.attempt(by.address)
        key = bytes.fromhex(public_key)
        self._proving.spend(self._proving.check(key, proof, Purpose.LINK))
        linked = await self._store.write(lambda tx: self._link_in(tx, by, key), once=by.once, returns=NamingKey)
        self._proving.succeeded(by.address)
        return linked

    def _link_in(self, tx: Tx, by: Caller, key: bytes) -> NamingKey:
        account = self._accounts.get_in(tx, self._demand_lasting(by.actor))
        other_id = queries.account_of_key(tx, key)
        if other_id is None:
            demand_room(tx, "account_keys", account.id)
        elif other_id != account.id:
            self._take_over_in(tx, by, self._accounts.get_in(tx, other_id), account)
        queries.link_key(tx, key, account.id)
        tx.record(by.actor, change("key_linked", account, {"public_key": key.hex()}))
        return NamingKey(key.hex(), key == account.public_key, signs_in=True, linked_at=to_time(tx.now))

    def _take_over_in(self, tx: Tx, by: Caller, other: Account, account: Account) -> None:
        """`other` was known from elsewhere alone, and is `account`'s person: all it has is theirs, and it goes."""
        if not other.elsewhere or any(s.refresh_until > tx.now for s in queries.sessions_of(tx, other.id)):
            raise KeyTaken
        most = KEEP["account_keys"].most or 1
        if len(queries.keys_naming(tx, account.id)) + len(queries.keys_naming(tx, other.id)) > most:
            raise TooMany(f"An account can be named by at most {most} keys.", most=most)
        # Before what is named by them: whoever asks who a member is finds the same key as ever.
        queries.hand_keys_on(tx, other.id, account.id)
        for linked in self.on_linked:
            linked(tx, by, other, account.id)
        self._accounts.remove_in(tx, by, other)

    async def list_mine(self, actor: Actor) -> list[NamingKey]:
        """The keys that name the caller, the one the account was made with first."""
        account_id = self._sessions.demand_person(actor)
        return await self._store.read(lambda reader: self._list_in(reader, account_id))

    def _list_in(self, reader: Reader, account_id: str) -> list[NamingKey]:
        own = self._accounts.get_in(reader, account_id).public_key
        found = queries.naming_rows(reader, account_id)
        return [NamingKey(key.hex(), key == own, bool(signs_in), to_time(at)) for key, signs_in, at in found]

    async def unlink(self, by: Caller, public_key: str) -> None:
        """A linked key names the caller no more; raises NotFound, OwnKey, KeyNeeded."""
        await self._store.write(lambda tx: self._unlink_in(tx, by, public_key), once=by.once, returns=type(None))

    def _unlink_in(self, tx: Tx, by: Caller, public_key: str) -> None:
        account = self._accounts.get_in(tx, self._sessions.demand_person(by.actor))
        key = next((key for key in queries.keys_naming(tx, account.id) if key.hex() == public_key), None)
        if key is None:
            raise NotFound
        if key == account.public_key:
            raise OwnKey
        if reasons := [reason for needs in self.needs for reason in needs(tx, account.id, public_key)]:
            raise KeyNeeded(f"The key cannot go: {'; '.join(reasons)}.", reasons=reasons)
        queries.unlink_key(tx, key)
        tx.record(by.actor, change("key_unlinked", account, {"public_key": public_key}))

    def account_recovered_in(self, tx: Tx, by: Caller, account: Account) -> None:
        """Whoever was in somebody's account has no way back in by a key they linked to it."""
        queries.stop_signing_in(tx, account.id)

    def _demand_lasting(self, actor: Actor) -> str:
        account_id = self._sessions.demand_person(actor)
        if actor.anonymous:
            raise Refused("An account without a login has no other keys: it ends by itself, and they would with it.")
        return account_id
