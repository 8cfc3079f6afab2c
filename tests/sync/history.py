"""What people were told is done, and whether it is: each acknowledged value stands, or somebody who had seen it wrote
over it, or a conflict record keeps it."""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from app.sync.model import Entity

Key = tuple[str, str]


class Edit(Struct, frozen=True):
    """One that was acknowledged at a node. `act`: new, put, del, over (a home handed over); `over`: what its person saw

    at that moment in the fields it wrote, by the version it named.
    """

    node: str
    act: str
    kind: str
    id: str
    fields: dict[str, Any]
    over: dict[str, Any]


class Outcome:
    """A log that nobody writes any more, against what people were told."""

    def __init__(self, entities: Iterable[Entity], edits: Iterable[Edit]) -> None:
        self._known = {(it.kind, it.id): it for it in entities}
        self.conflicts = [it.fields for it in self._known.values() if it.kind == "conflict" and it.dead is None]
        self._edits = list(edits)
        self._lost = {_frozen(it["kind"], it["id"], *pair) for it in self.conflicts for pair in _values(it)}
        self._refused = {(it["kind"], it["id"]) for it in self.conflicts if it["field"] == ""}
        self._removed = {(it.kind, it.id) for it in self._edits if it.act == "del"}
        # Ended ones make room for others (store.retention).
        self._ended = {(it.kind, it.id) for it in self._edits if it.kind == "invitation" and "state" in it.fields}
        self._seen = {
            _frozen(it.kind, it.id, name, value)
            for it in self._edits
            if it.act in ("put", "del")
            for name, value in it.over.items()
        }

    def count(self, kind: str) -> int:
        """How many there are of a kind."""
        return sum(it.kind == kind and it.dead is None for it in self._known.values())

    def lost(self) -> list[Edit]:
        """Acknowledged, and nowhere any more."""
        return [it for it in self._edits if it.act != "over" and not self._is_kept(it)]

    def _is_kept(self, edit: Edit) -> bool:
        now = self._known.get((edit.kind, edit.id))
        is_there = now is not None and now.dead is None
        key = (edit.kind, edit.id)
        if edit.act == "del":
            return not is_there or key in self._refused
        if edit.act == "new" and not is_there and key not in self._removed | self._refused | self._ended:
            return False
        return all(self._stands(edit, now, name, value) for name, value in edit.fields.items())

    def _stands(self, edit: Edit, now: Entity | None, name: str, value: Any) -> bool:
        if now is not None and now.dead is None and now.fields.get(name) == value:
            return True
        value_of = _frozen(edit.kind, edit.id, name, value)
        if value_of in self._seen or value_of in self._lost:
            return True
        if name == "room_id" and value is not None:
            room = self._known.get(("room", value))
            return room is None or room.dead is not None
        # Nothing is no value that could be lost; and who takes an invitation up comes before who revokes it later.
        return value is None or edit.kind == "invitation"


def _values(conflict: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    if conflict["field"]:
        yield conflict["field"], conflict["lost"]
    elif isinstance(conflict["lost"], dict):
        yield from conflict["lost"].items()


def _frozen(kind: str, entity_id: str, name: str, value: Any) -> tuple[str, str, str, str]:
    return kind, entity_id, name, repr(value)
