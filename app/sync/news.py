"""Tells listeners how homes stand to their cloud, and of each conflict; keeps the numbers that are measured.

A connection that comes and goes is told of seldom, however fast it does: each telling is written.
"""

import asyncio
from typing import Final

import structlog
from msgspec import Struct

from app.policy import SYSTEM, Action
from app.store.errors import StoreError
from app.store.store import Store
from app.store.tx import Change, Reader, Tx
from app.sync import behind_queries, outbox_queries, queries
from app.sync.catching_up import Talk
from app.sync.cloud_end import CloudEnd, Peer, Serving
from app.sync.engine import Engine
from app.sync.replica import Replica
from app.sync.status import state_in

# What changes together is told together.
SETTLE_S: Final = 0.3
# At most 8,640 events a day and home, however the network behaves; a first sync comes to its end, and is told of more.
TELL_EVERY_S: Final = 10.0
PROGRESS_EVERY_S: Final = 0.5
# A first sync is told of in steps of 5 %.
STEPS: Final = 20
# Of one act; the rest is in the list of conflicts.
MOST_CONFLICTS: Final = 20
_log = structlog.get_logger("doorstep.sync")


class Told(Struct, frozen=True):
    """What an event says of a home. `hubs` are those connected now, at a cloud."""

    state: str
    connected: bool
    progress: float | None
    hubs: tuple[str, ...] = ()


class Numbers(Struct, frozen=True):
    """Of one home, as they were last looked at. `unshown`: facts that are in the log, and not in the tables."""

    head: int
    unshown: int
    waiting: int
    conflicts: int


class SyncNews:
    """`start`, and `stop` at the end. It is told of what happens by those it is given."""

    def __init__(self, store: Store, replica: Replica, cloud_end: CloudEnd, serving: Serving) -> None:
        self._store = store
        self._replica = replica
        self._cloud_end = cloud_end
        self._serving = serving
        self._engine: Engine | None = None
        self._told: dict[str, Told] = {}
        self._changed: set[str] = set()
        self._signs = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        # How far each log was looked through for conflicts.
        self._seen: dict[str, int] = {}
        # By home.
        self.numbers: dict[str, Numbers] = {}
        replica.on_moved.append(self.grew_in)
        replica.on_acted.append(lambda tx, home_id: tx.after(lambda: self.look(home_id)))
        cloud_end.on_connected.append(self._hub_changed)
        cloud_end.on_disconnected.append(self._hub_changed)

    def joined(self, engine: Engine) -> None:
        """There is another talk with a cloud."""
        self._engine = engine
        engine.on_connected.append(lambda _: self._look_at_all())
        engine.on_disconnected.append(self._look_at_all)

    def _hub_changed(self, peer: Peer) -> None:
        for home_id in self._serving.homes_of(peer.hub_id):
            self.look(home_id)

    def _look_at_all(self) -> None:
        for home_id in tuple(self._told):
            self.look(home_id)

    def look(self, home_id: str) -> None:
        """Something of that home's may be another now."""
        self._changed.add(home_id)
        self._signs.set()

    def grew_in(self, tx: Tx, home_id: str, _: int = 0) -> None:
        """A log has come further: tell of the conflicts that it brought, and look at the rest later."""
        shared = queries.shared(tx, home_id)
        if shared is None:
            return
        since = self._seen.get(home_id)
        # What a first sync brings is not news.
        if since is not None and since < shared.head and shared.state != "founding":
            self._tell_conflicts(tx, home_id, since)
        head = shared.head

        def seen() -> None:
            self._seen[home_id] = head
            self.look(home_id)

        tx.after(seen)

    def _tell_conflicts(self, tx: Tx, home_id: str, since: int) -> None:
        for conflict in queries.conflicts_since(tx, home_id, since, MOST_CONFLICTS):
            it = conflict.fields
            if it.get("state", "open") == "open":
                data = {"entity_kind": it["kind"], "entity_id": it["id"], "field": it["field"], "why": it["why"]}
                sees = Action.AUDIT_READ
                tx.record(
                    SYSTEM, Change("conflict.recorded", "conflict", conflict.id, home_id, sees, data, audit=False)
                )

    async def start(self) -> None:
        """Learn how it stands; what changes from now on is told."""
        for shared in await self._store.read(queries.all_shared):
            self._seen[shared.home_id] = shared.head
            self.look(shared.home_id)
        await self._look(tell=False)
        self._task = asyncio.create_task(self._run(), name="sync-news")

    async def stop(self) -> None:
        """Tell no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _run(self) -> None:
        while True:
            await self._signs.wait()
            await asyncio.sleep(SETTLE_S)
            self._signs.clear()
            try:
                told = await self._look()
            except StoreError as error:
                _log.warning("nobody was told how homes stand to their cloud", code=error.code)
                told = True
            if told:
                under_way = any(it.progress is not None for it in self._told.values())
                await asyncio.sleep(PROGRESS_EVERY_S if under_way else TELL_EVERY_S)

    async def _look(self, *, tell: bool = True) -> bool:
        """Whether there was anything to tell."""
        changed, self._changed = self._changed, set()
        found = await self._store.read(lambda reader: {home_id: self._of(reader, home_id) for home_id in changed})
        news: dict[str, Told] = {}
        for home_id, (now, numbers) in found.items():
            if now is None or numbers is None:
                self._told.pop(home_id, None)
                self.numbers.pop(home_id, None)
                self._seen.pop(home_id, None)
                continue
            self.numbers[home_id] = numbers
            if self._told.get(home_id) != now:
                news[home_id] = now
        if news and tell:
            await self._store.write(lambda tx: _tell_in(tx, news))
        self._told |= news
        return bool(news)

    def _of(self, reader: Reader, home_id: str) -> tuple[Told | None, Numbers | None]:
        shared = queries.shared(reader, home_id)
        if shared is None:
            return None, None
        waiting = outbox_queries.waiting_count(reader, home_id)
        conflicts = outbox_queries.count_open_conflicts(reader, home_id)
        numbers = Numbers(shared.head, behind_queries.count(reader, home_id), waiting, conflicts)
        if shared.cloud_id is None:
            hubs = tuple(sorted(self._cloud_end.connected_to(home_id)))
            return Told("authority", bool(hubs), None, hubs), numbers
        talk = Talk() if self._engine is None else self._engine.talk
        state, progress = state_in(reader, shared, self._replica, talk)
        step = None if progress is None else int(progress * STEPS) / STEPS
        return Told(state, talk.connected, step), numbers

    # what is measured

    @property
    def to_push(self) -> int:
        """Operations in all outboxes."""
        return sum(it.waiting for it in tuple(self.numbers.values()))

    @property
    def to_pull(self) -> int:
        """Numbers of the cloud's logs that are not here, as far as is known, or not shown."""
        remote = {} if self._engine is None else self._engine.remote
        return sum(max(0, remote.get(home_id, 0) - it.head) + it.unshown for home_id, it in tuple(self.numbers.items()))

    @property
    def conflicts(self) -> int:
        """That nobody has settled."""
        return sum(it.conflicts for it in tuple(self.numbers.values()))


def _tell_in(tx: Tx, news: dict[str, Told]) -> None:
    for home_id, it in news.items():
        data = {"state": it.state, "connected": it.connected, "progress": it.progress, "hubs": list(it.hubs)}
        tx.record(SYSTEM, Change("sync.status", "home", home_id, home_id, Action.HOME_READ, data, audit=False))
