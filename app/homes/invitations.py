"""Inviting people to a home: the admins' side."""

import asyncio

import msgspec

from app.accounts.codes import hash_code, new_code
from app.accounts.model import Account, normal_login
from app.accounts.service import Accounts
from app.caller import Caller, demand
from app.clock import to_ms
from app.errors import ClockUntrusted, Invalid, NotFound
from app.homes import invitation_queries, queries
from app.homes.invitation_model import (
    CODE_LETTERS,
    Invitation,
    InvitationEnded,
    InvitationMade,
    InvitationState,
    InvitationView,
    NewInvitation,
    invitation_view,
)
from app.homes.members import Members
from app.homes.model import AlreadyMember, Home, Limits, Member, check_limits
from app.homes.standing import Standings
from app.policy import Action, Actor, Resource, Role, allowed
from app.qr import link, svg
from app.store.hub import read_hub
from app.store.retention import KEEP, demand_room
from app.store.store import Store
from app.store.tx import Change, Tx

MS = 1000


class Invitations:
    """Invitations as their home's admins make, list and revoke them. Who is invited: see `Joining`."""

    def __init__(self, store: Store, standings: Standings, members: Members, accounts: Accounts) -> None:
        self._store = store
        self._standings = standings
        self._members = members
        self._accounts = accounts

    async def create(self, by: Caller, home_id: str, new: NewInvitation) -> InvitationMade:
        """Invite somebody; raises NotFound, Refused, Invalid, AlreadyMember, TooMany, ClockUntrusted.

        Whether anybody has the login it names cannot be told from the answer.
        """
        made = await self._store.write(
            lambda tx: self.create_in(tx, by, home_id, new), once=by.once, returns=InvitationMade
        )
        if made.link is None:
            return made
        return msgspec.structs.replace(made, qr=await asyncio.to_thread(svg, made.link))

    def create_in(self, tx: Tx, by: Caller, home_id: str, new: NewInvitation) -> InvitationMade:
        """`create` inside `tx`; without the picture."""
        role = Role(new.role)
        self._demand(tx, by, home_id, role)
        if not tx.moment.trusted:
            raise ClockUntrusted
        invitation, code = self._made_in(tx, by, home_id, role, new)
        view = self._created_in(tx, by, invitation)
        if invitation.account_id is not None:
            tx.record(by.actor, _to_receiver("invitation.received", invitation))
        if code is None:
            return InvitationMade(view)
        return InvitationMade(view, code, link("invitation", read_hub(tx).hub_id or "", code))

    def _made_in(
        self, tx: Tx, by: Caller, home_id: str, role: Role, new: NewInvitation
    ) -> tuple[Invitation, str | None]:
        limits = Limits(None if new.until is None else to_ms(new.until), new.hours, new.only)
        check_limits(role, limits, tx.moment)
        self._members.check_things(tx, home_id, limits.only)
        if new.anonymous and (new.login is not None or role is Role.ADMIN):
            raise Invalid("anonymous: only with a code, for members and guests")
        login = None if new.login is None else normal_login(new.login)
        account_id = self._addressee(tx, by, home_id, login)
        self._make_room(tx, home_id)
        code = new_code(CODE_LETTERS) if login is None else None
        invitation = Invitation(
            tx.new_id(),
            home_id,
            None if code is None else hash_code(code),
            account_id,
            login,
            role,
            limits.until,
            limits.hours,
            limits.only,
            new.anonymous,
            InvitationState.PENDING,
            created_by=by.actor.account_id or "",
            taken_by=None,
            version=1,
            created_at=tx.now,
            expires_at=tx.now + new.expires_in * MS,
        )
        invitation_queries.insert_invitation(tx, invitation)
        return invitation, code

    def _addressee(self, tx: Tx, by: Caller, home_id: str, login: str | None) -> str | None:
        """The account behind a login, if any; a newer invitation to the same login takes the older one's place."""
        if login is None:
            return None
        # Compared as written, not by account: what happens must not tell whether there is one.
        account_id = self._accounts.id_of_login(login)
        if account_id is not None and queries.member(tx, home_id, account_id) is not None:
            raise AlreadyMember
        for older in invitation_queries.open_of_home(tx, home_id):
            if older.login == login:
                self._revoke_in(tx, by, older)
        return account_id

    def _make_room(self, tx: Tx, home_id: str) -> None:
        most = KEEP["invitations"].most or 1
        if invitation_queries.count(tx, home_id) >= most:
            invitation_queries.forget_ended(tx, home_id, most)
        demand_room(tx, "invitations", home_id)

    async def list(self, actor: Actor, home_id: str, after: str, limit: int) -> list[InvitationView]:
        """At most `limit` invitations in the order they were made, after the id `after`; raises NotFound, Refused."""
        now = self._store.clock.now()
        demand(actor, Action.MEMBER_INVITE, self._standings.home(actor, home_id), now)
        found = await self._store.read(lambda r: invitation_queries.listed(r, home_id, after, limit))
        return [invitation_view(invitation, now) for invitation in found]

    async def get(self, actor: Actor, home_id: str, invitation_id: str) -> InvitationView:
        """One invitation; raises NotFound, Refused."""
        now = self._store.clock.now()
        demand(actor, Action.MEMBER_INVITE, self._standings.home(actor, home_id), now)
        invitation = await self._store.read(lambda r: invitation_queries.of_home(r, home_id, invitation_id))
        if invitation is None:
            raise NotFound
        return invitation_view(invitation, now)

    async def revoke(self, by: Caller, home_id: str, invitation_id: str) -> None:
        """Nobody can take it up any more; raises NotFound, Refused, VersionMismatch, InvitationEnded."""
        await self._store.write(
            lambda tx: self.revoke_in(tx, by, home_id, invitation_id), once=by.once, returns=type(None)
        )

    def revoke_in(self, tx: Tx, by: Caller, home_id: str, invitation_id: str) -> None:
        """`revoke` inside `tx`."""
        self._demand(tx, by, home_id, None)
        invitation = invitation_queries.of_home(tx, home_id, invitation_id)
        if invitation is None:
            raise NotFound
        self._demand(tx, by, home_id, invitation.role)
        by.match(invitation.version)
        if invitation.state is not InvitationState.PENDING:
            raise InvitationEnded
        self._revoke_in(tx, by, invitation)

    def member_leaving_in(self, tx: Tx, by: Caller, member: Member) -> None:
        """Who is out cannot have somebody come in: what they invited to is revoked."""
        for invitation in invitation_queries.open_of_home(tx, member.home_id):
            if invitation.created_by == member.account_id:
                self._revoke_in(tx, by, invitation)

    def account_recovered_in(self, tx: Tx, by: Caller, account: Account) -> None:
        """Whoever was in somebody's account has no way back in by what they invited themselves to."""
        for member in queries.memberships_of(tx, account.id):
            self.member_leaving_in(tx, by, member)

    def home_dissolving_in(self, tx: Tx, by: Caller, home: Home) -> None:
        """There is nothing to join any more."""
        for invitation in invitation_queries.open_of_home(tx, home.id):
            self._revoke_in(tx, by, invitation)

    def end_in(self, tx: Tx, by: Caller, invitation: Invitation, state: InvitationState, taken_by: str | None) -> None:
        """An invitation was accepted, refused or revoked; who calls has checked that it may be."""
        ended = msgspec.structs.replace(invitation, state=state, taken_by=taken_by, version=invitation.version + 1)
        invitation_queries.end_invitation(tx, ended)
        self._ended_in(tx, by, ended)
        if ended.account_id is not None:
            tx.record(by.actor, _to_receiver("invitation.ended", ended))

    def put_in(self, tx: Tx, by: Caller, invitation: Invitation) -> None:
        """`invitation` is as this from now on, and may be new; who calls has checked that it may be."""
        invitation_queries.store_invitation(tx, invitation)
        if invitation.state is InvitationState.PENDING:
            self._created_in(tx, by, invitation)
        else:
            self._ended_in(tx, by, invitation)

    def forget_in(self, tx: Tx, by: Caller, invitation: Invitation) -> None:
        """Nothing is left of an invitation; who calls has checked that it may go."""
        invitation_queries.delete_invitation(tx, invitation.id)
        if invitation.state is InvitationState.PENDING:
            self._ended_in(tx, by, msgspec.structs.replace(invitation, state=InvitationState.REVOKED))

    def _created_in(self, tx: Tx, by: Caller, invitation: Invitation) -> InvitationView:
        view = invitation_view(invitation, tx.moment)
        tx.record(by.actor, _told("invitation.created", invitation, view))
        return view

    def _ended_in(self, tx: Tx, by: Caller, ended: Invitation) -> None:
        facts = {"id": ended.id, "taken_by": ended.taken_by}
        tx.record(by.actor, _told(f"invitation.{ended.state}", ended, facts))

    def still_meant_in(self, tx: Tx, invitation: Invitation) -> bool:
        """Whether who made it could still make it: who lost that right brings nobody in by an old code."""
        inviter = Actor(invitation.created_by)
        standing = self._standings.of_in(tx, inviter, invitation.home_id)
        resource = Resource(standing, invitation.home_id, role=invitation.role)
        return allowed(inviter, Action.MEMBER_INVITE, resource, tx.moment).yes

    def _revoke_in(self, tx: Tx, by: Caller, invitation: Invitation) -> None:
        self.end_in(tx, by, invitation, InvitationState.REVOKED, None)

    def _demand(self, tx: Tx, by: Caller, home_id: str, role: Role | None) -> None:
        standing = self._standings.of_in(tx, by.actor, home_id)
        demand(by.actor, Action.MEMBER_INVITE, Resource(standing, home_id, role=role), tx.moment)


def _told(event: str, invitation: Invitation, data: object) -> Change:
    return Change(event, "invitation", invitation.id, invitation.home_id, Action.MEMBER_INVITE, data)


def _to_receiver(event: str, invitation: Invitation) -> Change:
    data = {"id": invitation.id, "role": invitation.role, "state": invitation.state}
    return Change(
        event, "invitation", invitation.id, None, Action.SELF, data, account_id=invitation.account_id, audit=False
    )
