"""Shares as their receivers accept, refuse, list and give them back."""

from collections.abc import Callable

from app.accounts.codes import hash_code
from app.accounts.service import Accounts
from app.accounts.sessions import Sessions
from app.caller import Caller
from app.clock import Moment
from app.errors import ClockUntrusted, NotFound, TooMany
from app.homes.code_tries import CodeTries
from app.homes.model import AlreadyMember
from app.homes.standing import Standings
from app.policy import Actor
from app.sharing import queries
from app.sharing.ledger import Ledger
from app.sharing.model import (
    MAX_RECEIVED,
    ReceivedView,
    Share,
    ShareEnded,
    ShareState,
    ShareUnknown,
    received_view,
)
from app.sharing.things import Sharable
from app.store.store import Store
from app.store.tx import Reader, Tx

# Finds the share somebody (an account id) asks for; raises NotFound.
Find = Callable[[Reader, str], Share]


class Receiving:
    """Shares from outside. Codes that no share has are all answered alike, and counted."""

    def __init__(
        self,
        store: Store,
        *,
        standings: Standings,
        ledger: Ledger,
        sharable: Sharable,
        accounts: Accounts,
        sessions: Sessions,
        tries: CodeTries,
    ) -> None:
        self._store = store
        self._standings = standings
        self._ledger = ledger
        self._sharable = sharable
        self._accounts = accounts
        self._sessions = sessions
        self._tries = tries

    async def list(self, actor: Actor, after: str, limit: int) -> list[ReceivedView]:
        """At most `limit` shares the caller has or can accept, after the id `after`."""
        account_id, now = self._sessions.demand_person(actor), self._store.clock.now()
        found = await self._store.read(lambda r: queries.received(r, account_id, after, now.ms, limit))
        return [self._view(share, now) for share in found]

    async def look(self, by: Caller, code: str) -> ReceivedView:
        """What a code offers; raises ShareUnknown, ShareEnded, TooManyAttempts."""
        self._sessions.demand_person(by.actor)
        with self._tries.trying(by, ShareUnknown):
            share = await self._store.read(lambda r: self._still_open(_of_code(r, code)))
        return self._view(share, self._store.clock.now())

    async def accept_code(self, by: Caller, code: str) -> ReceivedView:
        """`accept` by code; raises ShareUnknown and TooManyAttempts besides."""
        with self._tries.trying(by, ShareUnknown):
            return await self._accept(by, lambda r, _: _of_code(r, code))

    async def accept(self, by: Caller, share_id: str) -> ReceivedView:
        """The caller has it from now on; a repeat changes nothing.

        Raises NotFound, ShareEnded, AlreadyMember, TooMany, ClockUntrusted.
        """
        return await self._accept(by, lambda r, account_id: _offered(r, account_id, share_id))

    async def refuse_code(self, by: Caller, code: str) -> None:
        """`refuse` by code; raises ShareUnknown and TooManyAttempts besides."""
        with self._tries.trying(by, ShareUnknown):
            await self._end(by, lambda r, _: self._still_open(_of_code(r, code)))

    async def refuse(self, by: Caller, share_id: str) -> None:
        """It is not wanted, and ends; raises NotFound, ShareEnded."""
        await self._end(by, lambda r, account_id: self._still_open(_offered(r, account_id, share_id)))

    async def give_back(self, by: Caller, share_id: str) -> None:
        """The caller no longer has it, or never wanted it; raises NotFound, ShareEnded."""
        await self._end(by, lambda r, account_id: _offered(r, account_id, share_id))

    async def _accept(self, by: Caller, find: Find) -> ReceivedView:
        account_id = self._sessions.demand_person(by.actor)

        def act(tx: Tx) -> ReceivedView:
            share = find(tx, account_id)
            if share.state is not ShareState.ACCEPTED or share.receiver_id != account_id:
                share = self._take_in(tx, by, share, account_id)
            return self._view(share, tx.moment)

        return await self._store.write(act, once=by.once, returns=ReceivedView)

    def _take_in(self, tx: Tx, by: Caller, share: Share, account_id: str) -> Share:
        if not self._ledger.still_meant_in(tx, self._still_open(share)):
            raise ShareEnded
        if self._standings.of_in(tx, Actor(account_id), share.home_id).role is not None:
            raise AlreadyMember
        if queries.count_received(tx, account_id) >= MAX_RECEIVED:
            raise TooMany(f"One account can be given at most {MAX_RECEIVED} things.", most=MAX_RECEIVED)
        return self._ledger.accept_in(tx, by, share, account_id)

    async def _end(self, by: Caller, find: Find) -> None:
        account_id = self._sessions.demand_person(by.actor)

        def act(tx: Tx) -> None:
            share = find(tx, account_id)
            if share.state not in (ShareState.PENDING, ShareState.ACCEPTED):
                raise ShareEnded
            had = share.state is ShareState.ACCEPTED
            self._ledger.end_in(tx, by, share, ShareState.ENDED if had else ShareState.REFUSED)

        await self._store.write(act, once=by.once, returns=type(None))

    def _still_open(self, share: Share) -> Share:
        """Itself while it can be accepted; its end is judged only by a clock that can be believed."""
        now = self._store.clock.now()
        if share.state is ShareState.PENDING and not now.trusted:
            raise ClockUntrusted
        if share.state_at(now) is not ShareState.PENDING:
            raise ShareEnded
        return share

    def _view(self, share: Share, now: Moment) -> ReceivedView:
        home = self._standings.homes.get(share.home_id)
        return received_view(
            share,
            self._sharable[share.kind].name_of(share.thing_id),
            self._accounts.name_of(share.giver_id),
            "UTC" if home is None else home.time_zone,
            now,
        )


def _of_code(reader: Reader, code: str) -> Share:
    share = queries.by_code(reader, hash_code(code))
    if share is None:
        raise ShareUnknown
    return share


def _offered(reader: Reader, account_id: str, share_id: str) -> Share:
    share = queries.for_account(reader, account_id, share_id)
    if share is None:
        raise NotFound
    return share
