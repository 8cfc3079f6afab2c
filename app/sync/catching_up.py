"""What a hub and its cloud say to each other about one home's facts, until both are level (PROTOCOL.md 2)."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from app.store.store import Store
from app.sync import queries
from app.sync.facts import Key
from app.sync.line import Line, LineLost
from app.sync.outbox_queries import Waiting
from app.sync.replica import Replica
from app.sync.wire import (
    Answer,
    Changes,
    Failed,
    Pull,
    Push,
    Pushed,
    Request,
    Reset,
    Snapshot,
    SnapshotPage,
    Wiped,
)

# Messages of operations, and pages of rows, of a home before anything else is said: 2,000 acts, 4,000 facts.
MESSAGES_AT_ONCE: Final = 4
# Of what a hub restates: while one is written there, the next is under way.
PAGES_AT_ONCE: Final = 2


class Talk(Struct):
    """How the talk with the cloud goes. `contact_at` in ms; `why`: not connected, for people.

    `pushes` and `pulls` are requests that were answered, since the hub was started.
    """

    connected: bool = False
    contact_at: int | None = None
    why: str = "not tried yet"
    # The cloud has sent this hub away.
    refused: bool = False
    pushes: int = 0
    pulls: int = 0


class CatchingUp:
    """`remote`: how far the cloud's logs have come, as far as it has said. `leave`: a home is this hub's no more."""

    def __init__(
        self,
        store: Store,
        replica: Replica,
        talk: Talk,
        remote: dict[str, int],
        leave: Callable[[str], Awaitable[None]],
    ) -> None:
        self._store = store
        self._replica = replica
        self._talk = talk
        self._remote = remote
        self._leave = leave
        # Up to which fact a home was restated, by the life of its log: a lost line does not begin again.
        self._heard: dict[tuple[str, str], Key] = {}

    async def go_on(self, line: Line, shared: queries.Shared) -> bool:
        """What is next to be said of a home; whether there is more. Raises LineLost."""
        match shared.state:
            case "restating":
                await self._restate(line, shared)
                return True
            case "snapshot":
                return await self._snapshot(line, shared.home_id)
            case _:
                pushed = await self._push(line, shared.home_id)
                return await self._pull(line, shared.home_id) or pushed

    async def _push(self, line: Line, home_id: str) -> bool:
        """What waits, a message at a time; the next is on its way while the answer to one is written."""
        push, waiting = await self._next_push(home_id)
        if not waiting:
            return False
        asking, left = self._asked(line, push), MESSAGES_AT_ONCE
        try:
            while True:
                next_push, following = await self._next_push(home_id, waiting[-1].place)
                answer, left = await asking, left - 1
                if await self.took_over(home_id, answer):
                    return True
                pushed = expected(answer, Pushed)
                goes_on = bool(left and following) and pushed.is_whole(len(waiting))
                if goes_on:
                    asking = self._asked(line, next_push)
                await self._pushed(home_id, waiting, pushed)
                if not goes_on:
                    # Nothing was taken where numbers are missing that were lost here: those go first, next time.
                    fills = pushed.expected is not None and pushed.expected < waiting[0].op.n
                    return fills or bool(pushed.results)
                waiting = following
        finally:
            _drop(asking)

    async def _next_push(self, home_id: str, after: int | None = None) -> tuple[Push, list[Waiting]]:
        return await self._store.read(lambda reader: self._replica.next_push(reader, home_id, after=after))

    def _asked(self, line: Line, push: Push) -> asyncio.Task[Answer]:
        """On its way; it may have been read a while ago, and the times in it count from when it is sent."""
        return _asking(line, replace(push, now=self._store.clock.now().ms))

    async def _pushed(self, home_id: str, waiting: list[Waiting], pushed: Pushed) -> None:
        self._talk.pushes += 1
        self._remote[home_id] = max(pushed.head, self._remote.get(home_id, 0))
        await self._store.write(lambda tx: self._replica.pushed_in(tx, home_id, waiting, pushed))

    async def _pull(self, line: Line, home_id: str) -> bool:
        """What has come to the log since; whether there is more."""
        for _ in range(MESSAGES_AT_ONCE):
            here = await self._store.read(lambda reader: queries.shared(reader, home_id))
            if here is None or here.state != "synced" or self._remote.get(home_id, 0) <= here.head:
                return False
            known = self._remote[home_id]
            answer = await line.ask(Pull(0, home_id, here.epoch, here.head))
            if await self.took_over(home_id, answer):
                return True
            await self._pulled(home_id, known, changes := expected(answer, Changes))
            if not changes.more:
                return False
        return True

    async def _pulled(self, home_id: str, known: int, changes: Changes) -> None:
        await self._store.write(lambda tx: self._replica.changed_in(tx, home_id, changes))
        # What the cloud has said meanwhile is newer than its answer.
        if not changes.more and self._remote.get(home_id) == known:
            self._remote[home_id] = changes.head
        else:
            self._remote[home_id] = max(changes.head, self._remote.get(home_id, 0))
        self._talk.pulls += 1

    async def _snapshot(self, line: Line, home_id: str) -> bool:
        ask = await self._store.read(lambda reader: self._replica.next_page(reader, home_id))
        if ask is None:
            return False
        asking = _asking(line, ask)
        try:
            while not await self.took_over(home_id, answer := await asking):
                page = expected(answer, SnapshotPage)
                if page.next is not None:
                    # On its way while this one is written.
                    asking = _asking(line, Snapshot(0, home_id, page.next))
                await self._store.write(partial(self._replica.page_in, home_id=home_id, answer=page))
                if page.next is None:
                    break
        finally:
            _drop(asking)
        return True

    async def _restate(self, line: Line, shared: queries.Shared) -> None:
        """What is here, page after page, from where this life of the log has heard it."""
        life, asking, number = (shared.home_id, shared.epoch), list[tuple[asyncio.Task[Answer], Key | None]](), 0
        place: Key | None = self._heard.get(life, ("", ""))
        try:
            while place is not None:
                read = partial(self._replica.restating, home_id=shared.home_id, after=place)
                restate, place = await self._store.read(read)
                # The first has the home, without which no table shows what is in it; the last is the last. The others
                # may come in any order.
                most = 0 if number == 1 or restate.last else PAGES_AT_ONCE - 1
                while len(asking) > most:
                    if await self._ends(life, *asking.pop(0)):
                        return
                asking.append((_asking(line, restate), place))
                number += 1
            if await self._ends(life, *asking.pop(0)):
                return
        finally:
            _drop(*(task for task, _ in asking))
        await self._store.write(lambda tx: self._replica.restated_in(tx, shared.home_id))

    async def _ends(self, life: tuple[str, str], asked: asyncio.Task[Answer], place: Key | None) -> bool:
        """Whether the answer to a page is the end of it all; if not, the log has heard everything up to `place`."""
        over = await self.took_over(life[0], await asked)
        if over or place is None:
            self._heard.pop(life, None)
        else:
            self._heard[life] = place
        return over

    async def took_over(self, home_id: str, answer: Answer) -> bool:
        """Answers that end what was asked: the cursor is of no use, or the home is not this hub's."""
        match answer:
            case Reset():
                await self._store.write(lambda tx: self._replica.reset_in(tx, home_id, answer))
                return True
            case Wiped():
                await self._leave(home_id)
                return True
            case Failed(_, code, detail, _):
                raise LineLost(f"{detail} ({code})")
            case _:
                return False


def _asking(line: Line, request: Request) -> asyncio.Task[Answer]:
    return asyncio.create_task(line.ask(request))


def _drop(*asking: asyncio.Task[Answer]) -> None:
    """Nobody waits for these any more, however they end."""
    for task in asking:
        task.cancel()
        task.add_done_callback(lambda it: it.cancelled() or it.exception())


def expected(answer: Answer, kind: type[Any]) -> Any:
    """`answer`, which is a `kind`; raises LineLost."""
    if not isinstance(answer, kind):
        raise LineLost(f"the cloud answered {type(answer).__name__}, which was not asked for")
    return answer
