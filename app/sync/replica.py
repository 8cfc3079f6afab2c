"""The end that has a copy of a log, and an outbox (PROTOCOL.md 2). Everything inside one act."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec.structs import replace

from app.store.tx import Reader, Tx
from app.sync import behind, hybrid, outbox_queries, queries
from app.sync.applying import apply_in
from app.sync.confirmed import place_of
from app.sync.facts import Facts, Key
from app.sync.log import HomeLog
from app.sync.model import MAX_OPS, NOBODY, Entity, Op, Part, Result, Status, decode_entity
from app.sync.outbox_queries import Waiting
from app.sync.queries import NodeRow, Shared
from app.sync.snapshots import Snapshots
from app.sync.wire import Changes, Push, Pushed


class Replica(Snapshots):
    """Logs that another node orders. `node` is what this one writes as; `facts` None: there are no tables."""

    def __init__(self, node: Callable[[Reader], str], facts: Facts | None) -> None:
        super().__init__(node, facts)
        # Told inside the act: of operations that were refused, and of each act that waits for the authority now.
        self.on_refused: list[Callable[[Tx, str, Op, Result], None]] = []
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

    def _acted(self, tx: Tx, home_id: str) -> None:
        for told in self.on_acted:
            told(tx, home_id)

    # push

    def next_push(
        self, reader: Reader, home_id: str, limit: int = MAX_OPS, *, after: int | None = None
    ) -> tuple[Push, list[Waiting]]:
        """What waits, in order; with nothing to push, or as long as something is to be said first, no operations.

        `after`: a place in the outbox up to which everything is under way. `Push.now` is for who sends it.
        """
        shared = queries.shared(reader, home_id)
        epoch = "" if shared is None else shared.epoch
        if shared is None or shared.state == "restating":
            return Push(0, home_id, epoch, 0, []), []
        waiting = outbox_queries.waiting(reader, home_id, limit, after)
        return Push(0, home_id, epoch, 0, [it.op for it in waiting]), waiting

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
        rows = [(decode_entity(body), body) for body in answer.rows]
        numbers = queries.numbers(tx, home_id, ((row.kind, row.id) for row, _ in rows))
        rows = [(row, body) for row, body in rows if numbers.get((row.kind, row.id), -1) < row.seq]
        shared = replace(shared, snapshot_place=place_of(partly=answer.more))
        self._take_rows(tx, shared, rows, answer.head)

    def _take_rows(self, tx: Tx, shared: Shared, rows: Sequence[tuple[Entity, bytes]], head: int) -> None:
        home_id = shared.home_id
        queries.put_encoded(tx, home_id, rows)
        last_at = shared.last_at
        for row, _ in rows:
            last_at = hybrid.heard(last_at, row.last.at, tx.now)
        queries.put_shared(tx, replace(shared, head=head, last_at=last_at))
        reached, written = self._leave_reached(tx, home_id), {(row.kind, row.id): row for row, _ in rows}
        self.show_in(tx, home_id, written if reached <= written.keys() else reached | written.keys(), at_once=False)
        self._moved(tx, home_id)


def _is_late(answer: Pushed, shared: Shared) -> bool:
    """Whether the base is beyond it: what it misses may have been taken since, and have left the outbox."""
    return answer.head < shared.head


def _is_made_anew(part: Part, log: HomeLog) -> bool:
    """Over a tombstone that is here, and at the authority may be forgotten."""
    known = log.get(part.kind, part.id) if part.what == "new" else None
    return known is not None and known.dead is not None


def _hidden(reader: Reader, home_id: str, parts: Iterable[Part]) -> Iterator[int]:
    """How far what waits had seen, of the fields of `parts` that it hides: nobody here sees what came there since."""
    for part in parts:
        for waiting in outbox_queries.pending_of(reader, home_id, part.kind, part.id):
            if any(_overlap(part, it) for it in waiting.op.parts):
                yield waiting.op.seen


def _overlap(one: Part, other: Part) -> bool:
    same = (one.kind, one.id) == (other.kind, other.id)
    return same and ("del" in (one.what, other.what) or not one.fields.keys().isdisjoint(other.fields))
