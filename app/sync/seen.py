"""A home as this node sees it now, entity by entity: what rules are asked of before the authority is."""

from msgspec.structs import replace

from app.store.tx import Reader
from app.sync import merge, outbox_queries, queries
from app.sync.model import Entity, Stamp


class Seen:
    """`app.sync.rules.Facts` over a log and what waits; at the authority nothing waits."""

    def __init__(self, reader: Reader, home_id: str) -> None:
        self._reader = reader
        self._home_id = home_id
        self._known: dict[tuple[str, str], Entity | None] = {}

    @property
    def home_id(self) -> str:
        """Whose."""
        return self._home_id

    def get(self, kind: str, entity_id: str) -> Entity | None:
        """An entity with the operations that wait applied, a tombstone too."""
        key = (kind, entity_id)
        if key not in self._known:
            self._known[key] = self._read(kind, entity_id)
        return self._known[key]

    def live(self, kind: str, entity_id: str) -> Entity | None:
        """One that is there."""
        found = self.get(kind, entity_id)
        return None if found is None or found.dead is not None else found

    def _read(self, kind: str, entity_id: str) -> Entity | None:
        entity = queries.entity(self._reader, self._home_id, kind, entity_id)
        for waiting in outbox_queries.pending_of(self._reader, self._home_id, kind, entity_id):
            mine = [part for part in waiting.op.parts if (part.kind, part.id) == (kind, entity_id)]
            op = replace(waiting.op, parts=mine)
            at = merge.time_of(op, op.at, [entity for _ in mine])
            for part in mine:
                # Not numbered yet: whoever acts here has seen it.
                entity = merge.apply(entity, part, Stamp(at, op.node, op.n, op.actor, 0), op).entity
        return entity
