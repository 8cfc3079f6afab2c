"""The end that orders a home's log: takes operations, gives rows (PROTOCOL.md 2, 4, 5). Everything inside one act."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from app.clock import Moment
from app.store.tx import Reader, Tx
from app.sync import hybrid, merge, queries
from app.sync.accepting import Accepting, Sender
from app.sync.facts import Facts, shown_of
from app.sync.log import HomeLog
from app.sync.model import JUMP, MAX_NUMBER, MAX_OPS, NOBODY, Entity, Op, Part
from app.sync.own import OwnWork
from app.sync.queries import NodeRow, Shared
from app.sync.restating import join_in
from app.sync.wire import Changes, Pull, Pushed, Reset, Snapshot, SnapshotPage

ROWS_AT_ONCE: Final = 1_000
TOMBSTONE_MS: Final = 90 * 24 * 3_600_000
# Of one sweep.
FORGOTTEN_AT_ONCE: Final = 500


class Authority:
    """Logs this node orders. `node` is what it writes as; `facts` None: it has no tables but the log's."""

    def __init__(self, node: Callable[[Reader], str], facts: Facts | None) -> None:
        self._facts = facts
        self._own = OwnWork(node, self._settle_in)
        # Told inside the act, of each home whose log has grown and up to where; not of what is undone.
        self.on_grown: list[Callable[[Tx, str, int], None]] = []

    # logs

    def found_in(self, tx: Tx, home_id: str, epoch: str, state: str = "synced") -> Shared:
        """Begin a home's log, empty."""
        shared = Shared(home_id, None, epoch, 0, 0, 1, 0, state, contact_at=tx.now)
        queries.put_shared(tx, shared)
        return shared

    def renew_in(self, tx: Tx, shared: Shared, epoch: str) -> Shared:
        """This node is back from a backup: the log begins a new life, in which hubs restate what they have."""
        renewed = replace(shared, epoch=epoch, head=shared.head + JUMP, kept=shared.head, state="recovering")
        queries.put_shared(tx, renewed)
        return renewed

    # operations

    def push_in(self, tx: Tx, shared: Shared, ops: Sequence[Op], sender: Sender, moment: Moment) -> Pushed:
        """Take operations in order (section 2a); `moment` is now."""
        log = HomeLog(tx, shared)
        pushed = Accepting(tx, log, sender, moment, self._own).take(ops)
        # A phone reads what it has written, once it is answered.
        self._settle_in(tx, log, at_once=sender.by.hub_id is None)
        return pushed

    def local_in(self, tx: Tx, home_id: str, actor: str, parts: Sequence[Part], *, is_shown: bool = True) -> None:
        """An act done here, by who had the right. `is_shown`: the tables show it already."""
        shared = queries.shared(tx, home_id)
        if shared is None:
            return
        log = HomeLog(tx, shared)
        op, at = self._own.do_in(tx, log, actor, parts)
        done = dict(log.changed) if is_shown else {}
        self._own.follow_in(tx, log, op, at)
        self._settle_in(tx, log, shown=[key for key, it in done.items() if log.changed[key] is it])

    def _settle_in(
        self, tx: Tx, log: HomeLog, shown: Collection[tuple[str, str]] = (), *, at_once: bool = True
    ) -> None:
        """Write what became of a log; the tables show it, but for what they show already."""
        log.write_in(tx)
        if log.head == log.shared.head and not log.changed:
            queries.put_shared(tx, log.shared)
            return
        queries.put_shared(tx, replace(log.shared, head=log.head))
        if self._facts is not None:
            keys = [key for key in log.changed if key not in shown]
            self._facts.show_in(tx, log.home_id, keys, lambda kind, it: shown_of(log.get(kind, it)), at_once=at_once)
        for told in self.on_grown:
            told(tx, log.home_id, log.head)

    # rows

    def changes(self, reader: Reader, ask: Pull) -> Changes | Reset:
        """Rows after a cursor; Reset where it is of no use."""
        shared = queries.shared(reader, ask.home)
        if shared is None or shared.epoch != ask.epoch or not shared.floor <= ask.since <= shared.head:
            epoch = "" if shared is None else shared.epoch
            return Reset(ask.id, ask.home, epoch, restate=shared is not None and shared.epoch != ask.epoch)
        limit = max(1, min(ask.limit, ROWS_AT_ONCE))
        rows = queries.bodies_since(reader, ask.home, ask.since, limit)
        head = rows[-1][0] if len(rows) == limit else shared.head
        return Changes(ask.id, ask.home, shared.epoch, head, head < shared.head, [msgspec.Raw(row[1]) for row in rows])

    def page(self, reader: Reader, ask: Snapshot) -> SnapshotPage:
        """Rows after a place, tombstones too: who has them can restate them."""
        shared = queries.shared(reader, ask.home)
        rows = queries.every_body_after(reader, ask.home, ask.after, ROWS_AT_ONCE)
        following = (rows[-1][0], rows[-1][1]) if len(rows) == ROWS_AT_ONCE else None
        epoch, head = ("", 0) if shared is None else (shared.epoch, shared.head)
        raw, total = [msgspec.Raw(row[2]) for row in rows], queries.count_entities(reader, ask.home)
        return SnapshotPage(ask.id, ask.home, epoch, head, raw, following, total, ask.after)

    def restate_in(
        self, tx: Tx, shared: Shared, rows: Iterable[Entity], counters: Iterable[tuple[str, int]] = (), hub_id: str = ""
    ) -> None:
        """Join what a replica had confirmed in an earlier life of the log (section 2c); `counters` with the last."""
        counted = dict(counters)
        for node, last in counted.items():
            heard = queries.node(tx, shared.home_id, node) or NodeRow(node, None, None, 0, 0, 0, tx.now)
            if heard.hub_id in (None, hub_id) and 0 <= last < MAX_NUMBER and _may_count(heard, last):
                queries.put_node(tx, shared.home_id, replace(heard, last_n=max(heard.last_n, last)))
        if shared.state in ("founding", "recovering"):
            # Its hub gave these times by a clock that may be a year ahead: so far off, they would win for a year.
            rows = [merge.held_to(row, hybrid.of_ms(tx.now)) for row in rows]
        log = HomeLog(tx, shared)
        join_in(tx, log, self._own, rows, last=bool(counted))
        self._settle_in(tx, log, at_once=False)

    def heard_in(self, tx: Tx, home_id: str, node: str, hub_id: str, cursor: int) -> None:
        """A hub has everything up to `cursor`: what nobody misses may be forgotten."""
        known = queries.node(tx, home_id, node) or NodeRow(node, hub_id, None, 0, 0, 0, tx.now)
        queries.put_node(tx, home_id, replace(known, hub_id=hub_id, cursor=max(known.cursor, cursor), heard_at=tx.now))

    def forget_settled_in(self, tx: Tx, shared: Shared) -> int:
        """Conflicts that somebody settled long ago end (section 6); returns how many."""
        before = hybrid.of_ms(tx.now - TOMBSTONE_MS)
        settled = (it for it in queries.entities_of(tx, shared.home_id, "conflict") if it.fields.get("state") != "open")
        over = [Part("conflict", it.id, "del") for it in settled if it.stamp_of("state").at < before]
        if over:
            self.local_in(tx, shared.home_id, NOBODY, over[:FORGOTTEN_AT_ONCE], is_shown=False)
        return min(len(over), FORGOTTEN_AT_ONCE)

    def compact_in(self, tx: Tx, shared: Shared) -> int:
        """Forget tombstones that are old and that everybody has; returns how many."""
        before = tx.now - TOMBSTONE_MS
        passed = queries.least_cursor(tx, shared.home_id, before)
        upto = shared.head if passed is None else passed
        gone = queries.old_tombstones(tx, shared.home_id, before, upto, FORGOTTEN_AT_ONCE)
        if gone:
            queries.drop_entities(tx, shared.home_id, [(kind, entity_id) for kind, entity_id, _ in gone])
            floor = max(shared.floor, *(seq for _, _, seq in gone))
            queries.put_shared(tx, replace(shared, floor=floor))
        return len(gone)


def _may_count(heard: NodeRow, last: int) -> bool:
    """A phone that is known here speaks for itself: a hub may be ahead of what it was heard, by what it relays."""
    return heard.account_key is None or last <= heard.last_n + MAX_OPS
