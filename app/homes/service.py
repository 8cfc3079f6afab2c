"""What may be done with homes. Each verb checks policy and is one transaction; `*_in` forms take that transaction."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from app.caller import Caller, demand
from app.errors import NotFound
from app.homes import queries
from app.homes.members import Members
from app.homes.model import Home, HomeNotEmpty, HomeView, Member, NameDiffers, check_time_zone, home_view
from app.homes.standing import Standings
from app.policy import Action, Actor, Resource, Role, allowed
from app.store.retention import demand_room
from app.store.store import Store
from app.store.tx import Change, Reader, Tx


class Homes:
    """Homes themselves; rooms, members and invitations have their own services.

    `on_dissolve_check` handlers count what stands in the way of dissolving a home ({"devices": 3}); `on_dissolving`
    handlers clear it away in the same transaction.
    """

    def __init__(self, store: Store, standings: Standings, members: Members) -> None:
        self._store = store
        self._standings = standings
        self._members = members
        self.on_dissolve_check: list[Callable[[Reader, str], Mapping[str, int]]] = []
        self.on_dissolving: list[Callable[[Tx, Caller, Home], None]] = []

    async def create(self, by: Caller, *, name: str, time_zone: str) -> HomeView:
        """A new home whose owner is the caller; raises Refused, Invalid, TooManyHomes, TooMany."""
        check_time_zone(time_zone)
        return await self._store.write(
            lambda tx: self.create_in(tx, by, name=name, time_zone=time_zone), once=by.once, returns=HomeView
        )

    def create_in(self, tx: Tx, by: Caller, *, name: str, time_zone: str) -> HomeView:
        """`create` inside `tx`."""
        demand(by.actor, Action.HOME_CREATE, Resource(), tx.moment)
        owner_id = by.actor.account_id or ""
        home = Home(tx.new_id(), name, time_zone, None, None, "", epoch=1, version=1, created_at=tx.now)
        owner = Member(home.id, owner_id, Role.OWNER, "", None, (), None, version=1, joined_at=tx.now)
        demand_room(tx, "homes")
        view = self.found_in(tx, by, home)
        self._members.add_in(tx, by, owner)
        return view

    def found_in(self, tx: Tx, by: Caller, home: Home) -> HomeView:
        """Have `home`, which nobody is in yet; who calls has checked that it may be. The view is its owner's."""
        queries.insert_home(tx, home)
        self._standings.keep_home(tx, home)
        view = home_view(home, Role.OWNER)
        tx.record(by.actor, Change("home.created", "home", home.id, home.id, Action.HOME_READ, view))
        return view

    async def update(self, by: Caller, home_id: str, **fields: Any) -> HomeView:
        """Rename, locate: `fields` are those of Home that change; raises NotFound, Refused, VersionMismatch."""
        if "time_zone" in fields:
            check_time_zone(fields["time_zone"])
        return await self._store.write(
            lambda tx: self.update_in(tx, by, home_id, fields), once=by.once, returns=HomeView
        )

    def update_in(self, tx: Tx, by: Caller, home_id: str, fields: dict[str, Any]) -> HomeView:
        """`update` inside `tx`."""
        resource = self._standings.home_in(tx, by.actor, home_id)
        demand(by.actor, Action.HOME_UPDATE, resource, tx.moment)
        old = queries.home(tx, home_id)
        if old is None:
            raise NotFound
        by.match(old.version)
        home = self.become_in(tx, by, old, fields)
        return home_view(home, resource.standing.role or Role.GUEST)

    def become_in(self, tx: Tx, by: Caller, old: Home, fields: dict[str, Any]) -> Home:
        """`old` has these fields from now on; who calls has checked that it may."""
        home = msgspec.structs.replace(old, version=old.version + 1, **fields)
        queries.update_home(tx, home)
        self._standings.keep_home(tx, home)
        tx.record(by.actor, Change("home.updated", "home", home.id, home.id, Action.HOME_READ, fields))
        return home

    async def dissolve(self, by: Caller, home_id: str, *, name: str, along: frozenset[str]) -> None:
        """End a home for everybody. `along` names what may go with it ("devices", "members"), `name` is its name.

        Raises NotFound, Refused, VersionMismatch, NameDiffers, HomeNotEmpty (its facts count what is still there).
        """
        await self._store.write(
            lambda tx: self.dissolve_in(tx, by, home_id, name=name, along=along), once=by.once, returns=type(None)
        )

    def dissolve_in(self, tx: Tx, by: Caller, home_id: str, *, name: str, along: frozenset[str]) -> None:
        """`dissolve` inside `tx`."""
        demand(by.actor, Action.HOME_DISSOLVE, self._standings.home_in(tx, by.actor, home_id), tx.moment)
        home = queries.home(tx, home_id)
        if home is None:
            raise NotFound
        by.match(home.version)
        if name != home.name:
            raise NameDiffers
        if left := {kind: n for kind, n in self._still_there(tx, home_id).items() if n and kind not in along}:
            raise HomeNotEmpty("", **left)
        self.end_in(tx, by, home)

    def end_in(self, tx: Tx, by: Caller, home: Home) -> None:
        """A home goes with all that is in it; who calls has checked that it may."""
        for fn in self.on_dissolving:
            fn(tx, by, home)
        self._members.end_all_in(tx, by, home)
        tx.record(by.actor, Change("home.dissolved", "home", home.id, home.id, Action.HOME_READ))
        queries.delete_home(tx, home.id)
        self._standings.homes.drop(tx, home.id)

    def _still_there(self, reader: Reader, home_id: str) -> dict[str, int]:
        there = {"members": queries.count_members(reader, home_id) - 1}
        for check in self.on_dissolve_check:
            there.update(check(reader, home_id))
        return there

    def get(self, actor: Actor, home_id: str) -> HomeView:
        """One home; raises NotFound."""
        resource = self._standings.home(actor, home_id)
        demand(actor, Action.HOME_READ, resource, self._store.clock.now())
        home = self._standings.homes.get(home_id)
        if home is None or resource.standing.role is None:
            raise NotFound
        return home_view(home, resource.standing.role)

    def list(self, actor: Actor, after: str, limit: int) -> list[HomeView]:
        """The caller's homes in order of id, at most `limit` after the id `after`."""
        now = self._store.clock.now()
        views: list[HomeView] = []
        for home_id in sorted(self._standings.homes_of.get(actor.account_id or "", ())):
            if home_id > after and len(views) < limit:
                resource = self._standings.home(actor, home_id)
                if allowed(actor, Action.HOME_READ, resource, now).yes:
                    views.append(self.get(actor, home_id))
        return views
