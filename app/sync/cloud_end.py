"""A cloud's end of the talk: each request of a hub is one act, answered once it is on disk (PROTOCOL.md 7)."""

import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from app.store.store import Store
from app.store.tx import Reader, Tx
from app.sync import queries
from app.sync.accepting import Sender
from app.sync.authority import Authority
from app.sync.behind import Behind
from app.sync.capture import Capture
from app.sync.model import MAX_OPS, decode_entity
from app.sync.polls import Polls
from app.sync.rules import By
from app.sync.wire import (
    Answer,
    Attached,
    Done,
    Failed,
    Found,
    Head,
    Hello,
    JournalPart,
    Pull,
    Push,
    Relay,
    Reports,
    Request,
    Reset,
    Restate,
    Snapshot,
    Wait,
    Welcome,
    Wiped,
)

EPOCH_BYTES: Final = 8


class Peer(Struct, frozen=True):
    """A hub that has proved itself, and the life of it that speaks."""

    hub_id: str
    node: str


class Serving(Protocol):
    """Which hub serves which home."""

    def serves(self, hub_id: str, home_id: str) -> bool:
        """From memory."""

    def homes_of(self, hub_id: str) -> list[str]:
        """From memory."""

    def hubs_of(self, home_id: str) -> list[str]:
        """From memory."""

    def attach_in(self, tx: Tx, hub_id: str, home_id: str) -> None:
        """From now on; raises TooMany."""

    def may_found_in(self, tx: Tx, hub_id: str, home_id: str) -> bool:
        """Whether a hub may bring that home here: there is none of its id that it does not serve."""

    def restated_in(self, reader: Reader, hub_id: str, home_id: str) -> str | None:
        """The epoch of the log in which it has said all it had."""

    def has_restated_in(self, tx: Tx, hub_id: str, home_id: str, epoch: str) -> None:
        """It has, in this one."""

    def speaks_as(self, tx: Tx, hub_id: str, home_id: str, node: str) -> bool:
        """Whether operations of that node may come through the hub: its own lives, and phones'."""


Tell = Callable[[Answer], bool]
Handler = Callable[[Peer, Any], Awaitable[Answer]]


