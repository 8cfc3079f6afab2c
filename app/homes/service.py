"""What may be done with homes. Each verb checks policy and is one transaction; `*_in` forms take that transaction."""

from typing import Any

import msgspec

from app.caller import Caller, demand
from app.clock import to_time
from app.errors import NotFound
from app.homes import queries
from app.homes.model import Home, HomeView, Member, check_time_zone
from app.homes.standing import Standings
from app.policy import Action, Actor, Resource, Role, allowed
from app.store.store import Store
from app.store.tx import Change, Tx


class Homes:
    """Homes themselves; rooms, members and invitations have their own services."""

    def __init__(self, store: Store, standings: Standings) -> None:
        self._store = store
        self._standings = standings

    async def create(self, by: Caller, *, name: str, time_zone: str) -> HomeView:
        """A new home whose owner is the caller; raises Refused, Invalid."""
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
        queries.insert_home(tx, home)
        queries.insert_member(tx, owner)
        self._standings.homes.put(tx, home.id, home)
        self._standings.members.put(tx, (home.id, owner_id), owner)
        view = _view(home, Role.OWNER)
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
        home = msgspec.structs.replace(old, version=old.version + 1, **fields)
        queries.update_home(tx, home)
        self._standings.homes.put(tx, home_id, home)
        tx.record(by.actor, Change("home.updated", "home", home_id, home_id, Action.HOME_READ, fields))
        return _view(home, resource.standing.role or Role.GUEST)

    def get(self, actor: Actor, home_id: str) -> HomeView:
        """One home; raises NotFound."""
        resource = self._standings.home(actor, home_id)
        demand(actor, Action.HOME_READ, resource, self._store.clock.now())
        home = self._standings.homes.get(home_id)
        if home is None or resource.standing.role is None:
            raise NotFound
        return _view(home, resource.standing.role)

    def list(self, actor: Actor, after: str | None, limit: int) -> list[HomeView]:
        """The caller's homes in order of id, at most `limit` after the id `after`."""
        now = self._store.clock.now()
        views: list[HomeView] = []
        for home_id in sorted(self._standings.homes_of.get(actor.account_id or "", ())):
            if (after is None or home_id > after) and len(views) < limit:
                resource = self._standings.home(actor, home_id)
                if allowed(actor, Action.HOME_READ, resource, now).yes:
                    views.append(self.get(actor, home_id))
        return views


def _view(home: Home, role: Role) -> HomeView:
    return HomeView(
        home.id,
        home.name,
        home.time_zone,
        home.latitude,
        home.longitude,
        home.address,
        role,
        home.version,
        to_time(home.created_at),
    )
