"""Taking up an invitation: look, accept, refuse; signed in, by signing up, or without a login."""

from collections.abc import Callable

from app.accounts.codes import hash_code
from app.accounts.model import LoginTaken
from app.accounts.passwords import Passwords
from app.accounts.service import Accounts, NewAccount
from app.accounts.sessions import Sessions
from app.caller import Caller
from app.errors import ClockUntrusted, NotFound
from app.homes import invitation_queries, queries
from app.homes.code_tries import CodeTries
from app.homes.invitation_model import (
    Invitation,
    InvitationEnded,
    InvitationState,
    InvitationUnknown,
    LoginNeeded,
    OfferView,
    SignedUp,
    offer_view,
)
from app.homes.invitations import Invitations
from app.homes.members import Members
from app.homes.model import HomeView, Member, NotFullMember, home_view
from app.policy import Actor, Role
from app.store.store import Store
from app.store.tx import Reader, Tx

# Finds the invitation somebody (an account id) asks for; raises NotFound.
Find = Callable[[Reader, str], Invitation]


class Joining:
    """Invitations as those invited take them up.

    Codes that no invitation has are all answered alike, and counted.
    """

    def __init__(
        self,
        store: Store,
        *,
        invitations: Invitations,
        members: Members,
        accounts: Accounts,
        sessions: Sessions,
        passwords: Passwords,
        tries: CodeTries,
    ) -> None:
        self._store = store
        self._invitations = invitations
        self._members = members
        self._accounts = accounts
        self._sessions = sessions
        self._passwords = passwords
        self._tries = tries

    async def list(self, actor: Actor, after: str, limit: int) -> list[OfferView]:
        """At most `limit` invitations addressed to the caller that they can take up, after the id `after`."""
        account_id, now = self._sessions.demand_person(actor), self._store.clock.now().ms

        def ask(reader: Reader) -> list[OfferView]:
            return [_offer(reader, i) for i in invitation_queries.open_for(reader, account_id, after, now, limit)]

        return await self._store.read(ask)

    async def look(self, by: Caller, code: str) -> OfferView:
        """What a code invites to; raises InvitationUnknown, InvitationEnded, TooManyAttempts."""
        with self._tries.trying(by, InvitationUnknown):
            return await self._store.read(lambda r: _offer(r, self._still_open(_of_code(r, code))))

    async def accept_code(self, by: Caller, code: str) -> HomeView:
        """`accept` by code; raises InvitationUnknown and TooManyAttempts besides."""
        with self._tries.trying(by, InvitationUnknown):
            return await self._accept(by, lambda r, _: _of_code(r, code))

    async def accept(self, by: Caller, invitation_id: str) -> HomeView:
        """The caller becomes a member by an invitation addressed to them; a repeat changes nothing.

        Raises NotFound, InvitationEnded, AlreadyMember, NotFullMember, TooMany, ClockUntrusted.
        """
        return await self._accept(by, lambda r, account_id: _addressed(r, account_id, invitation_id))

    async def refuse_code(self, by: Caller, code: str) -> None:
        """`refuse` by code; raises InvitationUnknown and TooManyAttempts besides."""
        with self._tries.trying(by, InvitationUnknown):
            await self._refuse(by, lambda r, _: _of_code(r, code))

    async def refuse(self, by: Caller, invitation_id: str) -> None:
        """It is not wanted, and ends; raises NotFound, InvitationEnded."""
        await self._refuse(by, lambda r, account_id: _addressed(r, account_id, invitation_id))

    async def sign_up(self, by: Caller, *, code: str, login: str, password: str, name: str, phone: str) -> SignedUp:
        """A new account, its membership and a session on `phone`, all or nothing.

        Raises InvitationUnknown, InvitationEnded, LoginTaken, TooManyAttempts, TooMany, ClockUntrusted.
        """
        with self._tries.trying(by, InvitationUnknown, LoginTaken):  # both tell a guesser something
            # Before the costly part; asked again inside the transaction.
            await self._store.read(lambda r: self._still_open(_of_code(r, code)))
            verifier = await self._passwords.hash(password)

            def act(tx: Tx) -> SignedUp:
                invitation = self._open_in(tx, _of_code(tx, code))
                made = self._accounts.create_in(tx, login=login, name=name, verifier=verifier)
                return self._begin_in(tx, by, invitation, made, phone)

            return await self._store.write(act)

    async def join_anonymously(self, by: Caller, *, code: str, name: str, phone: str) -> SignedUp:
        """The same without a login, where the invitation allows it; raises LoginNeeded besides."""

        def act(tx: Tx) -> SignedUp:
            invitation = self._open_in(tx, _of_code(tx, code))
            if not invitation.anonymous:
                raise LoginNeeded
            return self._begin_in(tx, by, invitation, self._accounts.create_anonymous_in(tx, name=name), phone)

        with self._tries.trying(by, InvitationUnknown):
            return await self._store.write(act)

    def _begin_in(self, tx: Tx, by: Caller, invitation: Invitation, made: NewAccount, phone: str) -> SignedUp:
        account = made.account
        session = self._sessions.open_in(tx, account, name=phone, address=by.address)
        joining = Caller(Actor(account.id, session.session_id, anonymous=account.anonymous), address=by.address)
        return SignedUp(session, made.recovery_code, self._join_in(tx, joining, invitation, account.id))

    async def _accept(self, by: Caller, find: Find) -> HomeView:
        account_id = self._sessions.demand_person(by.actor)

        def act(tx: Tx) -> HomeView:
            invitation = find(tx, account_id)
            if invitation.state is InvitationState.ACCEPTED and invitation.taken_by == account_id:
                return _home(tx, invitation.home_id, account_id)
            return self._join_in(tx, by, self._open_in(tx, invitation), account_id)

        return await self._store.write(act, once=by.once, returns=HomeView)

    async def _refuse(self, by: Caller, find: Find) -> None:
        account_id = self._sessions.demand_person(by.actor)

        def act(tx: Tx) -> None:
            invitation = self._still_open(find(tx, account_id))
            self._invitations.end_in(tx, by, invitation, InvitationState.REFUSED, account_id)

        await self._store.write(act, once=by.once, returns=type(None))

    def _join_in(self, tx: Tx, by: Caller, invitation: Invitation, account_id: str) -> HomeView:
        if invitation.role is Role.ADMIN and by.actor.anonymous:
            raise NotFullMember
        only = invitation.only
        member = Member(
            invitation.home_id,
            account_id,
            invitation.role,
            "",
            invitation.until,
            invitation.hours,
            # What left the home since is not named, so that its id coming back gives nothing.
            None if only is None else self._members.things_of(tx, invitation.home_id, only),
            version=1,
            joined_at=tx.now,
        )
        self._members.add_in(tx, by, member)
        self._invitations.end_in(tx, by, invitation, InvitationState.ACCEPTED, account_id)
        return _home(tx, invitation.home_id, account_id)

    def _still_open(self, invitation: Invitation) -> Invitation:
        """Itself while it has not ended; expiry is judged only by a clock that can be believed."""
        now = self._store.clock.now()
        if invitation.state is InvitationState.PENDING and not now.trusted:
            raise ClockUntrusted
        if invitation.state_at(now) is not InvitationState.PENDING:
            raise InvitationEnded
        return invitation

    def _open_in(self, tx: Tx, invitation: Invitation) -> Invitation:
        if not self._invitations.still_meant_in(tx, self._still_open(invitation)):
            raise InvitationEnded
        return invitation


def _of_code(reader: Reader, code: str) -> Invitation:
    invitation = invitation_queries.by_code(reader, hash_code(code))
    if invitation is None:
        raise InvitationUnknown
    return invitation


def _addressed(reader: Reader, account_id: str, invitation_id: str) -> Invitation:
    invitation = invitation_queries.for_account(reader, account_id, invitation_id)
    if invitation is None:
        raise NotFound
    return invitation


def _offer(reader: Reader, invitation: Invitation) -> OfferView:
    home = queries.home(reader, invitation.home_id)
    if home is None:
        raise NotFound
    return offer_view(invitation, home, queries.person(reader, invitation.created_by))


def _home(reader: Reader, home_id: str, account_id: str) -> HomeView:
    home, member = queries.home(reader, home_id), queries.member(reader, home_id, account_id)
    if home is None or member is None:
        raise InvitationEnded
    return home_view(home, member.role)
