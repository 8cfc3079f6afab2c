"""Where tables are behind a log: many facts that came at once are durable in the log, and shown in acts of their own.

So a first sync holds up nobody's act for longer than `FACTS_AT_ONCE` take (PROTOCOL.md 2).
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection
from functools import partial
from typing import Final

import structlog

from app.store.errors import StoreClosed, StoreError
from app.store.store import Store
from app.store.tx import Tx
from app.sync import behind_queries, showing
from app.sync.facts import Facts, Key

# About 50 ms of the writer's time: what an act waits at most that comes meanwhile.
FACTS_AT_ONCE: Final = behind_queries.RUN
# The log goes first: tables follow once nothing has come for so long (a page of a slow machine is under way as long as
# that), or it has come for `PATIENCE_S`.
QUIET_S: Final = 0.2
PATIENCE_S: Final = 1.0
RETRY_S: Final = 5.0
_log = structlog.get_logger("doorstep.sync")


def show_in(tx: Tx, facts: Facts, home_id: str, keys: Collection[Key]) -> None:
    """Have the tables show these, which are behind."""
    behind_queries.drop(tx, home_id, keys)
    facts.show_in(tx, home_id, keys, showing.views(tx, home_id, keys))


def show_some_in(tx: Tx, facts: Facts, home_id: str, most: int = FACTS_AT_ONCE) -> int:
    """The next of a home; how many: none, where none are left."""
    keys = behind_queries.some(tx, home_id, most)
    if keys:
        show_in(tx, facts, home_id, keys)
    return len(keys)


def show_all_in(tx: Tx, facts: Facts, home_id: str) -> None:
    """All of a home."""
    while show_some_in(tx, facts, home_id):
        pass


class Behind:
    """`start` it, and `stop` it at the end; what is behind then is shown after the next start."""

    def __init__(self, store: Store, facts: Facts) -> None:
        self._store = store
        self._facts = facts
        self._wake = asyncio.Event()
        self._wake.set()
        self._task: asyncio.Task[None] | None = None
        # Told on the event loop, of a home of which the tables show more now.
        self.on_shown: list[Callable[[str], None]] = []
        facts.on_behind.append(lambda tx: tx.after(self._wake.set))

    def start(self) -> None:
        """Go on where the last life of this node was."""
        self._task = asyncio.create_task(self._run(), name="sync-behind")

    async def stop(self) -> None:
        """Show no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def level(self, home_id: str) -> None:
        """Return once the tables show all that the log of a home has now."""
        while await self._store.write(partial(show_some_in, facts=self._facts, home_id=home_id)):
            for told in self.on_shown:
                told(home_id)

    async def _until_quiet(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while self._wake.is_set():
                    self._wake.clear()
                    await asyncio.sleep(QUIET_S)
        self._wake.clear()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            await self._until_quiet()
            try:
                for home_id in await self._store.read(behind_queries.homes):
                    await self.level(home_id)
            except StoreClosed:
                return
            except Exception as error:
                # A full disk recovers; of anything else the log says where it stands.
                if not isinstance(error, StoreError):
                    _log.exception("the tables do not take what the log has")
                self._wake.set()
                await asyncio.sleep(RETRY_S)
