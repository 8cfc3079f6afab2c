"""The end that has a copy of a log, and an outbox (PROTOCOL.md 2). Everything inside one act."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from app.store.tx import Reader, Tx
from app.sync import behind, hybrid, outbox_queries, queries, showing
from app.sync.applying import apply_in
from app.sync.facts import Facts, Key
from app.sync.log import HomeLog
from app.sync.model import MAX_OPS, NOBODY, Entity, Op, Part, Result, Status, decode_entity, encode
from app.sync.outbox_queries import Waiting
from app.sync.queries import NodeRow, Shared
from app.sync.wire import Changes, Push, Pushed, Reset, Restate, Snapshot, SnapshotPage

# In the place of a snapshot's: the cursor is short of what the log was when it came, so that rows may be missing which
# were overwritten later. Nobody makes rows of such a base, and what waits does not count on it.
_PARTLY: Final = b""
ROWS_AT_ONCE: Final = 1_000


class SnapshotState(msgspec.Struct, frozen=True, array_like=True):
    """A snapshot under way: its round, the log's epoch and head when it began, the place it has come to.

    `least`: what began with a lower head is of a snapshot before.
    """

    round: int
    epoch: str
    head: int
    place: tuple[str, str]
    done: int
    total: int
    least: int = 0


_decode_state = msgspec.msgpack.Decoder(SnapshotState).decode


class Replica:
    """Logs that another node orders. `node` is what this one writes as; `facts` None: there are no tables."""

    def __init__(self, node: Callable[[Reader], str], facts: Facts | None) -> None:
        self._node = node
        self._facts = facts
        # Told inside the act: of operations that were refused, and of homes whose copy has changed.
        self.on_refused: list[Callable[[Tx, str, Op, Result], None]] = []
        self.on_moved: list[Callable[[Tx, str], None]] = []
        # And of each act that waits for the authority now.
        self.on_acted: list[Callable[[Tx, str], None]] = []

    # logs

    def join_in(self, tx: Tx, home_id: str, cloud_id: str, epoch: str, *, restating: bool) -> Shared:
        """Begin a copy of a log: `restating` what is here first, else by a snapshot of what is there."""
        state = "restating" if restating else "snapshot"
        # Who was here before goes on counting: the authority has heard of those numbers.
        before = queries.node(tx, home_id, self._node(tx))
        next_n, last_at = (1, 0) if before is None else (before.last_n + 1, before.last_at)
        shared = Shared(home_id, cloud_id, epoch, 0, 0, next_n, last_at, state)
        queries.put_shared(tx, shared)
        return shared

    def state_in(self, tx: Tx, home_id: str, parts: Iterable[Part], actor: str) -> None:
        """Everything that is here already, as if confirmed: what a home that joins a cloud restates."""
        shared = self._shared(tx, home_id)
        log, parts = HomeLog(tx, shared), list(parts)
        log.preload((part.kind, part.id) for part in parts)
        at = hybrid.after(shared.last_at, tx.now)
        for part in parts:
            op = Op(self._node(tx), 0, actor, at, 0, [part])
            apply_in(log, op, at)
        log.write_in(tx)
        queries.put_shared(tx, replace(shared, head=log.head, last_at=at))

    # acts here

    def act_in(self, tx: Tx, home_id: str, actor: str, parts: Sequence[Part], not_after: int | None = None) -> Op:
        """Put an act down in the outbox; the tables show it already."""
        shared = self._shared(tx, home_id)
        at = hybrid.after(shared.last_at, tx.now)
        seen = min([shared.head, *_hidden(tx, home_id, parts)])
        op = Op(self._node(tx), shared.next_n, actor, at, seen, list(parts), not_after)
        queries.put_shared(tx, replace(shared, next_n=shared.next_n + 1, last_at=at))
        outbox_queries.add_op(tx, home_id, op)
        self._acted(tx, home_id)
        return op

    def relay_in(self, tx: Tx, home_id: str, op: Op) -> bool:
        """Take an operation of a phone into the outbox under the phone's own number; False: it is there, or was."""
        known = queries.node(tx, home_id, op.node)
        last = 0 if known is None else known.last_n
        if op.n <= last:
            return False
        row = queries.NodeRow(op.node, None, op.actor, op.n, op.at, 0, tx.now)
        queries.put_node(tx, home_id, row)
        outbox_queries.add_op(tx, home_id, op)
        self.show_in(tx, home_id, {(part.kind, part.id) for part in op.parts})
        self._acted(tx, home_id)
        return True

    # push

    def next_push(
        self, reader: Reader, home_id: str, now: int, limit: int = MAX_OPS, *, after: int | None = None
    ) -> tuple[Push, list[Waiting]]:
        """What waits, in order; with nothing to push, or as long as something is to be said first, no operations.

        `after`: a place in the outbox up to which everything is under way.
        """
        shared = queries.shared(reader, home_id)
        epoch = "" if shared is None else shared.epoch
        if shared is None or shared.state == "restating":
            return Push(0, home_id, epoch, now, []), []
        waiting = outbox_queries.waiting(reader, home_id, limit, after)
        return Push(0, home_id, epoch, now, [it.op for it in waiting]), waiting

    def pushed_in(self, tx: Tx, home_id: str, sent: Sequence[Waiting], answer: Pushed) -> None:
        """The authority's answer to `sent`: what was taken, what was refused."""
        shared = self._shared(tx, home_id)
        if answer.epoch != shared.epoch:
            return
        # An answer may come twice.
        waiting = outbox_queries.still_waiting(tx, [it.place for it in sent])
        answered = [it for it in zip(sent, answer.results, strict=False) if it[0].place in waiting]
        if answer.expected is not None and len(answer.results) < len(sent) and not _is_late(answer, shared):
            self._fill_gap(tx, home_id, sent[len(answer.results)].op.node, answer.expected)
        is_level = shared.state == "synced" and answer.before == shared.head and shared.snapshot_place is None
        # What came before, and whose answer was lost, stays: so does what came after it.
        is_next = bool(answered) and not outbox_queries.waits_before(tx, home_id, answered[0][0].place)
        if answer.plain and is_level and is_next and len(answered) == len(sent):
            self._make_rows(tx, shared, answered, answer.head)
            return
        self._wait_for_rows(tx, shared, answered)

    def _fill_gap(self, tx: Tx, home_id: str, node: str, expected: int) -> None:
        """Numbers that are missing there and were lost here (with a home that was left, say) go alone."""
        first = outbox_queries.first_waiting(tx, home_id).get(node, 0) + 1
        missing = range(expected, min(first, expected + MAX_OPS))
        outbox_queries.put_first(tx, home_id, [Op(node, n, NOBODY, 1, 0, []) for n in missing])

    def _wait_for_rows(self, tx: Tx, shared: Shared, answered: Sequence[tuple[Waiting, Result]]) -> None:
        """What was taken stays in the outbox until the base has it; of what was refused, the number alone does.

        For numbers have no gaps, should the authority begin a new life meanwhile.
        """
        home_id = shared.home_id
        refused: set[Key] = set()
        for waiting, result in answered:
            if result.status is Status.OK:
                outbox_queries.settle_op(tx, waiting.place, result.seq)
            else:
                outbox_queries.empty_op(tx, waiting, result.seq)
                refused.update((part.kind, part.id) for part in waiting.op.parts)
                for told in self.on_refused if waiting.op.parts else ():
                    told(tx, home_id, waiting.op, result)
        refused |= self._leave_reached(tx, home_id)
        self.show_in(tx, home_id, refused)
        self._moved(tx, home_id)

    def _make_rows(self, tx: Tx, shared: Shared, answered: Sequence[tuple[Waiting, Result]], head: int) -> None:
        """Nobody else wrote: the same rows come of the same operations here. What is shown stays as it is."""
        log = HomeLog(tx, shared)
        log.preload((part.kind, part.id) for waiting, _ in answered for part in waiting.op.parts)
        if any(_is_made_anew(part, log) for waiting, _ in answered for part in waiting.op.parts):
            self._wait_for_rows(tx, shared, answered)
            return
        for waiting, result in answered:
            apply_in(log, waiting.op, result.at)
        if log.head != head:
            # Ours is another copy than theirs, which should never be: have theirs.
            self._begin_snapshot_in(tx, shared, shared.epoch)
            return
        log.write_in(tx)
        outbox_queries.drop_ops(tx, [waiting.place for waiting, _ in answered])
        queries.put_shared(tx, replace(shared, head=head))
        self._moved(tx, shared.home_id)

    # pull

    def changed_in(self, tx: Tx, home_id: str, answer: Changes) -> None:
        """Rows and cursor, together. What is old is passed over."""
        shared = self._shared(tx, home_id)
        if answer.epoch != shared.epoch or answer.head < shared.head or shared.state != "synced":
            return
        rows = [decode_entity(row) for row in answer.rows]
        numbers = queries.numbers(tx, home_id, ((row.kind, row.id) for row in rows))
        rows = [row for row in rows if numbers.get((row.kind, row.id), -1) < row.seq]
        shared = replace(shared, snapshot_place=_PARTLY if answer.more else None)
        self._take_rows(tx, shared, rows, answer.head)

    def _take_rows(self, tx: Tx, shared: Shared, rows: Sequence[Entity], head: int) -> None:
        home_id = shared.home_id
        queries.put_entities(tx, home_id, rows)
        last_at = shared.last_at
        for row in rows:
            last_at = hybrid.heard(last_at, row.last.at, tx.now)
        queries.put_shared(tx, replace(shared, head=head, last_at=last_at))
        reached, written = self._leave_reached(tx, home_id), {(row.kind, row.id): row for row in rows}
        self.show_in(tx, home_id, written if reached <= written.keys() else reached | written.keys(), at_once=False)
        self._moved(tx, home_id)

    def _with_base(self, tx: Tx, home_id: str, raw: Iterable[msgspec.Raw]) -> list[tuple[Entity, Entity | None]]:
        rows = [decode_entity(row) for row in raw]
        bases = queries.entities_run(tx, home_id, ((row.kind, row.id) for row in rows))
        return [(row, bases.get((row.kind, row.id))) for row in rows]

    def _leave_reached(self, tx: Tx, home_id: str) -> set[Key]:
        """Operations that the base has by now leave the outbox; returns what they were about."""
        shared = self._shared(tx, home_id)
        if shared.state != "synced" or shared.snapshot_place is not None:
            return set()
        reached = outbox_queries.reached(tx, home_id, shared.head)
        outbox_queries.drop_ops(tx, [it.place for it in reached])
        return {(part.kind, part.id) for it in reached for part in it.op.parts}

    # snapshots and new lives of the log

    def reset_in(self, tx: Tx, home_id: str, answer: Reset) -> None:
        """The cursor is of no use: take a snapshot, after restating what is here where the log began a new life."""
        shared = self._shared(tx, home_id)
        if not answer.epoch:
            return  # it knows nothing of this home: no reason to forget it here
        if answer.restate:
            self._begin_restating_in(tx, shared, answer.epoch)
        else:
            self._begin_snapshot_in(tx, shared, answer.epoch)

    def _begin_restating_in(self, tx: Tx, shared: Shared, epoch: str) -> None:
        # What the lost life had taken, and nobody has pulled, goes out once more.
        outbox_queries.unsettle_ops(tx, shared.home_id)
        queries.put_shared(tx, replace(shared, epoch=epoch, state="restating", snapshot_place=None))

    def restating(self, reader: Reader, home_id: str, after: Key) -> tuple[Restate, Key | None]:
        """A page of this node's base, tombstones too, and the place it ends at; None: it is the last."""
        shared = queries.shared(reader, home_id)
        rows = queries.every_body_after(reader, home_id, after, ROWS_AT_ONCE)
        following = (rows[-1][0], rows[-1][1]) if len(rows) == ROWS_AT_ONCE else None
        if following is not None and following[0] == "member":
            # Who is in a home is said at once: between two pages it had no owner, or two.
            rest = queries.every_body_after(reader, home_id, following, -1)
            rows += [row for row in rest if row[0] == "member"]
            following = (rows[-1][0], rows[-1][1])
        epoch = "" if shared is None else shared.epoch
        counters = self._answered(reader, home_id) if following is None else []
        raw = [msgspec.Raw(row[2]) for row in rows]
        return Restate(0, home_id, epoch, raw, following is None, counters), following

    def _answered(self, reader: Reader, home_id: str) -> list[tuple[str, int]]:
        """Up to which number the operations of each node were answered: all that do not wait."""
        shared = self._shared(reader, home_id)
        taken = queries.counted_nodes(reader, home_id) | {self._node(reader): shared.next_n - 1}
        return list((taken | outbox_queries.first_waiting(reader, home_id)).items())

    def restated_in(self, tx: Tx, home_id: str) -> None:
        """The authority has all of it: now its own word."""
        shared = self._shared(tx, home_id)
        if shared.state == "restating":
            self._begin_snapshot_in(tx, shared, shared.epoch)

    def _begin_snapshot_in(self, tx: Tx, shared: Shared, epoch: str) -> None:
        round_ = 1 + (_decode_state(shared.snapshot_place).round if shared.snapshot_place else 0) + tx.now
        # What a cursor of another life counts is nothing here.
        least = shared.head if shared.epoch == epoch and shared.state != "restating" else 0
        state = SnapshotState(round_, epoch, -1, ("", ""), 0, 0, least)
        queries.put_shared(tx, replace(shared, epoch=epoch, state="snapshot", snapshot_place=encode(state)))

    def snapshot_state(self, reader: Reader, home_id: str) -> SnapshotState | None:
        """The one under way."""
        shared = queries.shared(reader, home_id)
        if shared is None or shared.state != "snapshot":
            return None
        fresh = SnapshotState(1, shared.epoch, -1, ("", ""), 0, 0)
        return _decode_state(shared.snapshot_place) if shared.snapshot_place else fresh

    def next_page(self, reader: Reader, home_id: str) -> Snapshot | None:
        """What to ask for next of a snapshot."""
        state = self.snapshot_state(reader, home_id)
        return None if state is None else Snapshot(0, home_id, state.place)

    def page_in(self, tx: Tx, home_id: str, answer: SnapshotPage) -> None:
        """Rows and place, together; with the last page what the snapshot does not have goes."""
        shared, state = self._shared(tx, home_id), self.snapshot_state(tx, home_id)
        if state is None or not answer.epoch or answer.after != state.place:
            return
        if answer.epoch != state.epoch:
            self._begin_restating_in(tx, shared, answer.epoch)
            return
        if answer.head < max(state.head, state.least):
            return  # asked for before, and late
        head = answer.head if state.head < 0 else state.head
        given = self._with_base(tx, home_id, answer.rows)
        # Numbers of another life say nothing: the page is right.
        queries.put_entities(tx, home_id, [row for row, base in given if base != row], state.round)
        queries.mark_round(tx, home_id, [(row.kind, row.id) for row, base in given if base == row], state.round)
        shown = {(row.kind, row.id): row for row, base in given if _differs(row, base)}
        self.show_in(tx, home_id, shown, at_once=False)
        done = state.done + len(given)
        if answer.next is not None:
            place = SnapshotState(state.round, answer.epoch, head, answer.next, done, answer.total)
            queries.put_shared(tx, replace(shared, snapshot_place=encode(place)))
        else:
            shared = replace(shared, snapshot_place=_PARTLY if answer.head > head else None)
            self._end_snapshot_in(tx, shared, state.round, head)
        self._moved(tx, home_id)

    def _end_snapshot_in(self, tx: Tx, shared: Shared, round_: int, head: int) -> None:
        home_id = shared.home_id
        gone = queries.unmarked(tx, home_id, round_)
        queries.drop_entities(tx, home_id, gone)
        queries.put_shared(tx, replace(shared, head=head, state="synced"))
        self.show_in(tx, home_id, {*gone} | self._leave_reached(tx, home_id), at_once=False)

    def leave_in(self, tx: Tx, home_id: str) -> None:
        """This node has that home no more: nothing of it stays."""
        shared, node = self._shared(tx, home_id), self._node(tx)
        keys = {(it.kind, it.id) for it in queries.every_entity(tx, home_id)} | outbox_queries.pending_keys(tx, home_id)
        queries.drop_shared(tx, home_id)
        queries.put_node(tx, home_id, NodeRow(node, None, None, shared.next_n - 1, shared.last_at, 0, tx.now))
        if self._facts is not None:
            self._facts.show_in(tx, home_id, keys, lambda _kind, _id: (None, NOBODY))

    def let_go_in(self, tx: Tx, home_id: str) -> None:
        """The home stays, and is this node's alone; should it meet that log again, all go on counting."""
        if self._facts is not None:
            behind.show_all_in(tx, self._facts, home_id)
        shared, node = self._shared(tx, home_id), self._node(tx)
        heard = queries.nodes(tx, home_id)
        queries.drop_shared(tx, home_id)
        for row in heard:
            queries.put_node(tx, home_id, row)
        queries.put_node(tx, home_id, NodeRow(node, None, None, shared.next_n - 1, shared.last_at, 0, tx.now))

    # showing

    def show_in(
        self, tx: Tx, home_id: str, keys: Collection[Key] | Mapping[Key, Entity], *, at_once: bool = True
    ) -> None:
        """Have the tables show these entities as they are with what waits; a mapping says what was just written.

        `at_once`: see `Facts.show_in`.
        """
        if self._facts is not None:
            known = keys if isinstance(keys, Mapping) else None
            self._facts.show_in(tx, home_id, keys, showing.views(tx, home_id, keys, known), at_once=at_once)

    def _acted(self, tx: Tx, home_id: str) -> None:
        for told in self.on_acted:
            told(tx, home_id)

    def _moved(self, tx: Tx, home_id: str) -> None:
        for told in self.on_moved:
            told(tx, home_id)

    def _shared(self, reader: Reader, home_id: str) -> Shared:
        shared = queries.shared(reader, home_id)
        if shared is None:
            raise LookupError(f"no log of {home_id}")
        return shared


def _is_late(answer: Pushed, shared: Shared) -> bool:
    """Whether the base is beyond it: what it misses may have been taken since, and have left the outbox."""
    return answer.head < shared.head


def _is_made_anew(part: Part, log: HomeLog) -> bool:
    """Over a tombstone that is here, and at the authority may be forgotten."""
    known = log.get(part.kind, part.id) if part.what == "new" else None
    return known is not None and known.dead is not None


def _differs(row: Entity, base: Entity | None) -> bool:
    """Whether people see another, and not only other numbers."""
    return base is None or base.fields != row.fields or (base.dead is None) != (row.dead is None)


def _hidden(reader: Reader, home_id: str, parts: Iterable[Part]) -> Iterator[int]:
    """How far what waits had seen, of the fields of `parts` that it hides: nobody here sees what came there since."""
    for part in parts:
        for waiting in outbox_queries.pending_of(reader, home_id, part.kind, part.id):
            if any(_overlap(part, it) for it in waiting.op.parts):
                yield waiting.op.seen


def _overlap(one: Part, other: Part) -> bool:
    same = (one.kind, one.id) == (other.kind, other.id)
    return same and ("del" in (one.what, other.what) or not one.fields.keys().isdisjoint(other.fields))
