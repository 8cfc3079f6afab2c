"""What an act changed of a home's facts, told by the database itself, becomes an operation at the act's end.

Triggers of the writing connection alone: the schema has none, and whoever opens the file otherwise meets none. So no
service has to remember to say what it did, and what a foreign key takes along is seen as well.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from typing import Final

from app.store.errors import RunAgain
from app.store.tx import Reader, Tx
from app.sync import behind, behind_queries, merge, outbox_queries, queries, reference_queries, showing
from app.sync.authority import Authority
from app.sync.facts import MANY, Facts, Shown, shown_of
from app.sync.kinds import RANK, Fields, SeveralIds, Watch
from app.sync.model import MAX_PARTS, NOBODY, Part
from app.sync.replica import Replica

_FUNCTION: Final = "doorstep_touched"
_TRIGGER: Final = """
CREATE TEMP TRIGGER "sync_{name}" AFTER {event} ON main.{table} BEGIN
  SELECT {function}('{kind}', {id}, {home_id});
END
"""
_TRIGGER_MANY: Final = """
CREATE TEMP TRIGGER "sync_{name}" AFTER {event} ON main.{table} BEGIN
  SELECT {function}('{kind}', id, home_id) FROM ({many});
END
"""


class Capture:
    """`attach` it to a store (`Store.attach`). `homes`: whose log this node has, and whether it is the authority.

    `key_in` is the key by which a home knows the account that did something.
    """

    def __init__(
        self,
        facts: Facts,
        authority: Authority,
        replica: Replica,
        key_in: Callable[[Reader, str, str | None], str | None],
    ) -> None:
        self._facts = facts
        self._kinds = facts.kinds
        # Found once: asking an object whether it is of a Protocol takes longer than reading a fact.
        self._of_several_ids = {name: kind for name, kind in facts.kinds.items() if isinstance(kind, SeveralIds)}
        self._authority = authority
        self._replica = replica
        self._key_in = key_in
        self._touched: dict[tuple[str, str, str], None] = {}
        self.homes: dict[str, bool] = {}

    def prepare(self, db: sqlite3.Connection) -> None:
        """Lay the triggers; on the writer's thread."""
        db.create_function(_FUNCTION, 3, self._touch)
        for kind in self._kinds.values():
            for number, watch in enumerate(kind.watches):
                for name, sql in _triggers(kind.name, number, watch):
                    db.execute(f'DROP TRIGGER IF EXISTS temp."sync_{name}"')
                    db.execute(sql)

    def _touch(self, kind: str, entity_id: str | None, home_id: str | None) -> None:
        if entity_id is not None and home_id in self.homes:
            self._touched[home_id, kind, entity_id] = None

    def __call__(self, tx: Tx) -> None:
        """At the end of an act. Of what another node has said, only that is put down which came of it here."""
        while self._touched:
            touched, self._touched = self._touched, {}
            tx.settle()
            put, self._facts.put = self._facts.put, set()
            account_id = None if put or tx.actor is None else tx.actor.account_id
            by_home: dict[str, dict[tuple[str, str], None]] = {}
            for home_id, kind, said_id in touched:
                entity_id = self._id_of(tx, home_id, kind, said_id)
                if (home_id, kind, entity_id) not in put:
                    by_home.setdefault(home_id, {})[kind, entity_id] = None
            for home_id, keys in by_home.items():
                self._demand_level(tx, home_id, keys)
                if parts := self.parts_in(tx, home_id, keys):
                    actor = NOBODY if account_id is None else self._key_in(tx, home_id, account_id) or NOBODY
                    self._put_down(tx, home_id, actor, parts)
        self._facts.put.clear()

    def _demand_level(self, reader: Reader, home_id: str, keys: Iterable[tuple[str, str]]) -> None:
        """What an act changed in rows that were behind the log is not known: it is done again once they are level."""
        many = [key for key in keys if key[0] in MANY]
        if many and (touched := behind_queries.among(reader, home_id, many)):
            raise RunAgain(partial(behind.show_in, facts=self._facts, home_id=home_id, keys=touched))

    def _id_of(self, reader: Reader, home_id: str, name: str, entity_id: str) -> str:
        kind = self._of_several_ids.get(name)
        if kind is None:
            return entity_id
        return kind.id_of_in(reader, home_id, entity_id, partial(_is_known, reader, home_id, name))

    def parts_in(self, reader: Reader, home_id: str, keys: Iterable[tuple[str, str]]) -> list[Part]:
        """How the tables differ from what the log shows, of these entities."""
        keys = list(keys)
        shown = self._shown(reader, home_id, keys, is_authority=self.homes.get(home_id, False))
        parts: dict[tuple[str, str], Part] = {}
        for name, entity_id in keys:
            kind = self._kinds[name]
            was = shown(name, entity_id)[0]
            now = kind.read_in(reader, home_id, entity_id, was)
            if was and now is not None and reference_queries.is_dangling(reader, home_id, name, entity_id):
                # What it refers to has not come yet: nobody took that away.
                now = {**was, **now}
            if (changed := merge.difference(_without_defaults(was, now), now)) is not None:
                parts[name, entity_id] = Part(name, entity_id, *changed)  # type: ignore[arg-type]
        ended = parts.get(("home", home_id))
        if ended is not None and ended.what == "del":
            return [ended]
        return sorted(parts.values(), key=lambda part: RANK[part.kind])

    def _shown(
        self, reader: Reader, home_id: str, keys: Collection[tuple[str, str]], *, is_authority: bool
    ) -> Callable[[str, str], Shown]:
        if not is_authority:
            return showing.views(reader, home_id, keys)
        known = queries.entities(reader, home_id, keys)
        return lambda kind, entity_id: shown_of(known.get((kind, entity_id)))

    def _put_down(self, tx: Tx, home_id: str, actor: str, parts: list[Part]) -> None:
        if len(parts) > MAX_PARTS:
            # With a room that goes, the authority has its devices leave it.
            by_themselves = ("device", {"room_id": None})
            if any(part.kind == "room" and part.what == "del" for part in parts):
                parts = [part for part in parts if (part.kind, part.fields) != by_themselves]
        for begin in range(0, len(parts), MAX_PARTS):
            some = parts[begin : begin + MAX_PARTS]
            if self.homes[home_id]:
                self._authority.local_in(tx, home_id, actor, some)
            else:
                self._replica.act_in(tx, home_id, actor, some)

    def everything_in(self, reader: Reader, home_id: str) -> Iterator[tuple[str, str]]:
        """All facts of a home that the tables have: what joining a cloud, or becoming one, begins with."""
        for name in RANK:
            if name in self._kinds:
                for entity_id in self._kinds[name].ids_in(reader, home_id):
                    yield name, entity_id


