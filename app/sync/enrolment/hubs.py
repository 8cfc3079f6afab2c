"""The hubs of a cloud: whose they are, which homes they serve, when they were heard; renamed and revoked."""

from collections.abc import Callable
from typing import Final

import msgspec

from app.accounts.model import Account
from app.caller import Caller, demand
from app.clock import to_time
from app.errors import NotFound
from app.homes.standing import Standings
from app.policy import SYSTEM, Action, Actor, Resource
from app.store.resident import Resident
from app.store.retention import KEEP, demand_room
from app.store.store import Store
from app.store.tx import Change, Reader, Tx
from app.sync.enrolment import queries
from app.sync.enrolment.model import EnrolledHub, EnrolledHubView, HomeHubView, NotACloud, Revoked, maybe_time

# Between two notes on disk of when a hub was heard.
HEARD_EVERY_MS: Final = 60_000


class Hubs:
    """Every hub of this cloud. `is_cloud` False: this node is a hub itself, and has none.

    `on_revoking` is told in the same transaction of a hub that is being revoked.
    """

    def __init__(self, store: Store, standings: Standings, *, is_cloud: bool) -> None:
        self._store = store
        self._standings = standings
        self._is_cloud = is_cloud
        self.rows: Resident[str, EnrolledHub] = Resident(lambda r: ((hub.id, hub) for hub in queries.all_hubs(r)))
        self.homes: Resident[tuple[str, str], int] = Resident(queries.all_hub_homes)
        self.on_revoking: list[Callable[[Tx, Caller, EnrolledHub], None]] = []
        # Told in the same transaction: a hub (its id) serves a home no longer.
        self.on_detached: list[Callable[[Tx, str, str], None]] = []
        self._homes_of: dict[str, set[str]] = {}
        self._hubs_of: dict[str, set[str]] = {}
        self._heard: dict[str, int] = {}
        self._noted: dict[str, int] = {}
        self._notes = store.later(_note, 1.0)
        self.homes.watch(self._index)
        store.keep_resident(self.rows)
        store.keep_resident(self.homes)

    def demand_cloud(self) -> None:
        """Raise NotACloud unless this node is one."""
        if not self._is_cloud:
            raise NotACloud

    def _index(self, key: tuple[str, str], old: int | None, new: int | None) -> None:
        hub_id, home_id = key
        if new is not None:
            self._homes_of.setdefault(hub_id, set()).add(home_id)
            self._hubs_of.setdefault(home_id, set()).add(hub_id)
        elif old is not None:
            self._homes_of[hub_id].discard(home_id)
            self._hubs_of[home_id].discard(hub_id)

    # which homes

    def serves(self, hub_id: str, home_id: str) -> bool:
        """Whether a hub that is not revoked serves a home, from memory."""
        hub = self.rows.get(hub_id)
        return hub is not None and hub.revoked_at is None and (hub_id, home_id) in self.homes

    def homes_of(self, hub_id: str) -> list[str]:
        """The homes a hub serves that is not revoked, from memory."""
        return sorted(home_id for home_id in self._homes_of.get(hub_id, ()) if self.serves(hub_id, home_id))

    def hubs_of(self, home_id: str) -> list[str]:
        """The hubs that serve a home and are not revoked, from memory."""
        return sorted(hub_id for hub_id in self._hubs_of.get(home_id, ()) if self.serves(hub_id, home_id))

    def serves_in(self, reader: Reader, hub_id: str, home_id: str) -> bool:
        """`serves` as it is on disk."""
        return queries.serves(reader, hub_id, home_id)

    def homes_in(self, reader: Reader, hub_id: str) -> list[str]:
        """The homes of a hub."""
        return queries.homes_of_hub(reader, hub_id)

    def attach_in(self, tx: Tx, hub_id: str, home_id: str) -> bool:
        """A hub serves a home from now on; whether it did not before. Raises NotFound, Revoked, TooMany."""
        self.current_in(tx, hub_id)
        if queries.serves(tx, hub_id, home_id):
            return False
        demand_room(tx, "hub_homes", hub_id)
        queries.attach(tx, hub_id, home_id)
        self.homes.put(tx, (hub_id, home_id), tx.now)
        self._tell(tx, SYSTEM, "hub.attached", hub_id, home_id)
        return True

    def detach_in(self, tx: Tx, hub_id: str, home_id: str) -> bool:
        """A hub serves a home no longer; whether it did."""
        if not queries.detach(tx, hub_id, home_id):
            return False
        self.homes.drop(tx, (hub_id, home_id))
        self._tell(tx, SYSTEM, "hub.detached", hub_id, home_id)
        self._tell_detached_in(tx, hub_id, home_id)
        return True

    def _tell_detached_in(self, tx: Tx, hub_id: str, home_id: str) -> None:
        for told in self.on_detached:
            told(tx, hub_id, home_id)

    def current_in(self, reader: Reader, hub_id: str) -> EnrolledHub:
        """A hub that may speak; raises NotFound, Revoked."""
        hub = queries.hub(reader, hub_id)
        if hub is None:
            raise NotFound
        if hub.revoked_at is not None:
            raise Revoked
        return hub

    # whose

    def list_mine(self, actor: Actor) -> list[EnrolledHubView]:
        """The caller's hubs, revoked ones too, by when they were enrolled."""
        self._demand(actor, None)
        mine = [hub for hub in self.rows.values() if hub.owner_id == actor.account_id]
        return [self.view(hub) for hub in sorted(mine, key=lambda hub: (hub.enrolled_at, hub.id))]

    def get(self, actor: Actor, hub_id: str) -> EnrolledHubView:
        """One of the caller's hubs; raises NotFound."""
        self._demand(actor, None)
        hub = self.rows.get(hub_id)
        if hub is None:
            raise NotFound
        self._demand(actor, hub.owner_id)
        return self.view(hub)

    def of_home(self, actor: Actor, home_id: str) -> list[HomeHubView]:
        """The hubs that serve a home, for who may see the home; raises NotFound."""
        demand(actor, Action.HOME_READ, self._standings.home(actor, home_id), self._store.clock.now())
        found = (self.rows.get(hub_id) for hub_id in self.hubs_of(home_id))
        return [self._home_view(hub, home_id) for hub in found if hub is not None]

    async def rename(self, by: Caller, hub_id: str, name: str) -> EnrolledHubView:
        """Call one of the caller's hubs `name`; raises NotFound, Revoked, VersionMismatch."""
        return await self._store.write(
            lambda tx: self.rename_in(tx, by, hub_id, name), once=by.once, returns=EnrolledHubView
        )

    def rename_in(self, tx: Tx, by: Caller, hub_id: str, name: str) -> EnrolledHubView:
        """`rename` inside `tx`."""
        hub = self._mine_in(tx, by, hub_id)
        by.match(hub.version)
        renamed = msgspec.structs.replace(hub, name=name, version=hub.version + 1)
        self.keep_in(tx, by.actor, "hub.renamed", renamed)
        return self.view(renamed)

    async def revoke(self, by: Caller, hub_id: str) -> None:
        """One of the caller's hubs opens nothing here any more; raises NotFound, Revoked, VersionMismatch."""
        await self._store.write(lambda tx: self._revoke_mine_in(tx, by, hub_id), once=by.once, returns=type(None))

    def _revoke_mine_in(self, tx: Tx, by: Caller, hub_id: str) -> None:
        hub = self._mine_in(tx, by, hub_id)
        by.match(hub.version)
        self.revoke_in(tx, by, hub)

    def revoke_in(self, tx: Tx, by: Caller, hub: EnrolledHub) -> None:
        """End a hub's enrolment; who calls has checked that it may be."""
        for told in self.on_revoking:
            told(tx, by, hub)
        for home_id in queries.homes_of_hub(tx, hub.id):
            self._tell_detached_in(tx, hub.id, home_id)
        revoked = msgspec.structs.replace(hub, revoked_at=tx.now, version=hub.version + 1)
        self.keep_in(tx, by.actor, "hub.revoked", revoked)

    def account_going_in(self, tx: Tx, by: Caller, account: Account) -> None:
        """Hubs go with whose they are."""
        for hub in queries.hubs_of(tx, account.id):
            if hub.revoked_at is None:
                self.revoke_in(tx, by, hub)
            self.forget_in(tx, hub.id)

    def account_linked_in(self, tx: Tx, by: Caller, gone: Account, account_id: str) -> None:
        """An account is another's from now on, and so are its hubs."""
        for hub in queries.hubs_of(tx, gone.id):
            mine = msgspec.structs.replace(hub, owner_id=account_id, version=hub.version + 1)
            queries.put_hub(tx, mine)
            self.rows.put(tx, hub.id, mine)
        tx.run("UPDATE enrolments SET account_id=? WHERE account_id=?", (account_id, gone.id))

    # what is kept

    def keep_in(self, tx: Tx, actor: Actor, event: str, hub: EnrolledHub) -> None:
        """Store a hub as it is now, and tell its owner and the homes it serves."""
        queries.put_hub(tx, hub)
        self.rows.put(tx, hub.id, hub)
        facts = {"id": hub.id, "name": hub.name}
        tx.record(actor, Change(event, "hub", hub.id, None, Action.SELF, facts, account_id=hub.owner_id))
        for home_id in queries.homes_of_hub(tx, hub.id):
            tx.record(actor, Change(event, "hub", hub.id, home_id, Action.HOME_READ, facts))

    def forget_in(self, tx: Tx, hub_id: str) -> None:
        """No trace of a hub is left here but in the audit trail."""
        for home_id in queries.homes_of_hub(tx, hub_id):
            self.homes.drop(tx, (hub_id, home_id))
        queries.delete_hub(tx, hub_id)
        self.rows.drop(tx, hub_id)

    def make_room_in(self, tx: Tx, owner_id: str) -> None:
        """For one more hub of somebody's: the one revoked longest ago gives way; raises TooMany."""
        hubs = queries.hubs_of(tx, owner_id)
        revoked = [(hub.revoked_at, hub.id) for hub in hubs if hub.revoked_at is not None]
        if revoked and len(hubs) >= (KEEP["hubs"].most or 1):
            self.forget_in(tx, min(revoked)[1])
        demand_room(tx, "hubs", owner_id)

    def heard(self, hub_id: str) -> None:
        """A hub speaks now. Noted on disk once a minute."""
        now = self._store.clock.now().ms
        self._heard[hub_id] = now
        if now - self._noted.get(hub_id, 0) >= HEARD_EVERY_MS:
            self._noted[hub_id] = now
            self._notes.add((hub_id, now))

    def view(self, hub: EnrolledHub) -> EnrolledHubView:
        """`hub` for its owner."""
        return EnrolledHubView(
            hub.id,
            hub.name,
            sorted(self._homes_of.get(hub.id, ())),
            hub.version,
            to_time(hub.enrolled_at),
            maybe_time(self._heard.get(hub.id, hub.heard_at)),
            maybe_time(hub.revoked_at),
        )

    def _home_view(self, hub: EnrolledHub, home_id: str) -> HomeHubView:
        since = self.homes.get((hub.id, home_id)) or 0
        return HomeHubView(hub.id, hub.name, to_time(since), maybe_time(self._heard.get(hub.id, hub.heard_at)))

    def _mine_in(self, tx: Tx, by: Caller, hub_id: str) -> EnrolledHub:
        demand(by.actor, Action.HUB_ENROL, Resource(), tx.moment)
        hub = queries.hub(tx, hub_id)
        if hub is None:
            raise NotFound
        demand(by.actor, Action.HUB_ENROL, Resource(account_id=hub.owner_id), tx.moment)
        if hub.revoked_at is not None:
            raise Revoked
        return hub

    def _demand(self, actor: Actor, owner_id: str | None) -> None:
        demand(actor, Action.HUB_ENROL, Resource(account_id=owner_id), self._store.clock.now())

    def _tell(self, tx: Tx, actor: Actor, event: str, hub_id: str, home_id: str) -> None:
        tx.record(actor, Change(event, "hub", hub_id, home_id, Action.HOME_READ, {"id": hub_id}))


def _note(tx: Tx, heard: list[tuple[str, int]]) -> None:
    for hub_id, at in heard:
        queries.heard_hub(tx, hub_id, at)
