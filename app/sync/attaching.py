"""Which hubs keep a home the same: at a cloud its owner attaches hubs, at a hub its owner gives it to the cloud."""

import secrets
from typing import Annotated, Final

from msgspec import Meta, Struct

from app.accounts.people import People
from app.caller import Caller, demand
from app.clock import Time, to_time
from app.devices import queries as device_queries
from app.errors import Conflict, NotFound, Unavailable
from app.homes.standing import Standings
from app.policy import Action
from app.store.store import Store
from app.store.tx import Change, Tx
from app.sync import queries
from app.sync.authority import Authority
from app.sync.capture import Capture
from app.sync.cloud_end import EPOCH_BYTES, CloudEnd
from app.sync.engine import Engine
from app.sync.enrolment.hubs import Hubs
from app.sync.enrolment.model import EnrolledHub
from app.sync.model import NOBODY
from app.sync.wire import Attached, Failed, Found, Reset

# Of one operation, as a home becomes a log.
PARTS_AT_ONCE: Final = 500


class NoCloud(Conflict):
    """This hub is enrolled with no cloud."""

    code = "no_cloud"
    hint = "Make a code at the cloud, and `doorstep cloud join` it here."


class CloudAway(Unavailable):
    """The cloud cannot be reached now."""

    code = "cloud_away"
    hint = "Try again once `doorstep sync status` says connected."


class HomeElsewhere(Conflict):
    """The cloud has a home of this id, which is not this hub's."""

    code = "home_exists"
    hint = "Its owner attaches hubs to it at the cloud."


class HubHoldsDevices(Conflict):
    """That hub holds devices for which no other hub of the home stands by: without it they are reset."""

    code = "hub_holds_devices"
    hint = "Hand them over first (`doorstep hold`), or have them reset: `doorstep hub detach --reset`."


class HubId(Struct, frozen=True, forbid_unknown_fields=True):
    """A hub of the caller's, as it calls itself."""

    hub_id: Annotated[str, Meta(min_length=1, max_length=100)]


class AttachedHub(Struct, frozen=True):
    """A hub serves a home from `since` on."""

    hub_id: str
    home_id: str
    since: Time


class Attaching:
    """Both ends of it."""

    def __init__(
        self,
        store: Store,
        *,
        standings: Standings,
        people: People,
        hubs: Hubs,
        authority: Authority,
        capture: Capture,
        cloud_end: CloudEnd,
    ) -> None:
        self._store = store
        self._standings = standings
        self._people = people
        self._hubs = hubs
        self._authority = authority
        self._capture = capture
        self._cloud_end = cloud_end
        hubs.on_revoking.append(self._revoking_in)

    # at a cloud

    async def attach(self, by: Caller, home_id: str, hub_id: str) -> AttachedHub:
        """Have a hub of the caller's serve a home of theirs; raises NotFound, Refused, NotACloud, TooMany."""
        attached = await self._store.write(
            lambda tx: self._attach_in(tx, by, home_id, hub_id), once=by.once, returns=AttachedHub
        )
        self._cloud_end.tell(hub_id, Attached(0))
        return attached

    def _attach_in(self, tx: Tx, by: Caller, home_id: str, hub_id: str) -> AttachedHub:
        demand(by.actor, Action.HOME_SYNC, self._standings.home_in(tx, by.actor, home_id), tx.moment)
        self._hubs.demand_cloud()
        hub = self._hubs.current_in(tx, hub_id)
        if hub.owner_id != by.actor.account_id:
            raise NotFound
        if queries.shared(tx, home_id) is None:
            self.found_in(tx, by.actor.account_id, home_id)
        self._hubs.attach_in(tx, hub_id, home_id)
        return AttachedHub(hub_id, home_id, to_time(tx.now))

    def found_in(self, tx: Tx, account_id: str | None, home_id: str) -> None:
        """The home becomes a log, of which this node is the authority; `account_id` is who has it so."""
        epoch = secrets.token_hex(EPOCH_BYTES)
        self._authority.found_in(tx, home_id, epoch)
        self._cloud_end.found(tx, home_id, epoch)
        key = self._people.key_in(tx, home_id, account_id) or NOBODY
        parts = self._capture.parts_in(tx, home_id, self._capture.everything_in(tx, home_id))
        for begin in range(0, len(parts), PARTS_AT_ONCE):
            self._authority.local_in(tx, home_id, key, parts[begin : begin + PARTS_AT_ONCE])

    async def detach(self, by: Caller, home_id: str, hub_id: str, *, reset: bool) -> None:
        """A hub serves a home no more, and nothing of it stays there.

        `reset`: also where devices are reset by that. Raises NotFound, Refused, HubHoldsDevices.
        """
        await self._store.write(
            lambda tx: self._detach_in(tx, by, home_id, hub_id, reset=reset), once=by.once, returns=type(None)
        )
        self._cloud_end.tell(hub_id, Attached(0))

    def _detach_in(self, tx: Tx, by: Caller, home_id: str, hub_id: str, *, reset: bool) -> None:
        demand(by.actor, Action.HOME_SYNC, self._standings.home_in(tx, by.actor, home_id), tx.moment)
        if not self._hubs.serves_in(tx, hub_id, home_id):
            raise NotFound
        self._hubs.demand_cloud()
        others = [it for it in self._hubs.hubs_of(home_id) if it != hub_id]
        if not reset and (held := device_queries.held_alone(tx, home_id, hub_id, others)):
            devices = "a device" if held == 1 else f"{held} devices"
            raise HubHoldsDevices(f"This hub holds {devices} for which no other hub of the home stands by.")
        self._hubs.detach_in(tx, hub_id, home_id)

    def _revoking_in(self, tx: Tx, by: Caller, hub: EnrolledHub) -> None:
        for home_id in self._hubs.homes_in(tx, hub.id):
            self._hubs.detach_in(tx, hub.id, home_id)

    # at a hub

    async def give(self, by: Caller, home_id: str, engine: Engine | None) -> None:
        """Have this hub's cloud keep a home, with all it holds, and order what happens to it from now on.

        Raises NotFound, Refused, NoCloud, CloudAway, HomeElsewhere.
        """
        now = self._store.clock.now()
        demand(by.actor, Action.HOME_SYNC, self._standings.home(by.actor, home_id), now)
        if engine is None:
            raise NoCloud
        if home_id in self._capture.homes:
            return
        if engine.line is None:
            raise CloudAway
        home = self._standings.homes.get(home_id)
        answer = await engine.line.ask(Found(0, home_id, "" if home is None else home.name))
        match answer:
            case Reset():
                told = Change("home.given", "home", home_id, home_id, Action.HOME_READ, {"cloud": engine.cloud_id})
                engine.giving.add(home_id)
                await self._store.write(lambda tx: tx.record(by.actor, told), once=by.once, returns=type(None))
                engine.greet_again()
            case Failed(_, "home_exists", _, _):
                raise HomeElsewhere
            case Failed(_, _, detail, _):
                raise CloudAway(detail)
            case _:
                raise CloudAway