def _without_defaults(was: Fields | None, now: Fields | None) -> Fields | None:
    """`was` without what somebody has said in as many words, and what the tables say by leaving it out."""
    if was is None or now is None:
        return was
    return {name: value for name, value in was.items() if value or name in now}


def _is_known(reader: Reader, home_id: str, kind: str, entity_id: str) -> bool:
    return queries.entity(reader, home_id, kind, entity_id) is not None or bool(
        outbox_queries.pending_of(reader, home_id, kind, entity_id)
    )


def _triggers(kind: str, number: int, watch: Watch) -> Iterator[tuple[str, str]]:
    columns = "" if watch.columns is None else " OF " + ", ".join(watch.columns)
    inserts = (("INSERT", "NEW"),) if watch.inserted else ()
    for event, row in (*inserts, (f"UPDATE{columns}", "NEW"), (f"UPDATE{columns}", "OLD"), ("DELETE", "OLD")):
        name = f"{kind}_{number}_{event.split(' ')[0].lower()}_{row.lower()}"
        facts = {"name": name, "event": event, "table": watch.table, "function": _FUNCTION, "kind": kind}
        if watch.many is not None:
            yield name, _TRIGGER_MANY.format(**facts, many=watch.many.replace("$.", f"{row}."))
        else:
            entity_id, home_id = (it.replace("$.", f"{row}.") for it in (watch.id, watch.home_id))
            yield name, _TRIGGER.format(**facts, id=entity_id, home_id=home_id)
