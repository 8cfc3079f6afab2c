"""Merging is a pure function, and a join."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sync import hybrid, merge
from app.sync.model import Entity, Op, Part, Stamp

NODES = ("cloud", "one", "two")


def stamp(at: int, node: str = "one", n: int = 1, seq: int = 1) -> Stamp:
    return Stamp(at, node, n, "", seq)


def op(*parts: Part, node: str = "one", n: int = 9, seen: int = 0) -> Op:
    return Op(node, n, "", 1, seen, list(parts))


def put(**fields: Any) -> Part:
    return Part("room", "r", "put", fields)


@st.composite
def entities(draw: st.DrawFn) -> Entity:
    """Of one id; a stamp decides what was written, as it does in a log."""
    inc = draw(st.integers(1, 2))

    def written() -> Stamp:
        at, node = draw(st.integers(1, 4)), draw(st.sampled_from(NODES))
        return Stamp(at, node, at, "", draw(st.integers(1, 3)))

    if draw(st.booleans()) and draw(st.booleans()):
        dead = written()
        return Entity("room", "r", draw(st.integers(1, 9)), inc, dead, {}, {}, dead)
    stamps = {name: written() for name in draw(st.sets(st.sampled_from("abc"), min_size=1))}
    fields = {name: f"{name}{it.at}{it.node}{it.seq}" for name, it in stamps.items()}
    first = Entity("room", "r", draw(st.integers(1, 9)), inc, stamp(0, seq=0), {}, {})
    return merge.compact(first, first.seq, fields, stamps)


@given(entities(), entities())
def test_a_join_is_commutative(one: Entity, other: Entity) -> None:
    assert merge.join(one, other) == merge.join(other, one)


@given(entities(), entities(), entities())
def test_a_join_is_associative(one: Entity, two: Entity, three: Entity) -> None:
    assert merge.join(merge.join(one, two), three) == merge.join(one, merge.join(two, three))


@given(entities(), entities())
def test_a_join_is_idempotent(one: Entity, other: Entity) -> None:
    joined = merge.join(one, other)
    assert merge.join(one, one) == one
    assert merge.join(joined, other) == joined
    assert merge.same(joined, merge.join(joined, one))


@given(entities(), st.integers(1, 5), st.sampled_from(NODES))
def test_what_was_seen_is_overwritten_and_nothing_is_lost(entity: Entity, at: int, node: str) -> None:
    mine = op(put(a="mine"), node=node, seen=10)
    if entity.dead is not None:
        return
    at = merge.time_of(mine, at, [entity])
    merged = merge.apply(entity, mine.parts[0], Stamp(at, node, 9, "", 11), mine)
    assert merged.entity is not None
    assert merged.entity.fields["a"] == "mine"
    assert merged.losses == ()


@given(entities(), st.integers(1, 5), st.sampled_from(NODES))
def test_what_loses_unseen_is_told_and_the_later_stamp_wins(entity: Entity, at: int, node: str) -> None:
    mine = op(put(a="mine"), node=node, n=1)
    merged = merge.apply(entity, mine.parts[0], Stamp(at, node, 9, "", 11), mine)
    assert merged.entity is not None
    if entity.dead is not None:
        assert merged.entity == entity
        assert [(it.why, it.lost) for it in merged.losses] == [("deleted", "mine")]
    elif "a" in entity.fields:
        wins = (at, node, 9) > entity.stamp_of("a").order()
        assert merged.entity.fields["a"] == ("mine" if wins else entity.fields["a"])
        [loss] = merged.losses
        assert {loss.lost, loss.kept} == {"mine", entity.fields["a"]}
    else:
        assert merged.entity.fields["a"] == "mine"


def test_the_same_value_twice_is_no_loss() -> None:
    made = merge.apply(None, Part("room", "r", "new", {"name": "Bath"}), stamp(5, "two"), op()).entity
    merged = merge.apply(made, put(name="Bath"), stamp(6), op(put(name="Bath")))
    assert merged.losses == ()


def test_a_tombstone_beats_later_fields_and_says_so() -> None:
    made = merge.apply(None, Part("room", "r", "new", {"name": "Bath", "icon": None}), stamp(99, "two"), op()).entity
    gone = merge.apply(made, Part("room", "r", "del"), stamp(5, seq=2), op())
    assert gone.entity is not None
    assert gone.entity.dead == stamp(5, seq=2)
    assert [(it.field, it.why, it.lost, it.kept_by) for it in gone.losses] == [
        ("name", "deleted", "Bath", stamp(5, seq=2))
    ]


def test_who_has_seen_the_tombstone_may_begin_anew() -> None:
    dead = Entity("member", "k", 3, 1, stamp(9, "two", seq=3), {}, {}, stamp(9, "two", seq=3))
    again = Part("member", "k", "new", {"role": "guest"})
    assert merge.apply(dead, again, stamp(10), op(again)).entity == dead
    reborn = merge.apply(dead, again, stamp(10), op(again, seen=3)).entity
    assert reborn is not None
    assert (reborn.inc, reborn.dead, reborn.fields) == (2, None, {"role": "guest"})


def test_rights_go_by_acceptance() -> None:
    member = Entity("member", "k", 3, 1, stamp(500, "two", seq=3), {"role": "admin", "name": "K"}, {})
    lower = Part("member", "k", "put", {"role": "guest"})
    assert merge.time_of(op(lower), 1, [member]) == 501
    assert merge.time_of(op(Part("member", "k", "put", {"name": "L"})), 1, [member]) == 1


def test_a_view_is_what_was_confirmed_and_what_waits() -> None:
    base = Entity("room", "r", 3, 1, stamp(5), {"name": "Bath", "icon": None}, {})
    assert merge.view(base, []) == {"name": "Bath"}
    assert merge.view(base, [put(icon="i"), put(name=None)]) == {"icon": "i"}
    assert merge.view(base, [Part("room", "r", "del"), put(name="x")]) is None
    assert merge.view(None, [put(name="x")]) is None
    assert merge.view(None, [Part("room", "r", "new", {"name": "x"})]) == {"name": "x"}


@pytest.mark.parametrize(
    ("was", "now", "expected"),
    [
        (None, None, None),
        (None, {"a": 1}, ("new", {"a": 1})),
        ({"a": 1}, None, ("del", {})),
        ({"a": 1}, {"a": 1}, None),
        ({"a": 1, "b": 2}, {"a": 3}, ("put", {"a": 3, "b": None})),
    ],
)
def test_a_difference_is_what_an_act_did(was: Any, now: Any, expected: Any) -> None:
    assert merge.difference(was, now) == expected


@given(st.integers(1, 1 << 50), st.integers(-(1 << 40), 1 << 41), st.integers(1, 1 << 41), st.integers(0, 1 << 57))
def test_a_time_that_is_taken_grows_and_is_never_ahead(at: int, node_now: int, now: int, last: int) -> None:
    taken = hybrid.taken(at, node_now, now, last)
    assert taken > last
    assert taken <= max(hybrid.of_ms(now), last + 1)


def test_a_clock_that_is_a_year_off_says_the_same() -> None:
    year, now = 365 * 86_400_000, 1_700_000_000_000
    for off in (-year, 0, year):
        at = hybrid.of_ms(now + off - 5_000)
        assert hybrid.to_ms(hybrid.taken(at, now + off, now, 0)) == now - 5_000


def test_what_is_far_ahead_is_not_believed() -> None:
    now = 1_700_000_000_000
    near, far = hybrid.of_ms(now + 59_000), hybrid.of_ms(now + 61_000)
    assert hybrid.heard(7, near, now) == near
    assert hybrid.heard(7, far, now) == 7
    assert hybrid.after(near, now) == near + 1
    assert hybrid.after(0, now) == hybrid.of_ms(now)
