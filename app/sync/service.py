"""Sync as a node has it: what is captured and merged here, the cloud's end, and the engine towards a cloud."""

import asyncio
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from app.accounts.people import People
from app.caller import Caller, demand
from app.errors import NotFound
from app.homes.standing import Standings
from app.policy import SYSTEM, Action, Actor
from app.store.hub import read_hub
from app.store.store import Store
from app.store.tx import Change, Tx
from app.sync import outbox_queries, queries
from app.sync.acting import Acting
from app.sync.attaching import Attaching
from app.sync.authority import FORGOTTEN_AT_ONCE, TOMBSTONE_MS, Authority
from app.sync.behind import Behind
from app.sync.capture import Capture
from app.sync.catching_up import Talk
from app.sync.cloud_end import CloudEnd, Serving
from app.sync.conflicts import Conflicts
from app.sync.contact import Contact
from app.sync.copies import Copies
from app.sync.engine import Engine
from app.sync.enrolment.hubs import Hubs
from app.sync.facts import Facts
from app.sync.kinds import Kind
from app.sync.line import Door
from app.sync.model import NOBODY, Op, Result
from app.sync.news import SyncNews
from app.sync.operations import PhoneOperations
from app.sync.phones import PhoneFacts
from app.sync.replica import Replica
from app.sync.status import SyncView, view_in


