"""Who is in a home: list, change, remove, leave, hand over."""

from collections.abc import Callable

import msgspec
from msgspec import UNSET, Struct, UnsetType

from app.accounts.model import Account
from app.caller import Caller, demand
from app.clock import Time, to_ms
from app.errors import Invalid, NotFound, Refused
from app.homes import queries
from app.homes.model import (
    MAX_HOMES_PER_ACCOUNT,
    AlreadyMember,
    GivenRole,
    Home,
    HomeView,
    Hours,
    Label,
    Limits,
    Member,
    MemberView,
    NotFullMember,
    OwnerStays,
    Things,
    TooManyHomes,
    check_limits,
    home_view,
    member_view,
)
from app.homes.standing import Standings
from app.policy import RANK, Action, Actor, Resource, Role
from app.store.retention import demand_room
from app.store.store import Store
from app.store.tx import Change, Reader, Tx


class MemberChange(Struct, frozen=True, forbid_unknown_fields=True):
    """What changes of a member; what is left out stays. `until`, `hours`, `only` limit guests alone."""

    role: GivenRole | UnsetType = UNSET
    remark: Label | UnsetType = UNSET
    until: Time | UnsetType | None = UNSET
    hours: Hours | UnsetType = UNSET
    only: Things | UnsetType | None = UNSET


