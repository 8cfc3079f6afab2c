"""Sessions: opening one, keeping it by rotating refresh tokens, ending it."""

from typing import Final

import msgspec

from app.accounts import queries
from app.accounts.codes import hash_token, new_token
from app.accounts.credentials import Credentials
from app.accounts.model import (
    ACCESS_MS,
    REFRESH_MS,
    Account,
    PersonOnly,
    RefreshFailed,
    RefreshReused,
    Session,
    SessionView,
    SignedIn,
)
from app.accounts.screen_queries import forget_approved
from app.caller import Caller, demand
from app.clock import to_time
from app.errors import NotFound
from app.policy import SYSTEM, Action, Actor, Resource
from app.store.retention import KEEP
from app.store.store import Store
from app.store.tx import Change, Tx

# A phone whose answer was lost on the way asks again within seconds, and gets the same answer: without this every lost
# packet would look like a theft. Later, or once a newer token was traded in, the same token means a copy exists.
GRACE_MS: Final = 30_000
MS: Final = 1000


class Sessions:
    """The sessions of all accounts. A session is a phone, a browser or a screen: each has its own tokens."""

    def __init__(self, store: Store, credentials: Credentials, access_ms: int = ACCESS_MS) -> None:
        self._store = store
        self._credentials = credentials
        self._access_ms = access_ms

    def start_housekeeping(self) -> None:
        """Have sessions that nobody can refresh any more removed; the store must be open."""
        self._store.housekeeping.register("sessions", self._sweep)

    def open_in(self, tx: Tx, account: Account, *, name: str, address: str) -> SignedIn:
        """A new session of `account`, inside `tx`. At the limit the one used longest ago gives way."""
        for old in self._surplus(tx, account.id):
            self.end_in(tx, Actor(account.id), old)
        access, refresh = new_token("dsa"), new_token("dsr")
        session = Session(
            tx.new_id(),
            account.id,
            name,
            hash_token(access),
            tx.now + self._access_ms,
            hash_token(refresh),
            tx.now + REFRESH_MS,
            address,
            created_at=tx.now,
            used_at=tx.now,
        )
        queries.insert_session(tx, session)
        self._credentials.sessions.put(tx, session.id, session)
        by = Actor(account.id, session.id)
        tx.record(by, _change("created", session, {"name": name, "address": address}))
        return self._signed_in(session, access, refresh)

    def end_in(self, tx: Tx, by: Actor, session: Session) -> None:
        """End `session`: its tokens open nothing any more, its event streams close."""
        queries.delete_session(tx, session.id)
        self._credentials.sessions.drop(tx, session.id)
        tx.record(by, _change("ended", session, {"name": session.name}))

    def end_all_in(self, tx: Tx, by: Actor, account_id: str, *, but: str | None = None) -> int:
        """End every session of an account, but for one, those about to begin on screens too; returns how many."""
        forget_approved(tx, account_id)
        ending = [session for session in queries.sessions_of(tx, account_id) if session.id != but]
        for session in ending:
            self.end_in(tx, by, session)
        return len(ending)

    async def refresh(self, token: str, *, address: str) -> SignedIn:
        """New tokens for a refresh token, which is spent by it.

        Raises RefreshFailed, or RefreshReused after ending the session the token belonged to.
        """
        digest = hash_token(token)
        result = await self._store.write(lambda tx: self._refresh_in(tx, digest, address))
        if isinstance(result, SignedIn):
            return result
        raise result

    def _refresh_in(self, tx: Tx, digest: bytes, address: str) -> SignedIn | RefreshFailed:
        """A reuse is returned, not raised: what it ends must be committed."""
        session = queries.session_of_refresh(tx, digest)
        if session is None:
            return self._spent_in(tx, digest)
        account = queries.account(tx, session.account_id)
        if account is None or session.refresh_until <= tx.now or account.over(tx.now):
            return RefreshFailed()
        access, refresh = new_token("dsa"), new_token("dsr")
        renewed = msgspec.structs.replace(
            session,
            access_hash=hash_token(access),
            access_until=tx.now + self._access_ms,
            refresh_hash=hash_token(refresh),
            refresh_until=tx.now + REFRESH_MS,
            address=address,
            used_at=tx.now,
        )
        answer = self._signed_in(renewed, access, refresh)
        queries.spend_refresh(tx, session)
        sealed = self._store.vault.seal(msgspec.json.encode(answer), _answer_row(session.id))
        queries.update_session(tx, renewed, sealed)
        self._credentials.sessions.put(tx, renewed.id, renewed)
        return answer

    def _spent_in(self, tx: Tx, digest: bytes) -> SignedIn | RefreshFailed:
        spent = queries.spent_refresh(tx, digest)
        if spent is None:
            return RefreshFailed()
        session_id, at, sealed, latest = spent
        if latest and sealed is not None and tx.now < at + GRACE_MS:
            return msgspec.json.decode(self._store.vault.unseal(sealed, _answer_row(session_id)), type=SignedIn)
        if (session := queries.session(tx, session_id)) is not None:
            tx.record(Actor(session.account_id), _change("refresh_reused", session, {"name": session.name}))
            self.end_in(tx, Actor(session.account_id), session)
        return RefreshReused()

    async def lend(self, account: Account, life_ms: int) -> str:
        """A token that acts as `account` for `life_ms`, kept in memory alone: for the command on this machine."""
        facts = {"seconds": life_ms // MS}
        told = Change("account.token_lent", "account", account.id, None, Action.SELF, facts, account_id=account.id)
        await self._store.write(lambda tx: tx.record(SYSTEM, told))
        return self._credentials.lend(account, life_ms, self._store.clock.now())

    def list_mine(self, actor: Actor) -> list[SessionView]:
        """The caller's sessions, the newest first."""
        self.demand_person(actor)
        mine = [s for s in self._credentials.sessions.values() if s.account_id == actor.account_id]
        return [_view(s, actor) for s in sorted(mine, key=lambda s: s.id, reverse=True)]

    async def rename(self, by: Caller, session_id: str, name: str) -> SessionView:
        """Call one of the caller's sessions `name`; raises NotFound."""
        return await self._store.write(
            lambda tx: self._rename_in(tx, by, session_id, name), once=by.once, returns=SessionView
        )

    def _rename_in(self, tx: Tx, by: Caller, session_id: str, name: str) -> SessionView:
        old = self._own_in(tx, by.actor, session_id)
        session = msgspec.structs.replace(old, name=name)
        queries.update_session(tx, session)
        self._credentials.sessions.put(tx, session_id, session)
        tx.record(by.actor, _change("renamed", session, {"name": name}))
        return _view(session, by.actor)

    async def revoke(self, by: Caller, session_id: str) -> None:
        """End one of the caller's sessions; raises NotFound."""

        def act(tx: Tx) -> None:
            self.end_in(tx, by.actor, self._own_in(tx, by.actor, session_id))

        await self._store.write(act, once=by.once, returns=type(None))

    async def sign_out(self, by: Caller) -> None:
        """End the session the request came with."""
        await self.revoke(by, by.actor.credential_id or "")

    async def revoke_others(self, by: Caller) -> int:
        """End every other session of the caller; returns how many there were."""
        return await self._store.write(lambda tx: self._revoke_others_in(tx, by), once=by.once, returns=int)

    def _revoke_others_in(self, tx: Tx, by: Caller) -> int:
        account_id = self.demand_person(by.actor)
        return self.end_all_in(tx, by.actor, account_id, but=by.actor.credential_id)

    def demand_person(self, actor: Actor) -> str:
        """The caller's account, for what only a person may do to it; raises NotFound, Refused, PersonOnly."""
        demand(actor, Action.SELF, Resource(account_id=actor.account_id), self._store.clock.now())
        if actor.account_id is None:
            raise NotFound
        if not self._credentials.is_person(actor):
            raise PersonOnly
        return actor.account_id

    def _own_in(self, tx: Tx, actor: Actor, session_id: str) -> Session:
        account_id = self.demand_person(actor)
        session = queries.session(tx, session_id)
        if session is None or session.account_id != account_id:
            raise NotFound
        return session

    def _surplus(self, tx: Tx, account_id: str) -> list[Session]:
        held, most = queries.sessions_of(tx, account_id), KEEP["sessions"].most or 1
        return held[: max(0, len(held) - most + 1)]

    def _signed_in(self, session: Session, access: str, refresh: str) -> SignedIn:
        return SignedIn(session.account_id, session.id, access, refresh, self._access_ms // MS)

    def _sweep(self, tx: Tx) -> int:
        ending = queries.expired_sessions(tx, tx.now)
        for session_id in ending:
            queries.delete_session(tx, session_id)
            self._credentials.sessions.drop(tx, session_id)
        return len(ending)


def _answer_row(session_id: str) -> str:
    return f"session/{session_id}/answer"


def _change(verb: str, session: Session, data: dict[str, str]) -> Change:
    return Change(f"session.{verb}", "session", session.id, None, Action.SELF, data, account_id=session.account_id)


def _view(session: Session, actor: Actor) -> SessionView:
    return SessionView(
        session.id,
        session.name,
        session.address,
        session.id == actor.credential_id,
        to_time(session.created_at),
        to_time(session.used_at),
        to_time(session.refresh_until),
    )
