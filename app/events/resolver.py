"""What an event is about, as something policy can be asked about."""

from collections.abc import Iterable
from itertools import chain

from app.clock import Moment
from app.homes.standing import Standings
from app.policy import Action, Actor, Resource, allowed
from app.sharing.model import Kind
from app.sharing.shares import Shares
from app.sharing.things import Sharable
from app.store.tx import Event


class Resolver:
    """Finds an event's resource for one actor, from memory. `things` are devices and groups, by their kind."""

    def __init__(self, standings: Standings, things: Sharable, shares: Shares) -> None:
        self._standings = standings
        self._things = things
        self._shares = shares

    def resource(self, actor: Actor, event: Event) -> Resource:
        """What `event` is about, to `actor`."""
        if event.sees is Action.SELF or event.home_id is None:
            # A key of one home does not stand for its person.
            return Resource(account_id=event.account_id if actor.home_id is None else None)
        return self._thing(actor, event) or self._standings.home(actor, event.home_id)

    def earliest_end(self, actor: Actor, now: Moment) -> int | None:
        """When (ms) the first of the rights `actor` has now ends by itself; None: none does."""
        ends = [
            allowed(actor, Action.HOME_READ, self._standings.home(actor, home_id), now).until
            for home_id in self._standings.homes_of.get(actor.account_id or "", ())
        ]
        return min((end for end in (*ends, self._shares.earliest_end(actor, now)) if end is not None), default=None)

    def since(self, actor: Actor, event: Event, resource: Resource) -> int:
        """The time (ms) from which on `actor` belongs to what `event` is about; what was before is not told later."""
        account_id = actor.account_id or ""
        member = self._standings.members.get((event.home_id or "", account_id))
        if member is not None:
            return member.joined_at
        return self._shares.since(account_id, resource.things) or 0

    def _thing(self, actor: Actor, event: Event) -> Resource | None:
        if event.device_id is not None:
            return self._find(actor, event, "device", event.device_id)
        return self._find(actor, event, "group", event.id) if event.kind == "group" else None

    def _find(self, actor: Actor, event: Event, kind: Kind, thing_id: str) -> Resource:
        """A device or group; what has left the home since (it may be in another one now) is told to who was there."""
        found = self._things[kind].resource(actor, thing_id) if kind in self._things else Resource()
        if found.home_id == event.home_id:
            return found
        home = self._standings.home(actor, event.home_id or "")
        return Resource(standing=home.standing, home_id=home.home_id, things=(thing_id,))

    def audience(self, event: Event) -> Iterable[str] | None:
        """The accounts that may have a right to `event`, some perhaps twice: a sieve before policy. None: any may."""
        if event.sees is Action.SELF or event.home_id is None:
            return None if event.account_id is None else (event.account_id,)
        members = self._standings.members_of.get(event.home_id, ())
        if event.device_id is None and event.kind != "group":
            return members
        return chain(members, self._shares.receivers())