class Members:
    """Members of homes.

    `on_leaving` handlers run in the transaction in which a member leaves, is removed, or loses a dissolved home.
    `known_things` tell which of some ids are devices or groups of a home.
    """

    def __init__(self, store: Store, standings: Standings) -> None:
        self._store = store
        self._standings = standings
        self.on_leaving: list[Callable[[Tx, Caller, Member], None]] = []
        self.known_things: list[Callable[[Reader, str, frozenset[str]], frozenset[str]]] = []

    async def list(self, actor: Actor, home_id: str, after: str, limit: int) -> list[MemberView]:
        """At most `limit` members in order of account id, after the id `after`; raises NotFound, Refused."""
        demand(actor, Action.MEMBER_READ, self._standings.home(actor, home_id), self._store.clock.now())
        found = await self._store.read(lambda r: queries.people(r, home_id, after, limit))
        return [member_view(member, person) for member, person in found]

    async def get(self, actor: Actor, home_id: str, account_id: str) -> MemberView:
        """One member; raises NotFound, Refused."""
        demand(actor, Action.MEMBER_READ, self._standings.home(actor, home_id), self._store.clock.now())
        return await self._store.read(lambda r: self._view(r, home_id, account_id))

    async def own(self, actor: Actor, home_id: str) -> MemberView:
        """What the caller is in a home; raises NotFound, Refused (a guest out of hours)."""
        demand(actor, Action.HOME_READ, self._standings.home(actor, home_id), self._store.clock.now())
        return await self._store.read(lambda r: self._view(r, home_id, actor.account_id or ""))

    def _view(self, reader: Reader, home_id: str, account_id: str) -> MemberView:
        member, person = queries.member(reader, home_id, account_id), queries.person(reader, account_id)
        if member is None or person is None:
            raise NotFound
        return member_view(member, person)

    def add_in(self, tx: Tx, by: Caller, member: Member) -> None:
        """Make somebody a member; the caller has checked that. Raises AlreadyMember, TooMany, TooManyHomes."""
        if queries.member(tx, member.home_id, member.account_id) is not None:
            raise AlreadyMember
        demand_room(tx, "members", member.home_id)
        if queries.count_memberships(tx, member.account_id) >= MAX_HOMES_PER_ACCOUNT:
            raise TooManyHomes
        self.admit_in(tx, by, member)

    def admit_in(self, tx: Tx, by: Caller, member: Member) -> None:
        """Somebody is a member from now on, however many there are; who calls has checked that they may be."""
        queries.insert_member(tx, member)
        self._standings.members.put(tx, (member.home_id, member.account_id), member)
        view = self._view(tx, member.home_id, member.account_id)
        tx.record(by.actor, _told("member.joined", member, view))

    async def change(self, by: Caller, home_id: str, account_id: str, change: MemberChange) -> MemberView:
        """Another role, remark or guest's limits; raises NotFound, Refused, Invalid, VersionMismatch, NotFullMember."""
        return await self._store.write(
            lambda tx: self.change_in(tx, by, home_id, account_id, change), once=by.once, returns=MemberView
        )

    def change_in(self, tx: Tx, by: Caller, home_id: str, account_id: str, change: MemberChange) -> MemberView:
        """`change` inside `tx`."""
        old = self._managed_in(tx, by, home_id, account_id)
        by.match(old.version)
        role = old.role if change.role is UNSET else Role(change.role)
        self._demand_over(tx, by, home_id, role)
        if role is Role.ADMIN and self._is_anonymous(tx, account_id):
            raise NotFullMember
        limits = check_limits(role, _limits(old, role, change), tx.moment)
        self.check_things(tx, home_id, limits.only)
        new = msgspec.structs.replace(
            old,
            role=role,
            remark=old.remark if change.remark is UNSET else change.remark,
            until=limits.until,
            hours=limits.hours,
            only=limits.only,
            version=old.version + 1,
        )
        return self.become_in(tx, by, old, new)

    def become_in(self, tx: Tx, by: Caller, old: Member, new: Member) -> MemberView:
        """`old` is as `new` from now on; who calls has checked that they may be."""
        self._store_in(tx, new)
        if RANK[new.role] < RANK[old.role] or _terms(new) != _terms(old):
            self._standings.take_away_in(tx, new.home_id)
        view = self._view(tx, new.home_id, new.account_id)
        tx.record(by.actor, _told("member.changed", new, view))
        return view

    async def remove(self, by: Caller, home_id: str, account_id: str) -> None:
        """Send a member away; raises NotFound, Refused, VersionMismatch."""
        await self._store.write(
            lambda tx: self.remove_in(tx, by, home_id, account_id), once=by.once, returns=type(None)
        )

    def remove_in(self, tx: Tx, by: Caller, home_id: str, account_id: str) -> None:
        """`remove` inside `tx`."""
        member = self._managed_in(tx, by, home_id, account_id)
        by.match(member.version)
        self.end_in(tx, by, member, "removed")

    async def leave(self, by: Caller, home_id: str) -> None:
        """The caller leaves; raises NotFound, OwnerStays."""
        await self._store.write(lambda tx: self.leave_in(tx, by, home_id), once=by.once, returns=type(None))

    def leave_in(self, tx: Tx, by: Caller, home_id: str) -> None:
        """`leave` inside `tx`."""
        resource = self._standings.home_in(tx, by.actor, home_id)
        try:
            demand(by.actor, Action.HOME_LEAVE, resource, tx.moment)
        except Refused:
            raise (OwnerStays if resource.standing.role is Role.OWNER else Refused) from None
        member = queries.member(tx, home_id, by.actor.account_id or "")
        if member is None:
            raise NotFound
        self.end_in(tx, by, member, "left")

    async def hand_over(self, by: Caller, home_id: str, account_id: str) -> HomeView:
        """Make a full member the owner, the caller an admin; raises NotFound, Refused, NotFullMember."""
        return await self._store.write(
            lambda tx: self.hand_over_in(tx, by, home_id, account_id), once=by.once, returns=HomeView
        )

    def hand_over_in(self, tx: Tx, by: Caller, home_id: str, account_id: str) -> HomeView:
        """`hand_over` inside `tx`."""
        demand(by.actor, Action.HOME_HAND_OVER, self._standings.home_in(tx, by.actor, home_id), tx.moment)
        heir, home = queries.member(tx, home_id, account_id), queries.home(tx, home_id)
        owner = next(m for m in queries.members_of(tx, home_id) if m.role is Role.OWNER)
        if heir is None or home is None:
            raise NotFound
        by.match(home.version)
        if heir.role not in (Role.ADMIN, Role.MEMBER) or self._is_anonymous(tx, account_id):
            raise NotFullMember
        # In this order: a home never has two owners, not even between two statements.
        for member, role in ((owner, Role.ADMIN), (heir, Role.OWNER)):
            self.become_in(tx, by, member, msgspec.structs.replace(member, role=role, version=member.version + 1))
        return home_view(home, Role.ADMIN)

    def end_all_in(self, tx: Tx, by: Caller, home: Home) -> None:
        """Everybody loses a home that is being dissolved."""
        for member in queries.members_of(tx, home.id):
            self.end_in(tx, by, member, "dissolved")

    def account_going_in(self, tx: Tx, by: Caller, account: Account) -> None:
        """An account ends, so it leaves all its homes."""
        for member in queries.memberships_of(tx, account.id):
            self.end_in(tx, by, member, "left")

    def forget_thing_in(self, tx: Tx, home_id: str, thing_id: str) -> None:
        """A device or group is gone: no guest's grant names it any more, so that its id coming back gives nothing."""
        for member in queries.guests_with(tx, home_id, thing_id):
            only = (member.only or frozenset()) - {thing_id}
            self._store_in(tx, msgspec.structs.replace(member, only=only, version=member.version + 1))

    def check_things(self, reader: Reader, home_id: str, only: frozenset[str] | None) -> None:
        """Raise Invalid unless `only` names devices and groups of this home."""
        if only is not None and (unknown := only - self.things_of(reader, home_id, only)):
            raise Invalid("only: not devices or groups of this home", unknown=sorted(unknown))

    def things_of(self, reader: Reader, home_id: str, ids: frozenset[str]) -> frozenset[str]:
        """Those of `ids` that are devices or groups of this home."""
        return frozenset[str]().union(*(known(reader, home_id, ids) for known in self.known_things))

    def _managed_in(self, tx: Tx, by: Caller, home_id: str, account_id: str) -> Member:
        demand(by.actor, Action.MEMBER_MANAGE, self._standings.home_in(tx, by.actor, home_id), tx.moment)
        member = queries.member(tx, home_id, account_id)
        if member is None:
            raise NotFound
        self._demand_over(tx, by, home_id, member.role)
        return member

    def _demand_over(self, tx: Tx, by: Caller, home_id: str, role: Role) -> None:
        standing = self._standings.of_in(tx, by.actor, home_id)
        demand(by.actor, Action.MEMBER_MANAGE, Resource(standing, home_id, role=role), tx.moment)

    def _is_anonymous(self, tx: Tx, account_id: str) -> bool:
        person = queries.person(tx, account_id)
        return person is None or person.anonymous

    def _store_in(self, tx: Tx, member: Member) -> None:
        queries.update_member(tx, member)
        self._standings.members.put(tx, (member.home_id, member.account_id), member)

    def end_in(self, tx: Tx, by: Caller, member: Member, why: str) -> None:
        """They are no member any more (`why`: removed, left, dissolved); who calls has checked that it may be so."""
        for fn in self.on_leaving:
            fn(tx, by, member)
        queries.delete_member(tx, member.home_id, member.account_id)
        self._standings.members.drop(tx, (member.home_id, member.account_id))
        self._standings.take_away_in(tx, member.home_id)
        facts = {"account_id": member.account_id, "why": why}
        tx.record(by.actor, _told("member.left", member, facts))
        # The home is nothing to them any more, so they are told as themselves.
        tx.record(
            by.actor,
            Change(
                "home.left",
                "home",
                member.home_id,
                None,
                Action.SELF,
                {"home_id": member.home_id, "why": why},
                account_id=member.account_id,
                audit=False,
            ),
        )


def homes_owned(reader: Reader, account_id: str) -> list[str]:
    """What keeps an account from being deleted: the homes it owns, in words."""
    owned = [m.home_id for m in queries.memberships_of(reader, account_id) if m.role is Role.OWNER]
    homes = [queries.home(reader, home_id) for home_id in owned]
    return [f"it owns the home {home.name}" for home in homes if home is not None]


def _told(event: str, member: Member, data: object) -> Change:
    return Change(event, "member", member.account_id, member.home_id, Action.MEMBER_READ, data)


def _terms(member: Member) -> Limits:
    return Limits(member.until, member.hours, member.only)


def _limits(old: Member, role: Role, change: MemberChange) -> Limits:
    """The limits after `change`; who stops being a guest leaves theirs behind."""
    kept = _terms(old) if role is Role.GUEST else Limits()
    until = kept.until if change.until is UNSET else None if change.until is None else to_ms(change.until)
    return Limits(
        until,
        kept.hours if change.hours is UNSET else change.hours,
        kept.only if change.only is UNSET else change.only,
    )
