"""Keeps the log of each device off everybody's way."""

from collections.abc import Iterable

from app.journal import queries
from app.journal.model import Entry
from app.store.later import Later
from app.store.store import Store
from app.store.tx import Tx


class Journal:
    """Where what happens to devices is noted. `Trail` shows it."""

    def __init__(self, store: Store) -> None:
        self._later: Later[Entry] = store.later(queries.insert)

    def note(self, entry: Entry) -> None:
        """Have `entry` written soon; whoever reads the log sees it."""
        self._later.add(entry)

    def write_in(self, tx: Tx, entries: Iterable[Entry]) -> None:
        """Write with an act that is being done anyway."""
        queries.insert(tx, entries)

    async def flush(self) -> None:
        """Returns when everything noted is on disk; raises StoreError."""
        await self._later.flush()
