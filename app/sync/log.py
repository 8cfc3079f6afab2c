"""One home's log within one act: entities are read once, changed in memory, and written together at the end."""

from collections.abc import Iterable, Iterator

from app.store.tx import Reader, Tx
from app.sync import queries
from app.sync.model import Entity
from app.sync.queries import Shared

Key = tuple[str, str]


class HomeLog:
    """`head` is the number last given. `changed`: what is to be written, by key."""

    def __init__(self, reader: Reader, shared: Shared) -> None:
        self._reader = reader
        self.shared = shared
        self.home_id = shared.home_id
        self.head = shared.head
        self._known: dict[Key, Entity | None] = {}
        self.changed: dict[Key, Entity] = {}

    def get(self, kind: str, entity_id: str) -> Entity | None:
        """An entity as it is now, a tombstone too."""
        key = (kind, entity_id)
        if key not in self._known:
            self._known[key] = queries.entity(self._reader, self.home_id, kind, entity_id)
        return self._known[key]

    def live(self, kind: str, entity_id: str) -> Entity | None:
        """The same, if it is there."""
        found = self.get(kind, entity_id)
        return None if found is None or found.dead is not None else found

    def each(self, kind: str) -> Iterator[Entity]:
        """Those of a kind that are there, with what this act has made of them."""
        for entity in queries.entities_of(self._reader, self.home_id, kind):
            self._known.setdefault((kind, entity.id), entity)
        for (of, _), known in tuple(self._known.items()):
            if of == kind and known is not None and known.dead is None:
                yield known

    def next_seq(self) -> int:
        """A fresh number."""
        self.head += 1
        return self.head

    def put(self, entity: Entity) -> None:
        """It is so from now on."""
        key = (entity.kind, entity.id)
        self._known[key] = self.changed[key] = entity

    def write_in(self, tx: Tx) -> None:
        """Have what was changed on disk; `sync_homes` is the caller's."""
        queries.put_entities(tx, self.home_id, self.changed.values())

    def preload(self, keys: Iterable[Key]) -> None:
        """Read several at once."""
        for kind, entity_id in keys:
            self.get(kind, entity_id)
