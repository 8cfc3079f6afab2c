"""The bus: every committed event, handed to each open stream that may have a right to it."""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator

from app.clock import Clock, Moment
from app.errors import TooMany
from app.events import queries
from app.events.model import Ending, Place, Told
from app.events.resolver import Resolver
from app.policy import Actor, Resource, allowed
from app.settings import Limits
from app.store.hub import read_hub
from app.store.store import Store
from app.store.tx import Event, Reader

# A phone that wakes up reads on within a second or so; 1,000 events wait for it (about 300 KB of shared frames), then
# it is sent away to read them from disk.
MAX_WAITING = 1_000
# Every session of an account may have its own streams, but one person never holds the hub's.
STREAMS_PER_ACCOUNT = 64
RETRY_AFTER_S = 10


class TooManyStreams(TooMany):
    """The hub has as many event streams open as it allows."""

    code = "too_many_streams"


class Listener:
    """One open stream: what waits for it, how far it is, and why it ends. Events are filtered when they are taken."""

    __slots__ = ("_waiting", "_wake", "actor", "deadline", "ending", "place")

    def __init__(self, actor: Actor, place: int) -> None:
        self.actor = actor
        self.place = place
        self.ending: Ending | None = None
        # The earliest end (ms) of a grant this stream was told something by, or may be.
        self.deadline: int | None = None
        self._waiting: deque[Told] = deque()
        self._wake = asyncio.Event()

    def offer(self, told: Told) -> None:
        """Have `told` wait; one too many ends the stream."""
        if len(self._waiting) >= MAX_WAITING:
            self.end(Ending.LAGGING)
            return
        self._waiting.append(told)
        self._wake.set()

    def end(self, reason: Ending) -> None:
        """Nothing more is told, and the stream says why; the first reason stands."""
        self.ending = self.ending or reason
        self._waiting.clear()
        self._wake.set()

    def nudge(self) -> None:
        """Have the stream look at its rights and the time again."""
        self._wake.set()

    def until(self, end_ms: int | None) -> None:
        """A right this stream goes by ends at `end_ms`."""
        if end_ms is not None:
            self.deadline = end_ms if self.deadline is None else min(self.deadline, end_ms)

    def take(self) -> Iterator[Told]:
        """What waits, once."""
        while self._waiting:
            yield self._waiting.popleft()

    async def wait(self, seconds: float) -> None:
        """Until something waits, somebody nudges, or `seconds` have passed."""
        if not self._waiting and self.ending is None:
            try:
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
            except TimeoutError:
                return
        self._wake.clear()


class Bus:
    """Hands committed events to open streams. `load` first; `close` ends every stream."""

    def __init__(self, store: Store, resolver: Resolver, limits: Limits) -> None:
        self.store = store
        self.resolver = resolver
        self._limits = limits
        self._listeners: dict[str | None, list[Listener]] = {}
        self._incarnation = 1
        self._last = 0
        self._closed = False
        store.keep_resident(self)
        store.listen(self.publish)

    @property
    def clock(self) -> Clock:
        """The hub's."""
        return self.store.clock

    @property
    def here(self) -> Place:
        """The place of the newest event."""
        return Place(self._incarnation, self._last)

    @property
    def streams(self) -> int:
        """How many are open."""
        return sum(map(len, self._listeners.values()))

    def load(self, reader: Reader) -> None:
        """Learn where the numbering stands; called once, before the first request."""
        self._incarnation = read_hub(reader).incarnation
        self._last = queries.kept(reader).last

    def publish(self, events: list[Event]) -> None:
        """Hand a committed batch on, in order."""
        if not self._listeners:
            self._last = events[-1].seq
            return
        for event in events:
            told = Told(event, self._incarnation)
            for listener in self._candidates(event):
                listener.offer(told)
            self._last = event.seq

    def _candidates(self, event: Event) -> Iterator[Listener]:
        accounts = self.resolver.audience(event)
        for account_id in tuple(self._listeners) if accounts is None else accounts:
            yield from self._listeners.get(account_id, ())

    def told(self, event: Event) -> Told:
        """An event read from disk, ready to be framed."""
        return Told(event, self._incarnation)

    def frame_for(self, listener: Listener, told: Told, now: Moment, *, replayed: bool = False) -> bytes | None:
        """`told` as this listener may have it now, or None when it may not.

        What is replayed must have been theirs to see when it happened as well: within their hours, and since they came.
        """
        actor, event = listener.actor, told.event
        resource = self.resolver.resource(actor, event)
        decision = allowed(actor, event.sees, resource, now)
        if not decision.yes:
            return None
        if replayed and not self._was_theirs(actor, event, resource, now):
            return None
        listener.until(decision.until)
        return told.frame(outdoors=bool(resource.home_id) and resource.standing.role is None)

    def _was_theirs(self, actor: Actor, event: Event, resource: Resource, now: Moment) -> bool:
        if event.at < self.resolver.since(actor, event, resource):
            return False
        return allowed(actor, event.sees, resource, Moment(event.at, now.trusted)).yes

    def join(self, actor: Actor) -> Listener:
        """A new stream from here on; raises TooManyStreams. A credential's oldest makes room for its newest."""
        mine = self._listeners.get(actor.account_id, [])
        if self._closed or self.streams >= self._limits.streams or len(mine) >= STREAMS_PER_ACCOUNT:
            raise TooManyStreams(retry_after=RETRY_AFTER_S)
        same = [one for one in mine if one.actor.credential_id == actor.credential_id and one.ending is None]
        if len(same) >= self._limits.streams_per_session:
            same[0].end(Ending.REPLACED)
        listener = Listener(actor, self._last)
        self._listeners.setdefault(actor.account_id, []).append(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """The stream is over."""
        actor = listener.actor
        self._listeners[actor.account_id].remove(listener)
        if not self._listeners[actor.account_id]:
            del self._listeners[actor.account_id]

    def rights_changed(self, account_id: str) -> None:
        """Something was taken from `account_id`, or is given under other terms: its streams end and come back."""
        self._end(self._listeners.get(account_id, ()), Ending.RIGHTS_CHANGED)

    def credential_ended(self, credential_id: str) -> None:
        """Its streams end now, not at the next look."""
        self._end([one for one in self._all() if one.actor.credential_id == credential_id], Ending.SIGNED_OUT)

    def clock_changed(self) -> None:
        """Have every stream look at the time again."""
        for listener in self._all():
            listener.nudge()

    def close(self) -> None:
        """End every stream and open no more: the hub stops."""
        self._closed = True
        self._end(self._all(), Ending.STOPPING)

    def _all(self) -> list[Listener]:
        return [listener for mine in self._listeners.values() for listener in mine]

    @staticmethod
    def _end(listeners: Iterable[Listener], reason: Ending) -> None:
        for listener in listeners:
            listener.end(reason)
