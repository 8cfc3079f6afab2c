"""One event stream: what is sent to whom, when it is looked at again, and how it ends."""

import asyncio
from collections.abc import Callable, Iterable

from litestar.types import Receive, Scope, Send
from msgspec import Struct

from app.clock import Moment
from app.errors import Unauthenticated
from app.events import queries
from app.events.bus import Bus, Listener
from app.events.model import Ending, Place, Told, frame, heartbeat
from app.policy import Actor

# Proxies and phones take a connection that is silent for 30 s or more for dead.
HEARTBEAT_S = 15.0
# A client that takes nothing for this long is gone; its stream makes room.
SEND_S = 30.0
# Events read from disk in one hop.
PAGE = 500

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]

WhoNow = Callable[[Moment], Actor | None]


class Closing(Struct, frozen=True):
    """Told as the last event of a stream. `again`: come back at once, with the last id; else with a new token."""

    reason: Ending
    again: bool


class EventStream:
    """An ASGI application that tells `who` everything they may know, from `since` on or from now."""

    def __init__(self, bus: Bus, who: WhoNow, since: Place | None, *, replays: bool) -> None:
        """`who` says whose the credential is at a moment, None once it has ended. `replays`: a place was stated."""
        self._bus = bus
        self._who = who
        self._since = since
        self._replays = replays
        self._gone = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Raises TooManyStreams before anything is sent."""
        actor = self._who(self._bus.clock.now())
        if actor is None:  # ended since the request was let in
            raise Unauthenticated
        listener = self._bus.join(actor)
        watch = asyncio.create_task(self._watch(receive, listener), name="event-stream-watch")
        try:
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            await self._tell(send, listener)
        except TimeoutError:
            return  # nobody takes anything: there is nobody to say goodbye to
        finally:
            watch.cancel()
            self._bus.leave(listener)

    async def _watch(self, receive: Receive, listener: Listener) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        listener.nudge()

    async def _tell(self, send: Send, listener: Listener) -> None:
        listener.until(self._bus.resolver.earliest_end(listener.actor, self._bus.clock.now()))
        await self._begin(send, listener)
        loop = asyncio.get_running_loop()
        spoke = loop.time()
        while not self._gone:
            chunk = self._due(listener)
            if not chunk and loop.time() - spoke >= HEARTBEAT_S:
                listener.until(self._bus.resolver.earliest_end(listener.actor, self._bus.clock.now()))
                chunk = heartbeat(self._place(listener))
            if chunk:
                await _write(send, chunk)
                spoke = loop.time()
            if listener.ending is not None:
                await _write(send, self._goodbye(listener, listener.ending), more=False)
                return
            await listener.wait(self._patience(listener, HEARTBEAT_S - (loop.time() - spoke)))

    async def _begin(self, send: Send, listener: Listener) -> None:
        """`ready`, and what happened since the client's place; or `reset`, when that cannot be told any more."""
        since, here = self._since, str(self._bus.here)
        if since is None or not await self._reaches(since):
            await _write(send, frame("reset" if self._replays else "ready", {}, here))
            return
        listener.place = since.seq
        await _write(send, frame("ready", {}, str(since)))
        more = True
        while more and listener.ending is None and not self._gone:
            page = await self._bus.store.read(lambda reader: queries.after(reader, listener.place, PAGE))
            more = len(page) == PAGE
            if chunk := self._allowed(listener, map(self._bus.told, page), replayed=True):
                await _write(send, chunk)

    async def _reaches(self, since: Place) -> bool:
        """Whether everything after `since` is still on disk, and `since` is of this hub's present numbering."""
        kept = await self._bus.store.read(queries.kept)
        return since.incarnation == self._bus.here.incarnation and kept.before <= since.seq <= self._bus.here.seq

    def _due(self, listener: Listener) -> bytes:
        chunk = self._allowed(listener, listener.take())
        if listener.ending is None:  # whatever else there was is nothing to this listener
            listener.place = max(listener.place, self._bus.here.seq)
        return chunk

    def _allowed(self, listener: Listener, told: Iterable[Told], *, replayed: bool = False) -> bytes:
        """The frames of what may be told now. Everything is asked anew: the credential, the rights, the time."""
        now = self._bus.clock.now()
        if not self._holds(listener, now):
            return b""
        frames = []
        for each in told:
            if each.event.seq <= listener.place:
                continue
            if framed := self._bus.frame_for(listener, each, now, replayed=replayed):
                frames.append(framed)
            listener.place = each.event.seq
        return b"".join(frames)

    def _holds(self, listener: Listener, now: Moment) -> bool:
        actor = self._who(now)
        if actor is None:
            listener.end(Ending.SIGNED_OUT)
            return False
        listener.actor = actor
        if listener.deadline is not None and now.ms >= listener.deadline:
            listener.end(Ending.ACCESS_ENDED)
        return listener.ending is None

    def _patience(self, listener: Listener, seconds: float) -> float:
        """How long there is nothing to do by itself."""
        if listener.deadline is not None:
            seconds = min(seconds, (listener.deadline - self._bus.clock.now().ms) / 1000)
        return max(seconds, 0.0)

    def _place(self, listener: Listener) -> Place:
        """How far this listener has been told everything it may know."""
        return Place(self._bus.here.incarnation, listener.place)

    def _goodbye(self, listener: Listener, ending: Ending) -> bytes:
        name = "lagging" if ending is Ending.LAGGING else "closing"
        return frame(name, Closing(ending, ending is not Ending.SIGNED_OUT), str(self._place(listener)))


async def _write(send: Send, chunk: bytes, *, more: bool = True) -> None:
    async with asyncio.timeout(SEND_S):
        await send({"type": "http.response.body", "body": chunk, "more_body": more})
