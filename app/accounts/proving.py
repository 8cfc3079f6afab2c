"""Being known at one node by the key of an account at another: challenges, proofs, and signing in by them."""

from msgspec import Struct

from app.accounts import queries
from app.accounts.challenges import Challenges
from app.accounts.hub import Hub
from app.accounts.model import Account, SignedIn
from app.accounts.proofs import ProofWrong, Purpose, ends_at, prove, verify
from app.accounts.service import change
from app.accounts.sessions import Sessions
from app.accounts.signing_in import SigningIn
from app.caller import Caller
from app.clock import Time, to_time
from app.errors import Conflict, Invalid, NotFound
from app.store.store import Store
from app.store.tx import Reader, Tx


class KeyElsewhere(Conflict):
    """The key of this account is kept by another hub, where the account was made."""

    code = "key_elsewhere"
    hint = "Have the proof made there."


class Challenge(Struct, frozen=True):
    """What a proof must answer: `nonce`, at `audience` (this hub's id), before `expires_at`. Good for one proof."""

    nonce: str
    audience: str
    expires_at: Time


class Proven(Struct, frozen=True):
    """An account's public key (Ed25519, hexadecimal), and a proof that whoever asked for it is its person."""

    public_key: str
    proof: str


class Proving:
    """Proofs of keys: made for the caller's own account, and checked for whoever comes with one."""

    def __init__(self, store: Store, sessions: Sessions, signing_in: SigningIn, hub: Hub) -> None:
        self._store = store
        self._sessions = sessions
        self._signing_in = signing_in
        self._hub = hub
        self._challenges = Challenges()

    def challenge(self, address: str) -> Challenge:
        """A nonce for whoever asks from `address`; raises TooManyAttempts, for it begins an attempt to get in."""
        audience = self._hub.view().id
        self._signing_in.attempt(address)
        nonce = self._challenges.new(self._store.clock.now().ms)
        return Challenge(nonce.hex(), audience, to_time(ends_at(nonce)))

    async def prove(self, by: Caller, *, audience: str, nonce: str, purpose: Purpose) -> Proven:
        """A proof for another hub that the caller is the person of this account; raises PersonOnly, KeyElsewhere."""
        if audience == self._hub.view().id:
            raise Invalid("audience: this is the hub itself; a proof is for another one")
        return await self._store.write(lambda tx: self._prove_in(tx, by, audience, bytes.fromhex(nonce), purpose))

    def _prove_in(self, tx: Tx, by: Caller, audience: str, nonce: bytes, purpose: Purpose) -> Proven:
        account = queries.account(tx, self._sessions.demand_person(by.actor))
        if account is None:
            raise NotFound
        private = self._store.vault.fetch(tx, f"account/{account.id}/key")
        if private is None:
            raise KeyElsewhere
        tx.record(by.actor, change("proved", account, {"audience": audience, "purpose": purpose}))
        return Proven(account.public_key.hex(), prove(private, purpose=purpose, audience=audience, nonce=nonce))

    async def sign_in(self, *, public_key: str, proof: str, name: str, address: str) -> SignedIn:
        """A session of the account a key names; `name` is what the phone is called.

        Raises ProofWrong (alike for a key that names nobody), ChallengeOver, TooManyAttempts, TooMany.
        """
        self._signing_in.attempt(address)
        key = bytes.fromhex(public_key)
        nonce = self.check(key, proof, Purpose.SIGN_IN)
        # First: who can prove keys that nobody has, and he has as many as he likes, uses up nothing here.
        await self._store.read(lambda reader: self._named_in(reader, key))
        self.spend(nonce)
        signed_in = await self._store.write(
            lambda tx: self._sessions.open_in(tx, self._named_in(tx, key), name=name, address=address)
        )
        self.succeeded(address)
        return signed_in

    def check(self, key: bytes, proof: str, purpose: Purpose) -> bytes:
        """The nonce that a right proof of `key` answers, to be spent; raises ProofWrong, ChallengeOver."""
        nonce = verify(proof, key, purpose=purpose, audience=self._hub.view().id)
        self._challenges.check(nonce, self._store.clock.now().ms)
        return nonce

    def spend(self, nonce: bytes) -> None:
        """No other proof answers it; raises ChallengeOver, TooMany."""
        self._challenges.spend(nonce, self._store.clock.now().ms)

    def succeeded(self, address: str) -> None:
        """The proof from `address` was right: neither it nor asking for its challenge counts."""
        self._signing_in.succeeded(address)
        self._signing_in.succeeded(address)

    def _named_in(self, reader: Reader, key: bytes) -> Account:
        account_id = queries.account_of_key(reader, key, to_sign_in=True)
        account = None if account_id is None else queries.account(reader, account_id)
        if account is None or account.over(self._store.clock.now().ms):
            raise ProofWrong
        return account
