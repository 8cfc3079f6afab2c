"""Who is heard of those that announce themselves: kept fairly, read when they change, forgotten when they go."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Generic, Protocol

from msgspec import Struct

from pairing.announcement import A, Gone, Kind
from pairing.fair import FairTable
from pairing.news import News

MAX_HEARD = 512
"""Announcers a browser keeps."""
MAX_PER_SOURCE = 256
"""Of these, how many may come from one address: a reflector repeats a whole network, so it is many."""
MAX_RESOLVING = 8
UPDATE_INTERVAL = 1.1
"""Seconds between two updates of one announcer: one that changes faster is heard with its latest. A bit more than
the second after which what an announcement has replaced is forgotten (RFC 6762, 10.2)."""
GOODBYE_LASTS = 1.5
"""Seconds in which one who has said goodbye is not heard: answers it had queued come after it. Then it is asked."""
FIRST_QUESTION = (0.02, 0.12)
"""Seconds, at random, before the first question (RFC 6762, 5.2)."""
QUESTION_INTERVALS = (1.0, 256.0)
"""Seconds to the next question: first, and most; each is twice the one before."""


class Told(Struct, frozen=True):
    """What the records of an announcer say."""

    text: Mapping[str, str | None]
    addresses: tuple[str, ...]
    port: int | None


class Records(Protocol):
    """The records of announcers of one kind, where they are gathered."""

    def have(self, announcer_id: str) -> Told | None:
        """What has come of this one's; None while some are missing."""
        ...

    async def get(self, announcer_id: str) -> Told | None:
        """Ask for this one's; None when they do not come."""
        ...

    def ask(self) -> None:
        """Ask everybody to say anew that they are there."""
        ...

    async def refresh(self) -> None:
        """Look at the interfaces anew."""
        ...


class _Row(Generic[A]):
    """An announcer: what it says, who said so first, and the task that finds out, which every sign of it wakes."""

    __slots__ = ("again", "heard", "sign", "source", "task")

    def __init__(self, source: str) -> None:
        self.source = source
        self.heard: A | None = None
        self.again = False
        self.sign = asyncio.Event()
        self.task: asyncio.Task[None] | None = None


