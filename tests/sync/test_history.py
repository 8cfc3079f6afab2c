"""The witness of what was acknowledged is no test unless it finds what is lost."""

from typing import Any

from app.sync.model import Entity, Stamp
from tests.sync.history import Edit, Outcome

STAMP = Stamp(1, "n", 1, "", 1)


def room(**fields: Any) -> Entity:
    return Entity("room", "r", 1, 1, STAMP, fields, {})


def put(name: str, over: str) -> Edit:
    return Edit("a", "put", "room", "r", {"name": name}, {"name": over})


NEW = Edit("a", "new", "room", "r", {"name": "1"}, {})
DEL = Edit("b", "del", "room", "r", {}, {"name": "2"})


def conflict(field: str, lost: Any) -> Entity:
    fields = {"kind": "room", "id": "r", "field": field, "lost": lost}
    return Entity("conflict", "c", 2, 1, STAMP, fields, {})


def lost(entities: list[Entity], *edits: Edit) -> list[Edit]:
    return Outcome(entities, edits).lost()


def test_what_stands_and_what_was_written_over_is_kept() -> None:
    assert lost([room(name="3")], NEW, put("2", "1"), put("3", "2")) == []


def test_what_nobody_had_seen_and_no_record_keeps_is_lost() -> None:
    assert lost([room(name="3")], NEW, put("2", "1"), put("3", "1")) == [put("2", "1")]
    assert lost([room(name="3"), conflict("name", "2")], NEW, put("2", "1"), put("3", "1")) == []
    assert lost([room(name="3"), conflict("", {"name": "2"})], NEW, put("2", "1"), put("3", "1")) == []
    assert lost([room(name="1")], NEW, put("2", "1")) == [put("2", "1")]


def test_what_is_gone_must_have_been_removed() -> None:
    assert lost([], NEW) == [NEW]
    dead = Entity("room", "r", 1, 1, STAMP, {}, {}, dead=STAMP)
    assert lost([dead], NEW, put("2", "1"), DEL) == []
    assert lost([dead], NEW, put("3", "1"), DEL) == [put("3", "1")]


def test_what_was_removed_is_gone() -> None:
    assert lost([room(name="2")], NEW, put("2", "1"), DEL) == [DEL]


def test_an_invitation_that_is_over_may_make_room_and_an_open_one_may_not() -> None:
    new = Edit("a", "new", "invitation", "i", {}, {})
    revoked = Edit("a", "put", "invitation", "i", {"state": "revoked"}, {})
    dead = Entity("invitation", "i", 1, 1, STAMP, {}, {}, dead=STAMP)
    assert lost([dead], new, revoked) == []
    assert lost([dead], new) == [new]
