"""One home's log within one act: entities are read once, changed in memory, and written together at the end."""

from collections.abc import Callable, Iterable, Iterator

from app.store.tx import Reader, Tx
from app.sync import binding_queries, queries
from app.sync.model import Entity
from app.sync.queries import Shared

Key = tuple[str, str]
# Home, device and owner epoch of a piece of hardware.
Bound = tuple[str, str, int]


class HomeLog:
    """`head` is the number last given. `changed`: what is to be written, by key."""

    def __init__(self, reader: Reader, shared: Shared) -> None:
        self._reader = reader
        self.shared = shared
        self.home_id = shared.home_id
        self.head = shared.head
        self._known: dict[Key, Entity | None] = {}
        self.changed: dict[Key, Entity] = {}
        self._bindings: dict[str, Bound | None] = {}
        self._bound: dict[str, Bound] = {}

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

    def placed(self) -> Iterator[tuple[str, str]]:
        """(device, room) of each device that is in one, with what this act has made of them."""
        known = {key[1]: it for key, it in self._known.items() if key[0] == "device"}
        yield from (it for it in queries.placed_devices(self._reader, self.home_id) if it[0] not in known)
        for device_id, device in known.items():
            if device is not None and device.dead is None and (room_id := device.fields.get("room_id")) is not None:
                yield device_id, room_id

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
        binding_queries.put_bindings(tx, self._bound.items())

    def preload(self, keys: Iterable[Key]) -> None:
        """Read several at once."""
        self._preload(keys, queries.entities)

    def preload_page(self, keys: Iterable[Key]) -> None:
        """The same of a page, whose keys lie side by side."""
        self._preload(keys, queries.entities_run)

    def _preload(self, keys: Iterable[Key], read: Callable[[Reader, str, Iterable[Key]], dict[Key, Entity]]) -> None:
        missing = dict.fromkeys(key for key in keys if key not in self._known)
        self._known |= missing | read(self._reader, self.home_id, missing)

    def preload_bindings(self, hardware_ids: Iterable[str]) -> None:
        """Read where several pieces of hardware are."""
        missing = dict.fromkeys(it for it in hardware_ids if it not in self._bindings)
        self._bindings |= missing | binding_queries.bindings(self._reader, missing)

    def binding(self, hardware_id: str) -> Bound | None:
        """Where a piece of hardware is, over all homes."""
        if hardware_id not in self._bindings:
            self._bindings[hardware_id] = binding_queries.binding(self._reader, hardware_id)
        return self._bindings[hardware_id]

    def bind(self, hardware_id: str, device_id: str, owner_epoch: int) -> None:
        """It is in this home from now on."""
        self._bindings[hardware_id] = self._bound[hardware_id] = (self.home_id, device_id, owner_epoch)

    def free_bindings_in(self, tx: Tx) -> None:
        """No hardware is in this home."""
        self._bound.clear()
        self._bindings.clear()
        binding_queries.free_bindings(tx, self.home_id)
