"""What a replica shows of entities: what the authority confirmed, and what waits for it, in order (PROTOCOL.md 2)."""

from collections.abc import Callable, Collection, Mapping, Sequence

from app.store.tx import Reader
from app.sync import merge, outbox_queries, queries
from app.sync.facts import Key, Shown, shown_of
from app.sync.model import Entity
from app.sync.outbox_queries import Waiting


def view(reader: Reader, home_id: str, kind: str, entity_id: str) -> Shown:
    """An entity as this node shows it, and who made it so."""
    base = queries.entity(reader, home_id, kind, entity_id)
    return _shown(base, outbox_queries.pending_of(reader, home_id, kind, entity_id), (kind, entity_id))


def views(
    reader: Reader, home_id: str, keys: Collection[Key], known: Mapping[Key, Entity] | None = None
) -> Callable[[str, str], Shown]:
    """`view` of any, with these read at once; `known` is what the base has of some, as it was just written."""
    bases = known if known is not None and known.keys() >= set(keys) else queries.entities(reader, home_id, keys)
    here = set(keys) - outbox_queries.pending_among(reader, home_id, keys)

    def view_of(kind: str, entity_id: str) -> Shown:
        key = (kind, entity_id)
        return shown_of(bases.get(key)) if key in here else view(reader, home_id, kind, entity_id)

    return view_of


def _shown(base: Entity | None, pending: Sequence[Waiting], key: Key) -> Shown:
    if not pending:
        return shown_of(base)
    parts = [part for it in pending for part in it.op.parts if (part.kind, part.id) == key]
    return merge.view(base, parts), pending[-1].op.actor