class Browser(Generic[A]):
    """What is heard, in its order: `async for news in browser`. Unread news of an id are replaced by newer ones.

    `on_sign` is told of every sign of life of somebody heard, changed or not, with the address it came from.
    """

    def __init__(
        self,
        records: Records,
        kind: Kind[A],
        on_sign: Callable[[A, str], None] = lambda heard, source: None,
        on_gone: Callable[[str], None] = lambda announcer_id: None,
    ) -> None:
        self._records = records
        self._kind = kind
        self._on_sign = on_sign
        self._on_gone = on_gone
        self._rows = FairTable[_Row[A]](MAX_HEARD, MAX_PER_SOURCE, self._end)
        self._slots = asyncio.Semaphore(MAX_RESOLVING)
        self._tasks: set[asyncio.Task[None]] = set()
        self._left: dict[str, asyncio.TimerHandle] = {}
        self._unsure: set[str] = set()
        self._news = News[A]()

    def __len__(self) -> int:
        """How many announcers are kept, heard or being asked."""
        return len(self._rows)

    def kept(self) -> list[str]:
        """The ids of these."""
        return list(self._rows)

    def __aiter__(self) -> AsyncIterator[A | Gone]:
        return self

    async def __anext__(self) -> A | Gone:
        return await anext(self._news)

    def sign(self, announcer_id: str, source: str, *, changed: bool) -> None:
        """A record of this announcer has come from `source`; `changed`: it says something new."""
        row = self._rows.get(announcer_id)
        if row is None:
            if announcer_id in self._left:
                self._unsure.add(announcer_id)
                return
            row = _Row[A](source)
            if not self._rows.put(announcer_id, source, row):
                return
        if row.task is not None:
            row.again |= changed
            row.sign.set()
        elif changed or row.heard is None:
            self._start(row, self._resolve(announcer_id, row))
        else:
            self._on_sign(row.heard, row.source)

    def goodbye(self, announcer_id: str) -> None:
        """It says that it goes."""
        if (row := self._rows.pop(announcer_id)) is not None:
            self._end(announcer_id, row)
            if len(self._left) < MAX_HEARD:
                loop = asyncio.get_running_loop()
                self._left[announcer_id] = loop.call_later(GOODBYE_LASTS, self._has_left, announcer_id)

    def ask(self) -> None:
        """Ask everybody to say anew that they are there."""
        self._records.ask()

    async def keep_asking(self) -> None:
        """Ask now, and now and then."""
        await asyncio.sleep(random.uniform(*FIRST_QUESTION))  # noqa: S311 - that many do not ask at once
        interval, most = QUESTION_INTERVALS
        while True:
            self.ask()
            await asyncio.sleep(interval)
            interval = min(2 * interval, most)

    async def refresh(self) -> None:
        """Look at the interfaces anew and ask there: an address has come."""
        await self._records.refresh()
        self.ask()

    async def stop(self) -> None:
        for left in self._left.values():
            left.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _has_left(self, announcer_id: str) -> None:
        del self._left[announcer_id]
        if announcer_id in self._unsure:
            self._unsure.discard(announcer_id)
            self.ask()

    def _end(self, announcer_id: str, row: _Row[A]) -> None:
        if row.task is not None and row.task is not asyncio.current_task():
            row.task.cancel()
        if row.heard is not None:
            self._news.tell(Gone(announcer_id))
            self._on_gone(announcer_id)

    def _start(self, row: _Row[A], resolving: Coroutine[None, None, None]) -> None:
        row.task = asyncio.create_task(resolving)
        self._tasks.add(row.task)
        row.task.add_done_callback(self._tasks.discard)

    async def _resolve(self, announcer_id: str, row: _Row[A]) -> None:
        try:
            while True:
                row.again = False
                if not await self._read(announcer_id, row):
                    break
                await asyncio.sleep(UPDATE_INTERVAL)
                if row.again:
                    continue
                await self._read(announcer_id, row)  # without what it has replaced
                if not row.again:
                    break
        finally:
            row.task = None
            if row.heard is None and self._rows.get(announcer_id) is row:
                self._rows.pop(announcer_id)

    async def _read(self, announcer_id: str, row: _Row[A]) -> bool:
        """Read what its records say, asking for those that are missing; whether they are all there."""
        told = self._records.have(announcer_id)
        if told is None:
            told = await self._come(announcer_id, row)
        if told is not None and self._rows.get(announcer_id) is row:
            self._take(announcer_id, row, told)
        return told is not None

    async def _come(self, announcer_id: str, row: _Row[A]) -> Told | None:
        """Its records when they have come, by themselves or because they were asked for in its turn.

        Those whose records come whole need not wait for those whose do not, of which somebody may announce hundreds.
        """
        turn = asyncio.create_task(self._slots.acquire())
        try:
            while not turn.done():
                row.sign.clear()
                sign = asyncio.create_task(row.sign.wait())
                await asyncio.wait({turn, sign}, return_when=asyncio.FIRST_COMPLETED)
                sign.cancel()
                if (told := self._records.have(announcer_id)) is not None:
                    return told
            return await self._records.get(announcer_id)
        finally:
            if turn.done() and not turn.cancelled():
                self._slots.release()
            turn.cancel()

    def _take(self, announcer_id: str, row: _Row[A], told: Told) -> None:
        heard = self._kind.parse(told.text, told.addresses, told.port)
        if heard is None or heard.id != announcer_id:
            self._rows.pop(announcer_id)
            self._end(announcer_id, row)
            return
        if heard != row.heard:
            row.heard = heard
            self._news.tell(heard)
        self._on_sign(heard, row.source)
