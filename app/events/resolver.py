"""What an event is about, as something policy can be asked about."""

from collections.abc import Collection
from typing import Protocol

from app.clock import Moment
from app.homes.standing import Standings
from app.policy import Action, Actor, Resource, allowed
from app.store.tx import Event


class Things(Protocol):
    """Devices and groups as resources, from memory; None for one that is not there (any more)."""

    def device(self, actor: Actor, device_id: str) -> Resource | None: ...

    def group(self, actor: Actor, group_id: str) -> Resource | None: ...

    def earliest_end(self, actor: Actor, now: Moment) -> int | None:
        """When the first of the shares `actor` has now ends by itself."""


class NoThings:
    """A hub without devices."""

    def device(self, actor: Actor, device_id: str) -> Resource | None:
        """None."""

    def group(self, actor: Actor, group_id: str) -> Resource | None:
        """None."""

    def earliest_end(self, actor: Actor, now: Moment) -> int | None:
        """None."""


class Resolver:
    """Finds an event's resource for one actor, from memory."""

    def __init__(self, standings: Standings, things: Things) -> None:
        self._standings = standings
        self._things = things

    def resource(self, actor: Actor, event: Event) -> Resource:
        """What `event` is about, to `actor`."""
        if event.sees is Action.SELF or event.home_id is None:
            return Resource(account_id=event.account_id)
        return self._thing(actor, event) or self._standings.home(actor, event.home_id)

    def earliest_end(self, actor: Actor, now: Moment) -> int | None:
        """When (ms) the first of the rights `actor` has now ends by itself; None: none does."""
        ends = [
            allowed(actor, Action.HOME_READ, self._standings.home(actor, home_id), now).until
            for home_id in self._standings.homes_of.get(actor.account_id or "", ())
        ]
        return min((end for end in (*ends, self._things.earliest_end(actor, now)) if end is not None), default=None)

    def since(self, actor: Actor, event: Event) -> int:
        """The time (ms) from which on `actor` belongs to where `event` happened; what was before is not told later."""
        member = self._standings.members.get((event.home_id or "", actor.account_id or ""))
        return 0 if member is None else member.joined_at

    def _thing(self, actor: Actor, event: Event) -> Resource | None:
        if event.device_id is not None:
            return self._things.device(actor, event.device_id) or self._gone(actor, event, event.device_id)
        if event.kind == "group":
            return self._things.group(actor, event.id) or self._gone(actor, event, event.id)
        return None

    def _gone(self, actor: Actor, event: Event, thing_id: str) -> Resource:
        """What has left its home is told to those it stands in."""
        home = self._standings.home(actor, event.home_id or "")
        return Resource(standing=home.standing, home_id=home.home_id, things=(thing_id,))

    def audience(self, event: Event) -> Collection[str] | None:
        """The accounts that may have a right to `event`, as a sieve before policy; None: any may."""
        if event.sees is Action.SELF or event.home_id is None:
            return None if event.account_id is None else (event.account_id,)
        if event.device_id is not None or event.kind == "group":
            return None
        return self._standings.members_of.get(event.home_id, ())
