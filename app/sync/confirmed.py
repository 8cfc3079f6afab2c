"""A copy of a log that another node orders, as confirmed there, and what is shown of it (PROTOCOL.md 2)."""

from collections.abc import Callable, Collection, Mapping
from typing import Final

from app.store.tx import Reader, Tx
from app.sync import outbox_queries, queries, showing
from app.sync.facts import Facts, Key
from app.sync.model import Entity
from app.sync.queries import Shared

# In the place of a snapshot's: the cursor is short of what the log was when it came, so that rows may be missing which
# were overwritten later. Nobody makes rows of such a base, and what waits does not count on it.
_PARTLY: Final = b""


def place_of(*, partly: bool) -> bytes | None:
    """What stands in the place of a snapshot's that is over: whether rows may be missing."""
    return _PARTLY if partly else None


class Confirmed:
    """What every part of a replica needs. `node` is what this one writes as; `facts` None: there are no tables."""

    def __init__(self, node: Callable[[Reader], str], facts: Facts | None) -> None:
        self._node = node
        self._facts = facts
        # Told inside the act, of homes whose copy has changed.
        self.on_moved: list[Callable[[Tx, str], None]] = []

    def show_in(
        self, tx: Tx, home_id: str, keys: Collection[Key] | Mapping[Key, Entity], *, at_once: bool = True
    ) -> None:
        """Have the tables show these entities as they are with what waits; a mapping says what was just written.

        `at_once`: see `Facts.show_in`.
        """
        if self._facts is not None:
            known = keys if isinstance(keys, Mapping) else None
            self._facts.show_in(tx, home_id, keys, showing.views(tx, home_id, keys, known), at_once=at_once)

    def _leave_reached(self, tx: Tx, home_id: str) -> set[Key]:
        """Operations that the base has by now leave the outbox; returns what they were about."""
        shared = self._shared(tx, home_id)
        if shared.state != "synced" or shared.snapshot_place is not None:
            return set()
        reached = outbox_queries.reached(tx, home_id, shared.head)
        outbox_queries.drop_ops(tx, [it.place for it in reached])
        return {(part.kind, part.id) for it in reached for part in it.op.parts}

    def _moved(self, tx: Tx, home_id: str) -> None:
        for told in self.on_moved:
            told(tx, home_id)

    def _shared(self, reader: Reader, home_id: str) -> Shared:
        shared = queries.shared(reader, home_id)
        if shared is None:
            raise LookupError(f"no log of {home_id}")
        return shared
