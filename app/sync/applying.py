"""An operation on a log, once it is known when: the same rows on every node (PROTOCOL.md 2a)."""

from app.sync import merge
from app.sync.log import HomeLog
from app.sync.model import Loss, Op, Stamp


def time_of(log: HomeLog, op: Op, at: int) -> int:
    """`merge.time_of` by what the log has now."""
    return merge.time_of(op, at, [log.get(part.kind, part.id) for part in op.parts])


def apply_in(log: HomeLog, op: Op, at: int) -> list[Loss]:
    """Each part under the next number; returns what was lost."""
    losses: list[Loss] = []
    for part in op.parts:
        known = log.get(part.kind, part.id)
        stamp = Stamp(at, op.node, op.n, op.actor, log.head + 1)
        merged = merge.apply(known, part, stamp, op)
        losses += merged.losses
        if merged.entity is not None and merged.entity is not known:
            log.next_seq()
            log.put(merged.entity)
    return losses
