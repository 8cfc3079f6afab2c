"""One push at the authority: each operation judged, timed, merged, and what comes of it done (PROTOCOL.md 2a)."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from app.clock import Moment
from app.devices.model import MAX_EPOCH_STEP
from app.store.retention import KEEP, demand_room
from app.store.tx import Tx
from app.sync import hybrid, queries, rules
from app.sync.applying import apply_in, time_of
from app.sync.log import HomeLog
from app.sync.model import Entity, Loss, Op, Part, Result, Stamp, Status
from app.sync.own import OwnWork
from app.sync.queries import NodeRow
from app.sync.shapes import fits, is_named_well
from app.sync.wire import Pushed

# Of one push; a home at its largest takes some of them.
MAX_PARTS_AT_ONCE: Final = 5_000
# What only the newest binding of a device may say.
_FENCED: Final = frozenset({"owner_epoch", "hardware_id", "holder"})
# Kinds whose number in a home is bounded as where they are made (store.retention), by table.
_BOUNDED: Final = {
    "room": "rooms",
    "member": "members",
    "group": "groups",
    "invitation": "invitations",
    "wifi_network": "wifi_networks",
}


class Sender(Struct, frozen=True):
    """Who pushes: through which hub, what its clock says (ms), and as which nodes it may speak.

    `node` is the hub's own; what it says as another that nobody knows yet is a phone's. None: all are the hub's.
    """

    by: rules.By
    now: int
    speaks_as: Callable[[str], bool]
    node: str | None = None


class Accepting:
    """The operations of one sender on one log, in one act at `moment`."""

    def __init__(self, tx: Tx, log: HomeLog, sender: Sender, moment: Moment, own: OwnWork) -> None:
        self._tx = tx
        self._log = log
        self._sender = sender
        self._moment = moment
        self._own = own
        self._nodes: dict[str, NodeRow] = {}
        self._speaks_as: dict[str, bool] = {}
        self._plain = True

    def take(self, ops: Sequence[Op]) -> Pushed:
        """All of them in order, until one is missing."""
        shared, before = self._log.shared, self._log.head
        results: list[Result] = []
        expected, room = None, MAX_PARTS_AT_ONCE
        self._log.preload((part.kind, part.id) for op in ops for part in op.parts)
        for op in ops:
            room -= len(op.parts)
            if room < 0 and results:
                self._plain = False
                break  # the rest comes with the next push: others wait for the writer, too
            if not is_named_well(op):
                self._plain = False
                results.append(Result(Status.DENIED, self._log.head, 1, "malformed"))
                continue
            if not self._may_speak_as(op.node) or self._row(op).account_key not in (None, op.actor):
                self._plain = False
                results.append(Result(Status.DENIED, self._log.head, op.at, "not_your_node"))
                continue
            row = self._row(op)
            if op.n > row.last_n + 1:
                expected, self._plain = row.last_n + 1, False
                break
            results.append(self._one(op, row))
        for row in self._nodes.values():
            queries.put_node(self._tx, shared.home_id, row)
        head = self._log.head
        return Pushed(0, shared.home_id, shared.epoch, before, head, results, self._plain, expected)

    def _may_speak_as(self, node: str) -> bool:
        """This node's own are nobody else's, and a phone's are its person's, through whichever hub they come."""
        if node not in self._speaks_as:
            self._speaks_as[node] = node != self._own.node_in(self._tx) and self._sender.speaks_as(node)
        return self._speaks_as[node]

    def _row(self, op: Op) -> NodeRow:
        if op.node not in self._nodes:
            known = queries.node(self._tx, self._log.home_id, op.node)
            self._nodes[op.node] = self._new_row(op) if known is None else known
        return self._nodes[op.node]

    def _new_row(self, op: Op) -> NodeRow:
        demand_room(self._tx, "sync_nodes", self._log.home_id)
        by = self._sender.by.hub_id
        # What a hub says as another is a phone's, or of an earlier life of its own: who speaks as it will tell.
        hub_id = by if self._sender.node in (None, op.node) else None
        return NodeRow(op.node, hub_id, None if by else op.actor, 0, 0, 0, self._moment.ms)

    def _one(self, op: Op, row: NodeRow) -> Result:
        if op.n <= row.last_n:
            self._plain = False
            known = queries.result(self._tx, self._log.home_id, op.node, op.n)
            return known or Result(Status.OK, self._log.head, op.at, "again")
        result = self._take(op, row)
        now = self._moment.ms
        self._nodes[op.node] = replace(row, last_n=op.n, last_at=max(row.last_at, result.at), heard_at=now)
        if result.status is not Status.OK:
            queries.put_result(self._tx, self._log.home_id, op.node, op.n, result)
        return result

    def _take(self, op: Op, row: NodeRow) -> Result:
        log = self._log
        at = hybrid.taken(op.at, self._sender.now, self._moment.ms, row.last_at)
        if (refused := self._refused(op)) is not None:
            status, why = refused
            self._plain = False
            self._lose(op, at, why)
            return Result(status, log.head, at, why)
        parts, losses = self._without_what_is_gone(op)
        op = op if not losses else replace(op, parts=parts)
        at = time_of(log, op, at)
        losses += apply_in(log, op, at)
        head = log.head
        self._own.follow_in(self._tx, log, op, at)
        self._plain = self._plain and not losses and log.head == head
        self._own.keep_in(self._tx, log, losses)
        return Result(Status.OK, log.head, at)

    def _refused(self, op: Op) -> tuple[Status, str] | None:
        if op.not_after is not None and op.not_after < self._sender.now:
            return Status.EXPIRED, "expired"
        if not fits(op):
            return Status.DENIED, "malformed"
        if why := rules.judge(op, self._log, self._moment, self._sender.by):
            return Status.GONE if why == "home_dissolved" else Status.DENIED, why
        if any(part.kind == "device" and self._is_fenced_out(part) for part in op.parts):
            return Status.MOVED, "owner_epoch"
        if any(part.what == "new" and self._is_full(part.kind) for part in op.parts):
            return Status.DENIED, "too_many"
        return None

    def _is_full(self, kind: str) -> bool:
        """Whether a home has as many of a kind as it may have."""
        table = _BOUNDED.get(kind)
        most = None if table is None else KEEP[table].most
        return most is not None and queries.count_kind(self._tx, self._log.home_id, kind) >= most

    def _is_fenced_out(self, part: Part) -> bool:
        """Hardware is where its highest owner epoch is, and so is its holder (section 5)."""
        if part.what == "put" and _FENCED.isdisjoint(part.fields):
            return False
        epoch, entity = part.fields.get("owner_epoch"), self._log.live("device", part.id)
        if entity is not None:
            current, hardware = entity.fields.get("owner_epoch", 0), entity.fields.get("hardware_id")
            if part.fields.get("hardware_id", hardware) != hardware:
                return True  # other hardware is another device
            if (epoch or 0) > current + MAX_EPOCH_STEP:
                return True
            moves = "holder" in part.fields and part.fields["holder"] != entity.fields.get("holder")
            return (epoch is not None and epoch < current) or (moves and (epoch is None or epoch <= current))
        if part.what != "new":
            return False
        bound = self._log.binding(part.fields.get("hardware_id", ""))
        last = 0 if bound is None else bound[2]
        # Who could name any epoch would keep a device for ever: its owner's next one must be able to lie beyond.
        is_behind = bound is not None and bound[1] != part.id and (epoch or 0) <= last
        return is_behind or (epoch or 0) > last + MAX_EPOCH_STEP

    def _without_what_is_gone(self, op: Op) -> tuple[list[Part], list[Loss]]:
        """A device is put into no room that is not there."""
        parts, losses = list(op.parts), list[Loss]()
        made = {part.id for part in parts if part.kind == "room" and part.what == "new" and self._can_be_made(op, part)}
        for index, part in enumerate(parts):
            room_id = part.fields.get("room_id") if part.kind == "device" else None
            if room_id is not None and room_id not in made and self._log.live("room", room_id) is None:
                parts[index] = replace(part, fields={**part.fields, "room_id": None})
                by = Stamp(op.at, op.node, op.n, op.actor, self._log.head)
                losses.append(Loss("device", part.id, "room_id", "badref", room_id, by, None, None))
        return parts, losses

    def _can_be_made(self, op: Op, part: Part) -> bool:
        known = self._log.get(part.kind, part.id)
        return known is None or known.dead is None or op.had_seen(known.dead)

    def _lose(self, op: Op, at: int, why: str) -> None:
        """A refused operation is lost as a whole, part by part; what cannot be read is not kept.

        Nor is what no hub has acknowledged before: whoever asks directly has the answer, and leaves nothing in a home
        in which they may do nothing.
        """
        if why in ("malformed", "home_dissolved", "not_a_hub") or self._sender.by.hub_id is None:
            return
        by = Stamp(at, op.node, op.n, op.actor, self._log.head)
        self._own.keep_in(self._tx, self._log, [_refused(part, self._log, by, why) for part in op.parts])


def _refused(part: Part, log: HomeLog, by: Stamp, why: str) -> Loss:
    now: Entity | None = log.live(part.kind, part.id)
    kept: Any = None if now is None else {name: now.fields.get(name) for name in part.fields} or None
    value = "deleted" if part.what == "del" else part.fields
    return Loss(part.kind, part.id, "", f"denied:{why}", value, by, kept, None if now is None else now.last)
