"""A hub's end of the talk: one connection to its cloud, kept up, over which every home catches up (PROTOCOL.md 7).

Facts first, then what streams ask for (PROTOCOL.md 1).
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import structlog

from app.store.errors import StoreClosed, StoreError
from app.store.store import Store
from app.store.tx import Tx
from app.sync import queries
from app.sync.catching_up import CatchingUp, Talk, expected
from app.sync.contact import Contact
from app.sync.copies import Copies
from app.sync.line import Door, Line, LineLost, LineRefused
from app.sync.replica import Replica
from app.sync.wire import Attached, Found, Head, Hello, Welcome, Wiped
from pairing.racing import first_of

# Full jitter (PROTOCOL.md 7): a cloud that comes back is not met by all its hubs at once.
LEAST_BACKOFF_S: Final = 1.0
MOST_BACKOFF_S: Final = 30.0
# With nothing to say, so often all the same: a wake-up that was lost costs no more than this.
LOOK_AGAIN_S: Final = 30.0
_log = structlog.get_logger("doorstep.sync")

# What else is said on each round, once the facts are level; True: there is more of it at once.
Stream = Callable[[Line], Awaitable[bool]]


class Engine:
    """`start` it once the hub is enrolled. `streams` speak after the facts; `hear` is told what the cloud says."""

    def __init__(
        self, store: Store, replica: Replica, copies: Copies, door: Door, *, cloud_id: str, contact: Contact
    ) -> None:
        self._store = store
        self._replica = replica
        self._copies = copies
        self._door = door
        self.cloud_id = cloud_id
        self._contact = contact
        # The connection, while it stands.
        self.line: Line | None = None
        self.talk = Talk()
        self.streams: list[Stream] = []
        self.hear: dict[type, Callable[[Any], Awaitable[None]]] = {}
        self.on_connected: list[Callable[[Line], None]] = []
        self.on_disconnected: list[Callable[[], None]] = []
        # Nothing was heard for `LOOK_AGAIN_S`: a wake-up may have been lost.
        self.on_quiet: list[Callable[[], None]] = []
        # How far the cloud's logs have come, as far as it has said.
        self.remote: dict[str, int] = {}
        self._catching_up = CatchingUp(store, replica, self.talk, self.remote, self._leave)
        # When the cloud answered over the line of now, by the loop's clock.
        self._stands_since: float | None = None
        # Homes of this hub's that the cloud has said yes to, and that have no log here yet.
        self.giving: set[str] = set()
        self._wake = asyncio.Event()
        self._again = False
        self._task: asyncio.Task[None] | None = None
        replica.on_acted.append(self._acted_in)

    def start(self) -> None:
        """Begin."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="sync-engine")

    async def stop(self) -> None:
        """End; what waits, waits on disk."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
            if not self.talk.refused:
                self._ended("stopped")
        if self._acted_in in self._replica.on_acted:
            self._replica.on_acted.remove(self._acted_in)

    def wake(self) -> None:
        """There is something to say."""
        self._wake.set()

    def greet_again(self) -> None:
        """The cloud has another home for this hub, or one less."""
        self._again = True
        self._wake.set()

    def _acted_in(self, tx: Tx, home_id: str) -> None:
        tx.after(self._wake.set)

    async def _run(self) -> None:
        ceiling = LEAST_BACKOFF_S
        while True:
            self._stands_since = None
            try:
                async with self._door.line() as line:
                    await first_of(self._hear(line), self._work(line))
            except LineRefused as error:
                self.talk.refused = True
                self._ended(error.why)
                _log.warning("the cloud refuses this hub", code=error.code)
                ceiling = MOST_BACKOFF_S
            except LineLost as error:
                self._ended(error.why)
            except StoreClosed:
                return
            except StoreError as error:
                self._ended(f"the disk does not take what the cloud says ({error.code})")
            except Exception as error:
                # Whatever a cloud says, this hub goes on asking it.
                self._ended(f"this hub cannot do what the cloud says ({type(error).__name__})")
                _log.exception("the talk with the cloud failed")
            # A connection that stood was none of the tries that failed.
            ceiling = LEAST_BACKOFF_S if self._stood_for() > ceiling else min(ceiling * 2, MOST_BACKOFF_S)
            await asyncio.sleep(random.uniform(0, ceiling))  # noqa: S311 - spreads load, keeps no secret

    def _stood_for(self) -> float:
        """How long the cloud has answered over the last line, in seconds."""
        return 0.0 if self._stands_since is None else self._time() - self._stands_since

    def _ended(self, why: str) -> None:
        self.line = None
        if self.talk.connected:
            for told in self.on_disconnected:
                told()
        self.talk.connected, self.talk.why = False, why

    async def _work(self, line: Line) -> None:
        await self._greet(line, again=False)
        self._stands_since = self._time()
        self.line = line
        self.talk.connected, self.talk.why, self.talk.refused = True, "", False
        for told in self.on_connected:
            told(line)
        await self._heard()
        while True:
            self._wake.clear()
            if self._again:
                await self._greet(line, again=True)
            more = await self._round(line)
            await self._heard()
            if not more:
                await self._sleep()

    async def _heard(self) -> None:
        self.talk.contact_at = self._now()
        await self._contact.heard()

    async def _sleep(self) -> None:
        try:
            async with asyncio.timeout(LOOK_AGAIN_S):
                await self._wake.wait()
        except TimeoutError:
            self._again = True
            for told in self.on_quiet:
                told()

    async def _hear(self, line: Line) -> None:
        async for notice in line.told():
            match notice:
                case Head(_, home_id, _, head):
                    self.remote[home_id] = max(head, self.remote.get(home_id, 0))
                    self._wake.set()
                case Attached() | Wiped():
                    self.greet_again()
                case _:
                    if (heard := self.hear.get(type(notice))) is not None:
                        await heard(notice)

    async def _greet(self, line: Line, *, again: bool) -> None:
        """Which homes there are, at both ends: those new here begin, those that are no more this hub's end."""
        self._again = False
        logs = await self._store.read(queries.all_shared)
        for other in logs:
            # An act that failed, or whose end nobody waited for, may have left this otherwise.
            self._copies.homes.setdefault(other.home_id, other.cloud_id is None)
            if other.cloud_id not in (None, self.cloud_id):
                # An earlier cloud of this hub ordered it.
                await self._store.write(partial(self._copies.let_go_in, home_id=other.home_id))
        shared = {it.home_id: it for it in logs if it.cloud_id == self.cloud_id}
        hello = Hello(0, self._now(), [(it.home_id, it.epoch, it.head) for it in shared.values()], again)
        answer = expected(await line.ask(hello), Welcome)
        there = {home_id for home_id, *_ in answer.homes}
        for home_id, epoch, head, founding in answer.homes:
            self.remote[home_id] = head
            if home_id not in shared:
                await self._enter(home_id, epoch, founding=founding)
        for home_id in shared.keys() - there:
            if home_id in answer.gone:
                await self._leave(home_id)
            else:
                await self._catching_up.took_over(home_id, await line.ask(Found(0, home_id, "")))

    async def _enter(self, home_id: str, epoch: str, *, founding: bool) -> None:
        try:
            await self._store.write(partial(self._enter_in, home_id=home_id, epoch=epoch, founding=founding))
            self.giving.discard(home_id)
        except Exception:
            # There is no log that what is done in the home from now on could go to.
            self._copies.homes.pop(home_id, None)
            raise

    def _enter_in(self, tx: Tx, home_id: str, epoch: str, *, founding: bool) -> None:
        self._copies.begin_in(tx, home_id, self.cloud_id, epoch, founding=founding)
        self._contact.begun_in(tx, home_id)

    async def _leave(self, home_id: str) -> None:
        await self._store.write(partial(self._copies.end_in, home_id=home_id))
        self.remote.pop(home_id, None)

    # one round

    async def _round(self, line: Line) -> bool:
        """Everything that is there to be said now; whether there is more."""
        more = False
        for shared in await self._store.read(queries.all_shared):
            if shared.cloud_id == self.cloud_id:
                more = await self._catching_up.go_on(line, shared) or more
        for stream in self.streams:
            more = await stream(line) or more
        return more

    def _time(self) -> float:
        return asyncio.get_running_loop().time()

    def _now(self) -> int:
        return self._store.clock.now().ms
