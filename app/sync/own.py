"""What the authority writes itself: because of operations, and as acts of who asks it directly (PROTOCOL.md 5, 6)."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from app.ids import new_id
from app.store.tx import Reader, Tx
from app.sync import hybrid, merge, queries
from app.sync.applying import apply_in, time_of
from app.sync.log import HomeLog
from app.sync.model import NOBODY, Entity, Loss, Op, Part, Stamp
from app.sync.sealing.model import AGAIN


class OwnWork:
    """`node` is what this node writes as; `settle` writes another home's log, where hardware left it."""

    def __init__(self, node: Callable[[Reader], str], settle: Callable[[Tx, HomeLog], None]) -> None:
        self._node = node
        self._settle = settle

    def node_in(self, reader: Reader) -> str:
        """What this node writes as."""
        return self._node(reader)

    def do_in(self, tx: Tx, log: HomeLog, actor: str, parts: Sequence[Part]) -> tuple[Op, int]:
        """An operation of this node's own, done; returns when it was taken, too."""
        op = self._op_in(tx, log, actor, parts)
        at = time_of(log, op, op.at)
        apply_in(log, op, at)
        return op, at

    def _op_in(self, tx: Tx, log: HomeLog, actor: str, parts: Sequence[Part]) -> Op:
        shared = log.shared
        at = hybrid.after(shared.last_at, tx.now)
        log.shared = replace(shared, next_n=shared.next_n + 1, last_at=at)
        return Op(self._node(tx), shared.next_n, actor, at, log.head, list(parts))

    def keep_in(self, tx: Tx, log: HomeLog, losses: Iterable[Loss]) -> None:
        """Conflict records of what was lost (section 6)."""
        parts = [Part("conflict", new_id(tx.now), "new", _record(it)) for it in losses if not _is_sealed_again(it)]
        if parts:
            self.do_in(tx, log, NOBODY, parts)

    def follow_in(self, tx: Tx, log: HomeLog, op: Op, at: int) -> None:
        """What comes of `op`, which was taken at `at`: rooms leave their devices, hardware leaves its other home."""
        # A home that goes frees its hardware with what the same operation brings in.
        for part in sorted(op.parts, key=lambda it: it.kind == "home"):
            if part.kind == "room" and part.what == "del":
                self._leave_room(log, op, part.id, at)
            elif part.kind == "device":
                self.bind_in(tx, log, part)
            elif part.kind == "home" and part.what == "del":
                log.free_bindings_in(tx)

    def bind_in(self, tx: Tx, log: HomeLog, part: Part) -> None:
        """Keep where a piece of hardware is now."""
        if "owner_epoch" not in part.fields or (device := log.live("device", part.id)) is None:
            return
        hardware_id, epoch = device.fields.get("hardware_id", ""), device.fields.get("owner_epoch", 0)
        bound = log.binding(hardware_id)
        if bound is not None and bound[2] > epoch:
            if bound[1] != part.id:
                self._end(tx, log, part.id)  # it is elsewhere already
            return
        if bound is not None and bound[1] != part.id:
            self._moved_in(tx, log, bound[0], bound[1])
        log.bind(hardware_id, part.id, epoch)

    def _leave_room(self, log: HomeLog, op: Op, room_id: str, at: int) -> None:
        for device in tuple(log.each("device")):
            if device.fields.get("room_id") == room_id:
                self._write(log, device, {"room_id": None}, op, at)

    def _write(self, log: HomeLog, entity: Entity, fields: dict[str, Any], op: Op, at: int) -> None:
        """As part of `op`, whatever anybody had seen."""
        now = max([at, *(entity.stamp_of(name).at + 1 for name in fields if name in entity.fields)])
        stamp = Stamp(now, op.node, op.n, op.actor, log.next_seq())
        stamps = {name: entity.stamp_of(name) for name in entity.fields} | dict.fromkeys(fields, stamp)
        log.put(merge.compact(entity, stamp.seq, {**entity.fields, **fields}, stamps))

    def _moved_in(self, tx: Tx, log: HomeLog, home_id: str, device_id: str) -> None:
        """The device is out of where it was: a tombstone there, in that home's own log."""
        if home_id == log.home_id:
            self._end(tx, log, device_id)
            return
        other = queries.shared(tx, home_id)
        if other is not None and other.cloud_id is None:
            theirs = HomeLog(tx, other)
            self._end(tx, theirs, device_id)
            self._settle(tx, theirs)

    def _end(self, tx: Tx, log: HomeLog, device_id: str) -> None:
        if log.live("device", device_id) is not None:
            self.do_in(tx, log, NOBODY, [Part("device", device_id, "del")])


def _is_sealed_again(loss: Loss) -> bool:
    """Whether nothing was lost but a secret's being sealed with another key: whoever has that does it again."""
    return loss.kind == "secret" and isinstance(loss.lost, str) and loss.lost.startswith(AGAIN)


def _record(loss: Loss) -> dict[str, Any]:
    kept_by = loss.kept_by
    return {
        "kind": loss.kind,
        "id": loss.id,
        "field": loss.field,
        "why": loss.why,
        "lost": loss.lost,
        "lost_by": loss.lost_by.actor,
        "lost_node": loss.lost_by.node,
        "lost_n": loss.lost_by.n,
        "lost_at": hybrid.to_ms(loss.lost_by.at),
        "kept": loss.kept,
        "kept_by": None if kept_by is None else kept_by.actor,
        "kept_node": None if kept_by is None else kept_by.node,
        "kept_at": None if kept_by is None else hybrid.to_ms(kept_by.at),
        "state": "open",
    }