class CloudEnd:
    """`answer` a request. `handlers` are of requests that are about other things than facts, by their type."""

    def __init__(self, store: Store, authority: Authority, capture: Capture, serving: Serving, behind: Behind) -> None:
        self._store = store
        self._behind = behind
        self._authority = authority
        self._capture = capture
        self._serving = serving
        self.handlers: dict[type, Handler] = {}
        # (epoch, head) of each log, from memory, and who waits for one to grow.
        self.heads: dict[str, tuple[str, int]] = {}
        # Logs that the hub which brought them has not said all of.
        self._founding: set[str] = set()
        self._polls = Polls(self.heads)
        # By hub, how to tell each connection of it something; False: it takes no more.
        self._lines: dict[str, list[Tell]] = {}
        self.on_connected: list[Callable[[Peer], None]] = []
        self.on_disconnected: list[Callable[[Peer], None]] = []
        authority.on_grown.append(self._grew_in)

    async def open(self) -> None:
        """Read what logs there are."""
        for shared in await self._store.read(queries.all_shared):
            if shared.cloud_id is None:
                self.heads[shared.home_id] = shared.epoch, shared.head
                self._capture.homes[shared.home_id] = True
                if shared.state == "founding":
                    self._founding.add(shared.home_id)

    def connect(self, peer: Peer, tell: Tell) -> Callable[[], None]:
        """A connection of a hub stands; call what this returns at its end."""
        self._lines.setdefault(peer.hub_id, []).append(tell)
        for told in self.on_connected:
            told(peer)

        def end() -> None:
            lines = self._lines.get(peer.hub_id, [])
            lines.remove(tell)
            if not lines:
                self._lines.pop(peer.hub_id, None)
                for gone in self.on_disconnected:
                    gone(peer)

        return end

    def _connect_poll(self, peer: Peer, request: Wait, tell: Tell) -> Callable[[], None]:
        """A hub that asks one by one: nothing told it of a home that has come since it was greeted."""
        end = self.connect(peer, tell)
        if {home_id for home_id, *_ in request.homes} != set(self._logs_of(peer)):
            tell(Attached(0))
        return end

    def _logs_of(self, peer: Peer) -> list[str]:
        return [home_id for home_id in self._serving.homes_of(peer.hub_id) if home_id in self.heads]

    def is_connected(self, hub_id: str) -> bool:
        """Whether something told now reaches it."""
        return hub_id in self._lines

    def connected_to(self, home_id: str) -> list[str]:
        """The hubs of a home that are connected now."""
        return [hub_id for hub_id in self._serving.hubs_of(home_id) if hub_id in self._lines]

    @property
    def connected(self) -> int:
        """How many hubs are connected now."""
        return len(self._lines)

    def tell(self, hub_id: str, notice: Answer) -> bool:
        """Say something to a hub, over its newest connection."""
        lines = self._lines.get(hub_id, [])
        return bool(lines) and lines[-1](notice)

    def _grew_in(self, tx: Tx, home_id: str, head: int) -> None:
        tx.after(lambda: self._grew(home_id, head))

    def _grew(self, home_id: str, head: int) -> None:
        epoch = self.heads.get(home_id, ("", 0))[0]
        self.heads[home_id] = epoch, head
        for hub_id in self.connected_to(home_id):
            self.tell(hub_id, Head(0, home_id, epoch, head))

    async def answer(self, peer: Peer, request: Request) -> Answer:
        """What a hub asked, done; raises what the store does."""
        home_id = getattr(request, "home", None)
        if home_id is not None and not isinstance(request, Found) and not self._serving.serves(peer.hub_id, home_id):
            if home_id in self.heads:
                return Wiped(request.id, home_id)
            return Failed(request.id, "home_unknown", "This cloud does not know that home.", True)
        match request:
            case Hello():
                answer: Answer = await self._hello(peer, request)
            case Found():
                answer = await self._store.write(lambda tx: self._found_in(tx, peer, request))
            case Push():
                answer = await self._store.write(lambda tx: self._push_in(tx, peer, request))
            case Pull():
                answer = await self._pull(peer, request)
            case Snapshot():
                answer = await self._store.read(lambda reader: self._authority.page(reader, request))
            case Restate():
                answer = await self._store.write(lambda tx: self._restate_in(tx, peer, request))
            case Wait():
                answer = await self._polls.wait(peer, request, partial(self._connect_poll, peer, request))
            case _:
                answer = await self._handled(peer, request)
        return replace(answer, id=request.id)

    async def _handled(self, peer: Peer, request: Request) -> Answer:
        handler = self.handlers.get(type(request))
        if handler is None:
            return Failed(0, "not_understood", f"This cloud knows no {type(request).__name__}.", False)
        for home_id in _devices_of(request):
            # The log knows devices that came just now; what is said of them goes by the tables.
            await self._behind.level(home_id)
        return await handler(peer, request)

    async def _hello(self, peer: Peer, request: Hello) -> Welcome:
        if not request.again:
            self._polls.end(peer)
        for home_id, epoch, cursor in request.homes:
            known = self.heads.get(home_id)
            if (
                known is not None
                and known[0] == epoch
                and known[1] < cursor
                # What a hub brings, it has not said all of yet.
                and home_id not in self._founding
                and self._serving.serves(peer.hub_id, home_id)
            ):
                await self._store.write(partial(self._renew_in, home_id=home_id, epoch=epoch, cursor=cursor))
        served = self._logs_of(peer)
        self._polls.welcomed(peer, {home_id: self.heads[home_id] for home_id in served})
        homes = [(home_id, *self.heads[home_id], home_id in self._founding) for home_id in served]
        gone = [home_id for home_id, *_ in request.homes if home_id in self.heads and home_id not in served]
        return Welcome(0, self._store.clock.now().ms, homes, gone)

    def _renew_in(self, tx: Tx, home_id: str, epoch: str, cursor: int) -> None:
        """A hub has more than was ever given here: this is an older copy of the log, put back by hand."""
        shared = queries.shared(tx, home_id)
        if shared is not None and shared.epoch == epoch and shared.head < cursor:
            renewed = self._authority.renew_in(tx, shared, secrets.token_hex(EPOCH_BYTES))
            tx.after(lambda: self.heads.__setitem__(home_id, (renewed.epoch, renewed.head)))

    def _found_in(self, tx: Tx, peer: Peer, request: Found) -> Answer:
        shared = queries.shared(tx, request.home)
        if shared is not None and self._serving.serves(peer.hub_id, request.home):
            return Reset(0, request.home, shared.epoch, restate=shared.state == "founding")
        if shared is not None or not self._serving.may_found_in(tx, peer.hub_id, request.home):
            return Failed(0, "home_exists", "This cloud has that home already; its owner attaches hubs there.", False)
        self._serving.attach_in(tx, peer.hub_id, request.home)
        shared = self._authority.found_in(tx, request.home, secrets.token_hex(EPOCH_BYTES), "founding")
        self.found(tx, request.home, shared.epoch, by_hub=True)
        return Reset(0, request.home, shared.epoch, restate=True)

    def found(self, tx: Tx, home_id: str, epoch: str, *, by_hub: bool = False) -> None:
        """From `tx` on there is a log of that home here; `by_hub`: what is in it, a hub has to say."""
        self._capture.homes[home_id] = True

        def known() -> None:
            self.heads[home_id] = epoch, self.heads.get(home_id, ("", 0))[1]
            if by_hub:
                self._founding.add(home_id)

        tx.after(known)

    def _push_in(self, tx: Tx, peer: Peer, request: Push) -> Answer:
        shared = queries.shared(tx, request.home)
        if shared is None or shared.epoch != request.epoch:
            return Reset(0, request.home, "" if shared is None else shared.epoch, restate=shared is not None)
        speaks_as = partial(self._serving.speaks_as, tx, peer.hub_id, request.home)
        sender = Sender(By(peer.hub_id), request.now, speaks_as, peer.node)
        return self._authority.push_in(tx, shared, request.ops[:MAX_OPS], sender, tx.moment)

    async def _pull(self, peer: Peer, request: Pull) -> Answer:
        answer = await self._store.read(lambda reader: self._authority.changes(reader, request))
        if not isinstance(answer, Reset) and not answer.more:
            # It had come so far before it asked.
            await self._store.write(
                lambda tx: self._authority.heard_in(tx, request.home, peer.node, peer.hub_id, request.since)
            )
        return answer

    def _restate_in(self, tx: Tx, peer: Peer, request: Restate) -> Answer:
        shared = queries.shared(tx, request.home)
        if shared is None or shared.epoch != request.epoch:
            return Reset(0, request.home, "" if shared is None else shared.epoch, restate=shared is not None)
        if shared.state not in ("founding", "recovering"):
            return Done(0)  # the log is what it says: what this hub had is in it, or came too late
        if self._serving.restated_in(tx, peer.hub_id, request.home) == shared.epoch:
            return Done(0)  # it has had its say: from then on it pushes, and is asked for its rights
        rows = [decode_entity(raw) for raw in request.rows]
        self._authority.restate_in(tx, shared, rows, request.counters, peer.hub_id)
        if request.last:
            self._serving.has_restated_in(tx, peer.hub_id, request.home, shared.epoch)
        if request.last and shared.state == "founding":
            grown = queries.shared(tx, request.home)
            if grown is not None:
                queries.put_shared(tx, replace(grown, state="synced"))
                tx.after(lambda: self._founding.discard(request.home))
        return Done(0)

    def close(self) -> None:
        """This node stops: who waits is answered."""
        self._polls.close()


def _devices_of(request: Request) -> set[str]:
    """The homes of whose devices something is said."""
    match request:
        case Reports(home=home_id) | JournalPart(home=home_id):
            return {home_id}
        case Relay(orders=orders):
            return {order.home for order in orders}
        case _:
            return set()
