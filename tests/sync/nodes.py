"""Nodes for tests of the log: a database in memory, what runs over it, and tables that show what they are told."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, TypeVar

import msgspec

from app.caller import BY_SYSTEM
from app.clock import Moment
from app.store.migrations import migrate
from app.store.tx import Batch, Reader, Tx
from app.sync import behind, merge, queries, showing
from app.sync.authority import Authority
from app.sync.facts import Facts
from app.sync.kinds import ORDER, Fields, Item, Watch
from app.sync.model import Entity, Op, Part, Stamp
from app.sync.queries import Shared
from app.sync.replica import Replica

T = TypeVar("T")
Key = tuple[str, str]
START_MS = 1_700_000_000_000

_encode = msgspec.msgpack.encode
_decode = msgspec.msgpack.decode


@cache
def template() -> bytes:
    """A database with the tables of sync, and one for what is shown."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrate(db)
    db.execute("PRAGMA foreign_keys=OFF")
    for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type='table'").fetchall():
        if not name.startswith(("sync_", "sqlite_")) and name != "devices":
            db.execute(f"DROP TABLE {name}")
    db.execute(
        "CREATE TABLE shown(home_id TEXT, kind TEXT, id TEXT, fields BLOB, PRIMARY KEY(home_id,kind,id)) WITHOUT ROWID"
    )
    db.execute("VACUUM")
    return db.serialize()


class Shelf:
    """A kind of fact whose table is one of documents."""

    watches: Sequence[Watch] = ()

    def __init__(self, name: str) -> None:
        self.name = name

    def read_in(self, reader: Reader, home_id: str, entity_id: str, known: Fields | None) -> dict[str, Any] | None:
        sql = "SELECT fields FROM shown WHERE home_id=? AND kind=? AND id=?"
        row = reader.one(sql, (home_id, self.name, entity_id))
        return None if row is None else _decode(row[0])

    def ids_in(self, reader: Reader, home_id: str) -> Iterable[str]:
        sql = "SELECT id FROM shown WHERE home_id=? AND kind=?"
        return [row[0] for row in reader.all(sql, (home_id, self.name))]

    def put_in(self, tx: Tx, home_id: str, items: Sequence[Item]) -> None:
        for item in items:
            if item.fields is None:
                tx.run("DELETE FROM shown WHERE home_id=? AND kind=? AND id=?", (home_id, self.name, item.id))
            else:
                fields = _encode(dict(sorted(item.fields.items())))
                tx.run("INSERT OR REPLACE INTO shown VALUES(?,?,?,?)", (home_id, self.name, item.id, fields))

    def refers(self, entity_id: str, fields: Fields) -> Iterable[Key]:
        room = fields.get("room_id") if self.name == "device" else None
        return [] if room is None else [("room", room)]


class Crashed(Exception):
    """The machine went down in the middle of an act."""


class Node:
    """`name` is that of this life of it; `hub_id` None: a cloud. Its clock shows what it is told."""

    def __init__(self, name: str, hub_id: str | None = None, image: bytes | None = None) -> None:
        self.name = name
        self.hub_id = hub_id
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        self.db.deserialize(image or template())
        self.db.execute("PRAGMA foreign_keys=ON")
        self.now = START_MS
        # Operations that it was told were refused: (home, node, n).
        self.told: set[tuple[str, str, int]] = set()
        self.restart()

    def restart(self) -> None:
        """What is in memory is lost."""
        self.facts = Facts([Shelf(kind) for kind in ORDER], lambda _tx, _key: BY_SYSTEM)
        self.authority = Authority(lambda _: self.name, self.facts)
        self.replica = Replica(lambda _: self.name, self.facts)
        self.replica.on_refused.append(lambda _tx, home, op, _result: self.told.add((home, op.node, op.n)))

    def act(self, do: Callable[[Tx], T], *, crash: bool = False) -> T:
        """One act; `crash`: the machine goes down before it is on disk, which raises Crashed."""
        self.db.execute("BEGIN")
        try:
            result = do(Tx(self.db, Moment(self.now, True), Batch(self.db)))
            if crash:
                raise Crashed
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")
        self.facts.put.clear()
        return result

    @property
    def reader(self) -> Reader:
        return Reader(self.db)

    def shared(self, home_id: str) -> Shared:
        found = queries.shared(self.reader, home_id)
        assert found is not None
        return found

    def serves(self, home_id: str) -> bool:
        return queries.shared(self.reader, home_id) is not None

    def backup(self) -> bytes:
        return self.db.serialize()

    # what is there

    def log(self, home_id: str) -> dict[Key, Entity]:
        """What this node has of a log, tombstones too."""
        return {(it.kind, it.id): it for it in queries.every_entity(self.reader, home_id)}

    def outbox(self, home_id: str) -> list[Op]:
        rows = self.reader.all("SELECT op FROM sync_outbox WHERE home_id=? ORDER BY place", (home_id,))
        return [msgspec.msgpack.decode(row[0], type=Op) for row in rows]

    def view(self, home_id: str) -> "View":
        """The home as this node sees it."""
        return View(home_id, self.log(home_id), self.outbox(home_id))

    def level(self, home_id: str, most: int | None = None) -> None:
        """Have the tables show what they were behind the log, or some of it."""
        if most is None:
            self.act(lambda tx: behind.show_all_in(tx, self.facts, home_id))
        else:
            self.act(lambda tx: behind.show_some_in(tx, self.facts, home_id, most))

    def shown(self, home_id: str) -> dict[Key, dict[str, Any]]:
        """What its tables show."""
        rows = self.reader.all("SELECT kind, id, fields FROM shown WHERE home_id=?", (home_id,))
        return {(kind, entity_id): _decode(fields) for kind, entity_id, fields in rows}

    def do(self, home_id: str, actor: str, parts: Sequence[Part], not_after: int | None = None) -> Op | None:
        """An act of a person here, which the tables show; at a hub, the operation that waits."""

        def act(tx: Tx) -> Op | None:
            op = None
            if self.shared(home_id).cloud_id is None:
                self.authority.local_in(tx, home_id, actor, parts)
            else:
                op = self.replica.act_in(tx, home_id, actor, parts, not_after)
            keys = [(part.kind, part.id) for part in parts]
            self.facts.show_in(tx, home_id, keys, lambda kind, it: showing.view(tx, home_id, kind, it))
            return op

        return self.act(act)


class View:
    """A home with what waits on it: `app.sync.rules.Facts`, made the simple way."""

    def __init__(self, home_id: str, log: dict[Key, Entity], outbox: Sequence[Op]) -> None:
        self.home_id = home_id
        self.all = log
        for op in outbox:
            for part in op.parts:
                key = (part.kind, part.id)
                at = merge.time_of(msgspec.structs.replace(op, parts=[part]), op.at, [self.all.get(key)])
                entity = merge.apply(self.all.get(key), part, Stamp(at, op.node, op.n, op.actor, 0), op).entity
                if entity is not None:
                    self.all[key] = entity

    def get(self, kind: str, entity_id: str) -> Entity | None:
        return self.all.get((kind, entity_id))

    def live(self, kind: str, entity_id: str) -> Entity | None:
        found = self.all.get((kind, entity_id))
        return None if found is None or found.dead is not None else found

    def each(self, kind: str) -> list[Entity]:
        return [it for (of, _), it in self.all.items() if of == kind and it.dead is None]
