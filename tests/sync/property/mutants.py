"""Faults put into the program one at a time: the schedules are worth what they find of these.

Each takes a rule of app/sync/PROTOCOL.md away. `mood` is the kind of schedule in which it matters most.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from app.store.tx import Reader, Tx
from app.sync import authority, behind_queries, hybrid, merge, outbox_queries, queries, restating, rules
from app.sync.accepting import Accepting
from app.sync.model import Entity, Op, Part, Stamp, Status
from app.sync.own import OwnWork
from app.sync.queries import Shared
from app.sync.replica import Replica
from app.sync.wire import Pushed, Reset
from tests.sync.property.world import World

Patch = Callable[[pytest.MonkeyPatch], None]


class Mutant(Struct, frozen=True):
    """`first`: one of the nine that the notes on sync name; `rare`: found in dozens of schedules, not in a few."""

    patch: Patch
    mood: str
    first: bool = False
    rare: bool = False


MUTANTS: dict[str, Mutant] = {}


def mutant(mood: str, *, first: bool = False, rare: bool = False) -> Callable[[Patch], Patch]:
    def keep(patch: Patch) -> Patch:
        MUTANTS[patch.__name__] = Mutant(patch, mood, first, rare)
        return patch

    return keep


# the nine of the notes


@mutant("places", first=True)
def no_dedupe(patch: pytest.MonkeyPatch) -> None:
    real = Accepting._one
    patch.setattr(
        Accepting, "_one", lambda self, op, row: real(self, op, replace(row, last_n=min(row.last_n, op.n - 1)))
    )


@mutant("people", first=True)
def deny_by_time_and_not_by_acceptance(patch: pytest.MonkeyPatch) -> None:
    real = rules.judge

    def judge(op: Op, facts: Any, *args: Any) -> str:
        why = real(op, facts, *args)
        gone = facts.get("member", op.actor)
        was_in = why == "not_a_member" and gone is not None and gone.dead is not None and op.at < gone.dead.at
        return "" if was_in else why

    patch.setattr("app.sync.accepting.rules.judge", judge)


@mutant("places", first=True)
def no_clock_clamp(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(hybrid, "taken", lambda at, _node_now, _now, last: max(at, last + 1))


@mutant("things", first=True)
def no_owner_epoch(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Accepting, "_is_fenced_out", lambda *_: False)


@mutant("places", first=True)
def delete_as_last_writer_wins(patch: pytest.MonkeyPatch) -> None:
    real = merge.apply

    def apply(entity: Entity | None, part: Part, stamp: Stamp, op: Op) -> merge.Merged:
        dead = None if entity is None else entity.dead
        if dead is not None and part.what == "put" and stamp.later_than(dead):
            assert entity is not None
            return merge.Merged(merge._made(part, stamp, entity.inc))
        return real(entity, part, stamp, op)

    patch.setattr(merge, "apply", apply)


@mutant("places", first=True)
def cursor_by_time(patch: pytest.MonkeyPatch) -> None:
    real = queries.bodies_since

    def bodies_since(reader: Reader, home_id: str, since: int, limit: int) -> Any:
        rows = queries.every_entity(reader, home_id)
        heard = max((it.last.at for it in rows if it.seq <= since), default=0)
        later = {it.seq for it in rows if it.last.at > heard}
        return [row for row in real(reader, home_id, since, limit) if row[0] in later]

    patch.setattr(queries, "bodies_since", bodies_since)


@mutant("places", first=True)
def outbox_cleared_on_send(patch: pytest.MonkeyPatch) -> None:
    def after_send(_: World, hub: Any, _home: str, waiting: Sequence[Any]) -> None:
        hub.act(lambda tx: outbox_queries.drop_ops(tx, [it.place for it in waiting]))

    patch.setattr(World, "after_send", after_send)


@mutant("places", first=True)
def cursor_before_rows(patch: pytest.MonkeyPatch) -> None:
    """Two transactions: the machine may go down between them."""

    def changed_in(self: Replica, tx: Tx, home_id: str, answer: Any) -> None:
        shared = self._shared(tx, home_id)
        if answer.epoch != shared.epoch or answer.head < shared.head or shared.state != "synced":
            return
        given = self._with_base(tx, home_id, answer.rows)
        rows = [(row, body) for row, body, base in given if base is None or base.seq < row.seq]
        queries.put_shared(tx, replace(shared, head=answer.head))
        tx.db.execute("COMMIT")
        tx.db.execute("BEGIN")
        self._take_rows(tx, self._shared(tx, home_id), rows, answer.head)

    patch.setattr(Replica, "changed_in", changed_in)


@mutant("places", first=True)
def no_overlay(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(outbox_queries, "pending_of", lambda *_: [])


# rights


@mutant("people")
def grant_that_had_not_seen(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rules, "_had_seen", lambda *_: True)


@mutant("people")
def let_in_again_without_having_seen(patch: pytest.MonkeyPatch) -> None:
    real_enters, real_apply = rules._Asked._enters, merge.apply

    def enters(self: Any, part: Part) -> str:
        self.op, op = replace(self.op, seen=1 << 60), self.op
        try:
            return real_enters(self, part)
        finally:
            self.op = op

    def apply(entity: Entity | None, part: Part, stamp: Stamp, op: Op) -> merge.Merged:
        return real_apply(entity, part, stamp, replace(op, seen=1 << 60) if part.kind == "member" else op)

    patch.setattr(rules._Asked, "_enters", enters)
    patch.setattr(merge, "apply", apply)


@mutant("people")
def rights_merged_by_time(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(merge, "RIGHTS", {})


@mutant("people")
def hand_over_by_anybody(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rules._Asked, "_hands_over", lambda _: "")


@mutant("people", rare=True)
def giver_not_asked_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rules._Asked, "_still", lambda *_, **__: "")


@mutant("people", rare=True)
def back_by_an_old_invitation(patch: pytest.MonkeyPatch) -> None:
    real = rules._Asked._enters

    def enters(self: Any, part: Part) -> str:
        why = real(self, part)
        gone = self.facts.get("member", part.id)
        if why != "taken_away" or gone is None or gone.dead is None or not self.op.had_seen(gone.dead):
            return why
        used = next(it.id for it in self.op.parts if it.kind == "invitation")
        return str(self._by_invitation(part, self.facts.live("invitation", used).fields))

    patch.setattr(rules._Asked, "_enters", enters)


@mutant("people")
def open_invitation_not_asked_for(patch: pytest.MonkeyPatch) -> None:
    real = rules._Asked._by_invitation
    over = ("invitation_over",)
    patch.setattr(
        rules._Asked, "_by_invitation", lambda self, part, it: "" if (why := real(self, part, it)) in over else why
    )
    patch.setitem(rules._RULES, "invitation", lambda *_: "")


@mutant("disasters", rare=True)
def whoever_was_put_out_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    def old_tombstones(reader: Reader, home_id: str, before: int, upto: int, limit: int) -> Any:
        sql = "SELECT kind, id, seq FROM sync_entities WHERE home_id=? AND dead_at<? AND seq<=? LIMIT ?"
        return reader.all(sql, (home_id, before, upto, limit))

    patch.setattr(queries, "old_tombstones", old_tombstones)


# what loses


@mutant("places")
def overwritten_unseen_without_a_record(patch: pytest.MonkeyPatch) -> None:
    real = merge._put
    patch.setattr(merge, "_put", lambda *args: replace(real(*args), losses=()))


@mutant("places")
def deleted_unseen_without_a_record(patch: pytest.MonkeyPatch) -> None:
    real = merge._delete
    patch.setattr(merge, "_delete", lambda *args: replace(real(*args), losses=()))


@mutant("places")
def too_late_without_a_record(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(merge, "_gone", lambda *_: ())


@mutant("people")
def refused_without_a_record(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Accepting, "_lose", lambda *_: None)


@mutant("people")
def refused_and_answered_otherwise_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(queries, "result", lambda *_: None)


# references, hardware, commands


@mutant("places")
def into_a_room_that_is_gone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Accepting, "_without_what_is_gone", lambda _, op: (list(op.parts), []))


@mutant("places")
def room_goes_alone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(OwnWork, "_leave_room", lambda *_: None)


@mutant("things")
def hardware_stays_behind(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(OwnWork, "_moved_in", lambda *_: None)


@mutant("things")
def expired_is_taken(patch: pytest.MonkeyPatch) -> None:
    real = Accepting._refused
    patch.setattr(Accepting, "_refused", lambda self, op: real(self, replace(op, not_after=None)))


# outbox, pull


@mutant("places")
def fast_path_though_others_wrote(patch: pytest.MonkeyPatch) -> None:
    real = Replica.pushed_in

    def pushed_in(self: Replica, tx: Tx, home_id: str, sent: Any, answer: Pushed) -> None:
        shared = self._shared(tx, home_id)
        if answer.results and all(it.status is Status.OK for it in answer.results):
            for waiting, _ in zip(sent, answer.results, strict=False):
                outbox_queries.drop_ops(tx, [waiting.place])
            queries.put_shared(tx, replace(shared, head=max(shared.head, answer.head)))
        else:
            real(self, tx, home_id, sent, answer)

    patch.setattr(Replica, "pushed_in", pushed_in)


@mutant("slow")
def rows_made_of_a_base_that_is_not_whole(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("app.sync.confirmed._PARTLY", None)


@mutant("all")
def relayed_under_another_number(patch: pytest.MonkeyPatch) -> None:
    real = outbox_queries.add_op

    def add_op(tx: Tx, home_id: str, op: Op) -> int:
        if op.node != "phone-1":
            return real(tx, home_id, op)
        shared = queries.shared(tx, home_id)
        assert shared is not None
        queries.put_shared(tx, replace(shared, next_n=shared.next_n + 1))
        [(node,)] = tx.all("SELECT coalesce(max(node), 'one-1') FROM sync_outbox WHERE node!='phone-1'")
        return real(tx, home_id, replace(op, node=node, n=shared.next_n))

    patch.setattr(outbox_queries, "add_op", add_op)


@mutant("disasters", rare=True)
def refused_leaves_a_gap(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(outbox_queries, "empty_op", lambda tx, it, _: outbox_queries.drop_ops(tx, [it.place]))
    patch.setattr(Replica, "_fill_gap", lambda *_: None)


# snapshots, lives


@mutant("disasters", rare=True)
def new_life_without_restating(patch: pytest.MonkeyPatch) -> None:
    real = Replica.reset_in
    patch.setattr(
        Replica, "reset_in", lambda self, tx, home_id, answer: real(self, tx, home_id, replace(answer, restate=False))
    )


@mutant("disasters", rare=True)
def counters_not_restated(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Replica, "_answered", lambda *_: [("nobody", 0)])
    patch.setattr(Replica, "_fill_gap", lambda *_: None)


@mutant("disasters", rare=True)
def what_was_taken_is_not_said_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(outbox_queries, "unsettle_ops", lambda *_: None)


@mutant("heirs", rare=True)
def two_owners_after_two_lives(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(restating, "_one_owner_in", lambda *_: None)


@mutant("disasters", rare=True)
def rooms_of_two_lives(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(restating, "_leave_rooms_in", lambda *_, **__: [])


@mutant("disasters", rare=True)
def put_into_a_room_that_went_in_another_life_without_a_record(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(restating, "_misplaced", lambda *_: None)


@mutant("disasters", rare=True)
def lost_between_two_lives_without_a_record(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(restating, "_lost_between", lambda *_: [])


@mutant("disasters")
def join_prefers_what_lives(patch: pytest.MonkeyPatch) -> None:
    real = merge.join

    def join(one: Entity, other: Entity) -> Entity:
        if (one.dead is None) != (other.dead is None) and one.inc == other.inc:
            return merge.numbered(one if one.dead is None else other, max(one.seq, other.seq))
        return real(one, other)

    patch.setattr(merge, "join", join)


@mutant("disasters")
def superseded_life_is_listened_to(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(World, "is_known", lambda *_: True)


@mutant("things")
def what_came_at_once_is_never_shown(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(behind_queries, "put", lambda *_: None)


@mutant("ages")
def snapshot_leaves_what_is_gone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(queries, "unmarked", lambda *_: [])


@mutant("ages")
def no_snapshot_below_the_floor(patch: pytest.MonkeyPatch) -> None:
    real = authority.Authority.changes

    def changes(self: Any, reader: Reader, ask: Any) -> Any:
        answer = real(self, reader, ask)
        shared = queries.shared(reader, ask.home)
        if isinstance(answer, Reset) and not answer.restate and shared is not None:
            return real(self, reader, replace(ask, since=max(ask.since, shared.floor)))
        return answer

    patch.setattr(authority.Authority, "changes", changes)


@mutant("moves", rare=True)
def late_page_is_taken(patch: pytest.MonkeyPatch) -> None:
    real = Replica.page_in

    def page_in(self: Replica, tx: Tx, home_id: str, answer: Any) -> None:
        state = self.snapshot_state(tx, home_id)
        if state is not None:
            answer = replace(answer, after=state.place, head=max(answer.head, state.head, state.least))
        real(self, tx, home_id, answer)

    patch.setattr(Replica, "page_in", page_in)


@mutant("moves")
def back_in_a_home_and_counting_from_one(patch: pytest.MonkeyPatch) -> None:
    real = Replica.join_in

    def join_in(self: Replica, tx: Tx, home_id: str, *args: Any, **kwargs: Any) -> Shared:
        tx.run("DELETE FROM sync_nodes WHERE home_id=?", (home_id,))
        return real(self, tx, home_id, *args, **kwargs)

    patch.setattr(Replica, "join_in", join_in)
