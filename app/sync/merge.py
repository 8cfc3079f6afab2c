"""Merging, as pure functions (PROTOCOL.md 2a, 5, 6). Both ends make the same rows by them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from app.sync.model import Entity, Loss, Op, Part, Stamp, encode

# Not merged by time but by the order of acceptance (section 4).
RIGHTS = {
    "member": frozenset({"role", "until", "hours", "only"}),
    "share": frozenset({"state", "level", "until", "hours", "receiver"}),
    "invitation": frozenset({"state", "taken_by"}),
}
_NONE: frozenset[str] = frozenset()
V = TypeVar("V")


class Merged(Struct, frozen=True):
    """What became of an entity, and what was lost."""

    entity: Entity | None
    losses: tuple[Loss, ...] = ()


def time_of(op: Op, at: int, known: Iterable[Entity | None]) -> int:
    """The hybrid time of `op`, which came to `at` by its clock: after everything it overwrites and had seen.

    `known`: the entity of each part, as it is.
    """
    for part, entity in zip(op.parts, known, strict=True):
        if entity is None:
            continue
        if entity.dead is not None:
            if op.had_seen(entity.dead):
                at = max(at, entity.dead.at + 1)
            continue
        rights = RIGHTS.get(part.kind, _NONE)
        fields = entity.fields if part.what == "del" else part.fields
        for field in fields:
            if field in entity.fields:
                stamp = entity.stamp_of(field)
                if field in rights or op.had_seen(stamp):
                    at = max(at, stamp.at + 1)
    return at


def apply(entity: Entity | None, part: Part, stamp: Stamp, op: Op) -> Merged:
    """`part` of `op` on the entity as it is; `stamp` is what `op` was given."""
    if part.what == "del":
        return _delete(entity, part, stamp, op)
    if entity is None:
        return Merged(_made(part, stamp, 1)) if part.what == "new" else Merged(None, _gone(part, stamp, None))
    if entity.dead is not None:
        if part.what == "new" and op.had_seen(entity.dead):
            return Merged(_made(part, stamp, entity.inc + 1))
        return Merged(entity, _gone(part, stamp, entity.dead))
    return _put(entity, part, stamp, op)


def _made(part: Part, stamp: Stamp, inc: int) -> Entity:
    return Entity(part.kind, part.id, stamp.seq, inc, stamp, _sorted(part.fields), {})


def _gone(part: Part, stamp: Stamp, dead: Stamp | None) -> tuple[Loss, ...]:
    return tuple(
        Loss(part.kind, part.id, field, "deleted", value, stamp, None, dead) for field, value in part.fields.items()
    )


def _delete(entity: Entity | None, part: Part, stamp: Stamp, op: Op) -> Merged:
    if entity is None or entity.dead is not None:
        return Merged(entity)
    lost = tuple(
        Loss(part.kind, part.id, field, "deleted", value, entity.stamp_of(field), None, stamp)
        for field, value in entity.fields.items()
        if value is not None and not op.had_seen(entity.stamp_of(field))
    )
    return Merged(Entity(part.kind, part.id, stamp.seq, entity.inc, stamp, {}, {}, dead=stamp), lost)


def _put(entity: Entity, part: Part, stamp: Stamp, op: Op) -> Merged:
    fields, own = dict(entity.fields), dict(entity.stamps)
    losses: list[Loss] = []
    for name, value in part.fields.items():
        was = entity.stamp_of(name) if name in entity.fields else None
        wins = was is None or stamp.later_than(was)
        if was is not None and fields[name] != value and not op.had_seen(was):
            kept, lost = ((value, stamp), (fields[name], was)) if wins else ((fields[name], was), (value, stamp))
            losses.append(Loss(part.kind, part.id, name, "newer", *lost, *kept))
        if wins:
            fields[name], own[name] = value, stamp
    if 2 * len(own) < len(fields):
        # The common stamp is of most fields as before; looking for it takes longer than all else here.
        fields = fields if len(fields) == len(entity.fields) else _sorted(fields)
        whole = Entity(entity.kind, entity.id, stamp.seq, entity.inc, entity.stamp, fields, _sorted(own))
        return Merged(whole, tuple(losses))
    stamps = {name: own.get(name, entity.stamp) for name in fields}
    return Merged(compact(entity, stamp.seq, fields, stamps), tuple(losses))


def compact(entity: Entity, seq: int, fields: Mapping[str, Any], stamps: Mapping[str, Stamp]) -> Entity:
    """`entity` with other fields, in the form it has on every node.

    The stamp of most fields (the latest, of several) is of all that have no own; all is in order of names.
    """
    counts = Counter(stamps.values())
    common = max(counts, key=lambda it: (counts[it], _whole_order(it)), default=entity.stamp)
    own = {name: stamps[name] for name in sorted(stamps) if stamps[name] != common}
    return Entity(entity.kind, entity.id, seq, entity.inc, common, _sorted(fields), own)


def _sorted(it: Mapping[str, V]) -> dict[str, V]:
    return dict(sorted(it.items()))


def held_to(entity: Entity, at: int) -> Entity:
    """`entity`, but nothing of it was written after the hybrid time `at`: what a clock said that was ahead."""
    if entity.dead is not None:
        return msgspec.structs.replace(entity, stamp=_held(entity.stamp, at), dead=_held(entity.dead, at))
    if entity.stamp.at <= at and all(it.at <= at for it in entity.stamps.values()):
        return entity
    stamps = {name: _held(entity.stamp_of(name), at) for name in entity.fields}
    whole = msgspec.structs.replace(entity, stamp=_held(entity.stamp, at))
    return compact(whole, entity.seq, entity.fields, stamps)


def _held(stamp: Stamp, at: int) -> Stamp:
    return stamp if stamp.at <= at else msgspec.structs.replace(stamp, at=at)


def join(one: Entity, other: Entity) -> Entity:
    """What two lives of the log know of one entity, together: commutative, associative, idempotent (section 2c).

    `seq` is the higher one.
    """
    seq = max(one.seq, other.seq)
    if one.inc != other.inc:
        return numbered(max(one, other, key=lambda it: it.inc), seq)
    if one.dead is not None or other.dead is not None:
        dead = [it for it in (one, other) if it.dead is not None]
        return numbered(max(dead, key=lambda it: _whole_order(it.dead or it.stamp)), seq)
    fields, stamps = dict(one.fields), {name: one.stamp_of(name) for name in one.fields}
    for name, value in other.fields.items():
        stamp = other.stamp_of(name)
        if name not in stamps or _whole_order(stamp) > _whole_order(stamps[name]):
            fields[name], stamps[name] = value, stamp
    return compact(max(one, other, key=lambda it: _whole_order(it.last)), seq, fields, stamps)


def _whole_order(stamp: Stamp) -> tuple[tuple[int, str, int], int, str]:
    """An operation that two lives of the log have taken has a number in each."""
    return stamp.order(), stamp.seq, stamp.actor


def numbered(entity: Entity, seq: int) -> Entity:
    """The same under that number."""
    if entity.seq == seq:
        return entity
    return Entity(entity.kind, entity.id, seq, entity.inc, entity.stamp, entity.fields, entity.stamps, entity.dead)


def same(one: Entity | None, other: Entity) -> bool:
    """Whether they say the same, under whatever number."""
    return one is not None and numbered(one, other.seq) == other


def view(base: Entity | None, pending: Iterable[Part]) -> dict[str, Any] | None:
    """An entity as a replica shows it: what is confirmed, and what waits, in order; None: it is not there."""
    fields = None if base is None or base.dead is not None else dict(base.fields)
    for part in pending:
        if part.what == "del":
            fields = None
        elif part.what == "new":
            fields = {**(fields or {}), **part.fields}
        elif fields is not None:
            fields.update(part.fields)
    return None if fields is None else {name: value for name, value in fields.items() if value is not None}


def difference(was: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> tuple[str, dict[str, Any]] | None:
    """What an act did to an entity, as the `what` and `fields` of a part; None: nothing."""
    if now is None:
        return None if was is None else ("del", {})
    if was is None:
        return "new", dict(now)
    changed = {name: value for name, value in now.items() if was.get(name) != value}
    changed |= {name: None for name in was if name not in now}
    return ("put", changed) if changed else None


def digest(entities: Iterable[Entity]) -> str:
    """What a copy of a log is recognised by: equal on every node that has converged. Order does not matter."""
    rows = sorted((it.kind, it.id, encode(it)) for it in entities if it.dead is None)
    total = sha256()
    for _, _, row in rows:
        total.update(len(row).to_bytes(4, "big") + row)
    return total.hexdigest()
