"""What a node has on disk of a home, and whether its tables are what its log says."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from app.store.tx import Reader
from app.sync import merge, outbox_queries, queries
from app.sync.facts import shown_of
from app.sync.kinds import Kind, SeveralIds
from app.sync.model import Entity
from tests.api.harness import Api

Fields = Mapping[str, Any]


class Copy(Struct):
    """`differing`: what stands in the tables otherwise than in the log."""

    name: str
    entities: list[Entity]
    differing: list[Any]
    sound: str
    waiting: int


def copy_in(reader: Reader, name: str, kinds: Iterable[Kind], home_id: str) -> Copy:
    """All of it, of a node on which nothing waits."""
    entities = queries.every_entity(reader, home_id)
    differing = [it for kind in kinds for it in _differing(reader, kind, home_id, entities)]
    (sound,) = reader.one("PRAGMA integrity_check") or ("",)
    return Copy(name, entities, differing, sound, outbox_queries.waiting_count(reader, home_id))


async def copy_of(api: Api, name: str, home_id: str) -> Copy:
    """`copy_in` of a node that runs."""
    return await api.store.read(lambda reader: copy_in(reader, name, api.services.facts, home_id))


def _differing(reader: Reader, kind: Kind, home_id: str, entities: list[Entity]) -> list[Any]:
    shown = {it.id: shown_of(it)[0] for it in entities if it.kind == kind.name}
    there = set(kind.ids_in(reader, home_id))
    if isinstance(kind, SeveralIds):
        there = {kind.id_of_in(reader, home_id, said, shown.__contains__) for said in there}
    live = {(it.kind, it.id) for it in entities if it.dead is None}
    found = []
    for entity_id in {*shown, *there}:
        was = _without_what_is_gone(shown.get(entity_id), live)
        now = kind.read_in(reader, home_id, entity_id, was)
        if (how := merge.difference(was, now)) is not None:
            found.append((kind.name, entity_id, *how, was))
    return found


def _without_what_is_gone(fields: Fields | None, live: set[tuple[str, str]]) -> Fields | None:
    """A group that was made with a device which somebody else had removed meanwhile is shown without it."""
    if fields is None:
        return None
    gone = {name for name in fields if name.startswith("device/") and tuple(name.split("/")) not in live}
    return {name: value for name, value in fields.items() if name not in gone}


def the_same(copies: list[Copy]) -> None:
    """Nothing waits, tables are as logs, and all logs are one."""
    assert [(copy.sound, copy.waiting) for copy in copies] == [("ok", 0)] * len(copies)
    differing = [(copy.name, *it) for copy in copies for it in copy.differing]
    assert not differing, differing
    first, *others = ({(it.kind, it.id): it for it in copy.entities} for copy in copies)
    for copy, other in zip(copies[1:], others, strict=True):
        assert [(it, other.get(key)) for key, it in first.items() if other.get(key) != it] == [], copy.name
    assert len({merge.digest(copy.entities) for copy in copies}) == 1
