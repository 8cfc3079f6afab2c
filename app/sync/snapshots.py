"""A replica's copy of a log as a whole: taken in pages, and said again to a new life of the log (PROTOCOL.md 2c)."""

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec.structs import replace

from app.store.tx import Reader, Tx
from app.sync import outbox_queries, queries
from app.sync.confirmed import Confirmed, place_of
from app.sync.facts import Key
from app.sync.model import Entity, decode_entity, encode
from app.sync.queries import Shared
from app.sync.wire import Reset, Restate, Snapshot, SnapshotPage

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


class Snapshots(Confirmed):
    """Everything inside one act."""

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
        queries.put_encoded(tx, home_id, [(row, raw) for row, raw, base in given if base != row], state.round)
        queries.mark_round(tx, home_id, [(row.kind, row.id) for row, _, base in given if base == row], state.round)
        shown = {(row.kind, row.id): row for row, _, base in given if _differs(row, base)}
        self.show_in(tx, home_id, shown, at_once=False)
        done = state.done + len(given)
        if answer.next is not None:
            place = SnapshotState(state.round, answer.epoch, head, answer.next, done, answer.total)
            queries.put_shared(tx, replace(shared, snapshot_place=encode(place)))
        else:
            shared = replace(shared, snapshot_place=place_of(partly=answer.head > head))
            self._end_snapshot_in(tx, shared, state.round, head)
        self._moved(tx, home_id)

    def _end_snapshot_in(self, tx: Tx, shared: Shared, round_: int, head: int) -> None:
        home_id = shared.home_id
        gone = queries.unmarked(tx, home_id, round_)
        queries.drop_entities(tx, home_id, gone)
        queries.put_shared(tx, replace(shared, head=head, state="synced"))
        self.show_in(tx, home_id, {*gone} | self._leave_reached(tx, home_id), at_once=False)

    def _with_base(
        self, tx: Tx, home_id: str, raw: Iterable[msgspec.Raw]
    ) -> list[tuple[Entity, msgspec.Raw, Entity | None]]:
        rows = [(decode_entity(body), body) for body in raw]
        bases = queries.entities_run(tx, home_id, ((row.kind, row.id) for row, _ in rows))
        return [(row, body, bases.get((row.kind, row.id))) for row, body in rows]


def _differs(row: Entity, base: Entity | None) -> bool:
    """Whether people see another, and not only other numbers."""
    return base is None or base.fields != row.fields or (base.dead is None) != (row.dead is None)