class Sync:
    """`open` it before the first act. `engine` is there once the hub has a cloud."""

    def __init__(
        self, store: Store, kinds: Sequence[Kind], *, people: People, standings: Standings, hubs: Hubs, serving: Serving
    ) -> None:
        self._store = store
        self._people = people
        self._standings = standings
        self._node = ""
        facts = Facts(kinds, self._caller_of)
        self.authority = Authority(lambda _: self._node, facts)
        self.replica = Replica(lambda _: self._node, facts)
        self.behind = Behind(store, facts)
        self.capture = Capture(facts, self.authority, self.replica, people.key_in)
        self.copies = Copies(self.capture, self.replica, standings)
        self.cloud_end = CloudEnd(store, self.authority, self.capture, serving, self.behind)
        self.acting = Acting(self.authority, self.replica)
        self.conflicts = Conflicts(store, standings, people, self.acting)
        self.phones = PhoneFacts(store, standings)
        self.operations = PhoneOperations(store, standings, people, self.authority, self.replica)
        self.attaching = Attaching(
            store,
            standings=standings,
            people=people,
            hubs=hubs,
            authority=self.authority,
            capture=self.capture,
            cloud_end=self.cloud_end,
        )
        self.engine: Engine | None = None
        self.cloud_name: str | None = None
        # Why the cloud has ended this hub's enrolment; empty: it has not.
        self.sent_away: Callable[[], str] = str
        self.on_joined: list[Callable[[Engine], None]] = []
        self.on_left: list[Callable[[], None]] = []
        self.replica.on_refused.append(self._refused_in)
        self.news = SyncNews(store, self.replica, self.cloud_end, serving)
        self.authority.on_grown.append(self.news.grew_in)
        self.behind.on_shown.append(self.news.look)
        self.on_joined.append(self.news.joined)

    def _caller_of(self, tx: Tx, key: str) -> Caller:
        account_id = self._people.account_of_in(tx, key) if key else None
        return Caller(SYSTEM if account_id is None else Actor(account_id))

    @property
    def node(self) -> str:
        """What this life of the node writes as."""
        return self._node

    async def open(self) -> None:
        """Begin to capture; learn which logs there are."""
        self._node = (await self._store.read(read_hub)).node_id
        for shared in await self._store.read(queries.all_shared):
            self.capture.homes[shared.home_id] = shared.cloud_id is None
        await self._store.attach(self.capture.prepare, self.capture)
        await self.cloud_end.open()
        self._store.housekeeping.register("sync_entities", self._compact_in)
        await self.news.start()
        self.behind.start()

    async def give(self, by: Caller, home_id: str) -> SyncView:
        """Have the cloud keep a home of this hub's; raises as `Attaching.give`."""
        await self.attaching.give(by, home_id, self.engine)
        return await self.status(by.actor, home_id)

    def join(self, cloud_id: str, name: str, door: Door) -> Engine:
        """Talk to a cloud that this hub is enrolled with, from now on."""
        if self.engine is not None:
            for gone in self.on_left:
                gone()
        self.cloud_name = name
        contact = Contact(self._store, self._standings, cloud_id)
        self.engine = Engine(self._store, self.replica, self.copies, door, cloud_id=cloud_id, contact=contact)
        for told in self.on_joined:
            told(self.engine)
        return self.engine

    async def close(self) -> None:
        """End the talk."""
        if self.engine is not None:
            await self.engine.stop()

    async def stop(self) -> None:
        """End everything; what waits, waits on disk."""
        await self.close()
        await self.behind.stop()
        await self.news.stop()

    def talk(self) -> Talk | None:
        """How the talk goes; None without a cloud."""
        if why := self.sent_away():
            return Talk(why=why, refused=True)
        return None if self.engine is None else self.engine.talk

    async def status(self, actor: Actor, home_id: str) -> SyncView:
        """Of one home; raises NotFound, Refused."""
        demand(actor, Action.HOME_READ, self._standings.home(actor, home_id), self._store.clock.now())
        remote = 0 if self.engine is None else self.engine.remote.get(home_id, 0)
        view = await self._store.read(
            lambda reader: view_in(
                reader, home_id, self.replica, talk=self.talk(), remote=remote, cloud_name=self.cloud_name
            )
        )
        if view.state == "alone" and self.engine is not None and home_id in self.engine.giving:
            view = replace(view, state="joining", cloud=self.cloud_name, progress=0.0)
        return replace(view, hubs=len(self.cloud_end.connected_to(home_id)))

    async def leave_cloud(self) -> None:
        """The homes stay, each its own authority again; what the cloud had not answered is done here."""
        engine, self.engine = self.engine, None
        if engine is not None:
            await engine.stop()
        for told in self.on_left:
            told()

        def act(tx: Tx) -> None:
            for home_id in [it.home_id for it in queries.all_shared(tx) if it.cloud_id is not None]:
                self.copies.let_go_in(tx, home_id)

        await self._store.write(act)

    async def level(self, home_id: str) -> None:
        """Return once nothing of a home waits for its cloud, and nothing of the cloud's for this node."""
        while True:
            shared = await self._store.read(lambda reader: queries.shared(reader, home_id))
            waiting = await self._store.read(lambda reader: outbox_queries.waiting_count(reader, home_id))
            if shared is None:
                raise NotFound
            remote = 0 if self.engine is None else self.engine.remote.get(home_id, 0)
            if shared.state == "synced" and not waiting and remote <= shared.head:
                await self.behind.level(home_id)
                return
            await asyncio.sleep(0.05)

    def _refused_in(self, tx: Tx, home_id: str, op: Op, result: Result) -> None:
        """Whoever may look into the home's affairs is told; what it was is in a conflict record."""
        key = op.actor if op.actor != NOBODY else None
        account_id = self._people.account_of_in(tx, key) if key else None
        data = {
            "status": result.status,
            "why": result.why,
            "account_id": account_id,
            "entities": [{"kind": part.kind, "id": part.id} for part in op.parts],
        }
        tx.record(SYSTEM, Change("sync.refused", "home", home_id, home_id, Action.AUDIT_READ, data))

    def _compact_in(self, tx: Tx) -> int:
        gone = queries.forget_results(tx, tx.now - TOMBSTONE_MS, FORGOTTEN_AT_ONCE)
        for shared in queries.all_shared(tx):
            if shared.cloud_id is None and gone < FORGOTTEN_AT_ONCE:
                gone += self.authority.compact_in(tx, shared)
                gone += self.authority.forget_settled_in(tx, queries.shared(tx, shared.home_id) or shared)
        return gone
