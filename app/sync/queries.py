"""The SQL of logs and of nodes that write to them; blobs become structs here."""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec import Struct

from app.store.tx import Reader, Row, Tx, json_of
from app.sync.kinds import ORDER, RANK
from app.sync.model import Beginning, Entity, Result, decode_entity, decode_result, encode

_HOME = (
    "SELECT home_id,cloud_id,epoch,head,floor,next_n,last_at,state,snapshot_place,contact_at,offset_ms,kept"
    " FROM sync_homes"
)


class Shared(Struct, frozen=True):
    """A home's log as this node has it. `cloud_id` None: it is the authority. Times in ms, `last_at` hybrid.

    `kept`: what was numbered beyond it, by less than `JUMP`, was in a life of the log that is lost.
    """

    home_id: str
    cloud_id: str | None
    epoch: str
    head: int
    floor: int
    next_n: int
    last_at: int
    state: str
    snapshot_place: bytes | None = None
    contact_at: int | None = None
    offset_ms: int = 0
    kept: int = 0


class NodeRow(Struct, frozen=True):
    """How far a node was heard; `last_at` hybrid, `heard_at` ms."""

    node: str
    hub_id: str | None
    account_key: str | None
    last_n: int
    last_at: int
    cursor: int
    heard_at: int


# homes


def all_shared(reader: Reader) -> list[Shared]:
    """Every log this node has."""
    return [Shared(*row) for row in reader.all(_HOME)]


def shared(reader: Reader, home_id: str) -> Shared | None:
    """One."""
    row = reader.one(f"{_HOME} WHERE home_id=?", (home_id,))
    return None if row is None else Shared(*row)


def put_shared(tx: Tx, it: Shared) -> None:
    """Store it, new or changed."""
    tx.run("INSERT OR REPLACE INTO sync_homes VALUES(?,?,?,?,?,?,?,?,?,?,?,?)", msgspec.structs.astuple(it))


def note_contact(tx: Tx, home_id: str, at: int) -> None:
    """Its authority has spoken at `at`, ms."""
    tx.run("UPDATE sync_homes SET contact_at=? WHERE home_id=?", (at, home_id))


def drop_shared(tx: Tx, home_id: str) -> None:
    """Forget a log and all that is about it."""
    for table in ("sync_outbox", "sync_entities", "sync_nodes", "sync_results", "sync_dangling", "sync_homes"):
        tx.run(f"DELETE FROM {table} WHERE home_id=?", (home_id,))  # noqa: S608 - our own names
    for table in ("sync_journals", "sync_gaps", "sync_commands", "sync_behind", "sync_mirrors"):
        tx.run(f"DELETE FROM {table} WHERE home_id=?", (home_id,))  # noqa: S608 - our own names
    tx.run("DELETE FROM sync_reports WHERE device_id IN (SELECT id FROM devices WHERE home_id=?)", (home_id,))


# entities


def entity(reader: Reader, home_id: str, kind: str, entity_id: str) -> Entity | None:
    """One entity, a tombstone too."""
    row = reader.one("SELECT body FROM sync_entities WHERE home_id=? AND kind=? AND id=?", (home_id, kind, entity_id))
    return None if row is None else decode_entity(row[0])


def entities(reader: Reader, home_id: str, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Entity]:
    """Those that there are of several, tombstones too, by (kind, id)."""
    rows = among_keys(reader, "SELECT id, body FROM sync_entities", home_id, keys)
    return {(kind, entity_id): decode_entity(body) for kind, entity_id, body in rows}


def entities_run(reader: Reader, home_id: str, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Entity]:
    """`entities` of keys that lie side by side, as those of a page do: one walk a kind, not a look for each."""
    sql = "SELECT id, body FROM sync_entities WHERE home_id=? AND kind=? AND id BETWEEN ? AND ? LIMIT ?"
    found: dict[tuple[str, str], Entity] = {}
    for kind, some in by_kind(keys).items():
        most = 2 * len(some) + 1
        rows = reader.all(sql, (home_id, kind, min(some), max(some), most))
        if len(rows) < most:
            found |= {(kind, entity_id): decode_entity(body) for entity_id, body in rows if entity_id in some}
        else:
            # Whoever sent them, these lie far apart.
            found |= entities(reader, home_id, ((kind, entity_id) for entity_id in some))
    return found


def numbers(reader: Reader, home_id: str, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """`seq` of those that there are of several, by (kind, id)."""
    rows = among_keys(reader, "SELECT id, seq FROM sync_entities", home_id, keys)
    return {(kind, entity_id): seq for kind, entity_id, seq in rows}


def among_keys(reader: Reader, select: str, home_id: str, keys: Iterable[tuple[str, str]]) -> Iterator[Row]:
    """What `select` says of the rows of a home that are about one of `keys`, its kind before it; a question a kind."""
    sql = f"{select} WHERE home_id=? AND kind=? AND id IN (SELECT value FROM json_each(?))"  # noqa: S608 - ours
    return (
        (kind, *row) for kind, some in by_kind(keys).items() for row in reader.all(sql, (home_id, kind, json_of(some)))
    )


def by_kind(keys: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """The ids of each kind."""
    ids: dict[str, set[str]] = {}
    for kind, entity_id in keys:
        ids.setdefault(kind, set()).add(entity_id)
    return ids


def entities_of(reader: Reader, home_id: str, kind: str) -> list[Entity]:
    """Those of a kind that are there."""
    sql = "SELECT body FROM sync_entities WHERE home_id=? AND kind=? AND dead_at IS NULL ORDER BY id"
    return [decode_entity(row[0]) for row in reader.all(sql, (home_id, kind))]


def entities_after(reader: Reader, home_id: str, kind: str, after: str, limit: int) -> list[Entity]:
    """At most `limit` of a kind that are there, in order of id, after one."""
    sql = "SELECT body FROM sync_entities WHERE home_id=? AND kind=? AND id>? AND dead_at IS NULL ORDER BY id LIMIT ?"
    return [decode_entity(row[0]) for row in reader.all(sql, (home_id, kind, after, limit))]


def conflicts_since(reader: Reader, home_id: str, since: int, limit: int) -> list[Entity]:
    """At most `limit` conflict records that have come or changed after a number."""
    sql = "SELECT body FROM sync_entities WHERE home_id=? AND seq>? AND kind='conflict' AND dead_at IS NULL"
    return [decode_entity(row[0]) for row in reader.all(f"{sql} ORDER BY seq LIMIT ?", (home_id, since, limit))]


class _Place(Struct):
    room_id: str | None = None


_decode_placed: Final = msgspec.msgpack.Decoder(Beginning[_Place]).decode


def placed_devices(reader: Reader, home_id: str) -> list[tuple[str, str]]:
    """(device, room) of each that is in one, whether that is there or not."""
    sql = "SELECT body FROM sync_entities WHERE home_id=? AND kind='device' AND dead_at IS NULL ORDER BY id"
    placed = (_decode_placed(row[0]) for row in reader.all(sql, (home_id,)))
    return [(it.id, it.fields.room_id) for it in placed if it.fields.room_id is not None]


def count_kind(reader: Reader, home_id: str, kind: str) -> int:
    """How many of a kind are there."""
    sql = "SELECT count(*) FROM sync_entities WHERE home_id=? AND kind=? AND dead_at IS NULL"
    row = reader.one(sql, (home_id, kind))
    return 0 if row is None else int(row[0])


def count_upto(reader: Reader, home_id: str, seq: int) -> int:
    """How many entities there are whose number is at most that."""
    row = reader.one("SELECT count(*) FROM sync_entities WHERE home_id=? AND seq<=?", (home_id, seq))
    return 0 if row is None else int(row[0])


def forget_results(tx: Tx, before_ms: int, most: int) -> int:
    """Answers that nobody asks for again; returns how many."""
    old = "SELECT home_id, node, n FROM sync_results WHERE at<? LIMIT ?"
    return tx.run(f"DELETE FROM sync_results WHERE (home_id, node, n) IN ({old})", (before_ms, most))  # noqa: S608 - ours


def every_entity(reader: Reader, home_id: str) -> list[Entity]:
    """All of a home, tombstones too."""
    sql = "SELECT body FROM sync_entities WHERE home_id=? ORDER BY kind, id"
    return [decode_entity(row[0]) for row in reader.all(sql, (home_id,))]


def put_entities(tx: Tx, home_id: str, rows: Iterable[Entity]) -> None:
    """Store them, new or changed."""
    put_encoded(tx, home_id, ((it, encode(it)) for it in rows))


def put_encoded(tx: Tx, home_id: str, rows: Iterable[tuple[Entity, bytes]], round_: int = 0) -> None:
    """The same of rows whose encoding is at hand; `round_`: the snapshot that has them."""
    args = [(home_id, it.kind, it.id, it.seq, None if it.dead is None else tx.now, round_, body) for it, body in rows]
    tx.db.executemany(
        "INSERT INTO sync_entities(home_id,kind,id,seq,dead_at,round,body) VALUES(?,?,?,?,?,?,?)"
        " ON CONFLICT(home_id,kind,id) DO UPDATE SET seq=excluded.seq, dead_at=excluded.dead_at,"
        " round=excluded.round, body=excluded.body",
        args,
    )


def bodies_since(reader: Reader, home_id: str, since: int, limit: int) -> list[tuple[int, bytes]]:
    """(seq, encoded entity) after a number, in order."""
    sql = "SELECT seq, body FROM sync_entities WHERE home_id=? AND seq>? ORDER BY seq LIMIT ?"
    return reader.all(sql, (home_id, since, limit))


def every_body_after(reader: Reader, home_id: str, place: tuple[str, str], limit: int) -> list[tuple[str, str, bytes]]:
    """(kind, id, encoded entity) of everything, tombstones too, after a place in the order of kinds, then of ids.

    What is referred to comes first, so that little waits for what it refers to. `limit` -1: no limit.
    """
    sql = "SELECT kind, id, body FROM sync_entities WHERE home_id=? AND kind=? AND id>? ORDER BY id LIMIT ?"
    rows: list[tuple[str, str, bytes]] = []
    for kind in ORDER[RANK.get(place[0], 0) :]:
        after = place[1] if kind == place[0] else ""
        rows += reader.all(sql, (home_id, kind, after, limit if limit < 0 else limit - len(rows)))
        if len(rows) == limit:
            break
    return rows


def count_entities(reader: Reader, home_id: str) -> int:
    """How many there are, tombstones too."""
    row = reader.one("SELECT count(*) FROM sync_entities WHERE home_id=?", (home_id,))
    return 0 if row is None else int(row[0])


def mark_round(tx: Tx, home_id: str, keys: Iterable[tuple[str, str]], round_: int) -> None:
    """The snapshot `round_` has these."""
    sql = "UPDATE sync_entities SET round=? WHERE home_id=? AND kind=? AND id=?"
    tx.db.executemany(sql, [(round_, home_id, kind, entity_id) for kind, entity_id in keys])


def unmarked(reader: Reader, home_id: str, round_: int) -> list[tuple[str, str]]:
    """(kind, id) of what the snapshot does not have."""
    sql = "SELECT kind, id FROM sync_entities WHERE home_id=? AND round!=?"
    return reader.all(sql, (home_id, round_))


def drop_entities(tx: Tx, home_id: str, keys: Iterable[tuple[str, str]]) -> None:
    """Forget them."""
    sql = "DELETE FROM sync_entities WHERE home_id=? AND kind=? AND id=?"
    tx.db.executemany(sql, [(home_id, kind, entity_id) for kind, entity_id in keys])


def old_tombstones(reader: Reader, home_id: str, before_ms: int, upto: int, limit: int) -> list[tuple[str, str, int]]:
    """(kind, id, seq) of tombstones older than a time that everybody has passed; who was put out is never forgotten."""
    old = "home_id=? AND dead_at<? AND seq<=? AND kind!='member'"
    sql = f"SELECT kind, id, seq FROM sync_entities WHERE {old} ORDER BY dead_at LIMIT ?"  # noqa: S608 - ours
    return reader.all(sql, (home_id, before_ms, upto, limit))


# nodes and results


def counted_nodes(reader: Reader, home_id: str) -> dict[str, int]:
    """Up to which number each node was heard."""
    return dict(reader.all("SELECT node, last_n FROM sync_nodes WHERE home_id=?", (home_id,)))


def node(reader: Reader, home_id: str, node_id: str) -> NodeRow | None:
    """How far one was heard."""
    sql = "SELECT node,hub_id,account_key,last_n,last_at,cursor,heard_at FROM sync_nodes WHERE home_id=? AND node=?"
    row = reader.one(sql, (home_id, node_id))
    return None if row is None else NodeRow(*row)


def nodes(reader: Reader, home_id: str) -> list[NodeRow]:
    """How far each was heard."""
    sql = "SELECT node,hub_id,account_key,last_n,last_at,cursor,heard_at FROM sync_nodes WHERE home_id=?"
    return [NodeRow(*row) for row in reader.all(sql, (home_id,))]


def put_node(tx: Tx, home_id: str, it: NodeRow) -> None:
    """Store it."""
    tx.run("INSERT OR REPLACE INTO sync_nodes VALUES(?,?,?,?,?,?,?,?)", (home_id, *msgspec.structs.astuple(it)))


def least_cursor(reader: Reader, home_id: str, heard_since: int) -> int | None:
    """How far every hub has come that was heard of within a time; None: there is none."""
    sql = "SELECT min(cursor) FROM sync_nodes WHERE home_id=? AND hub_id IS NOT NULL AND heard_at>=?"
    row = reader.one(sql, (home_id, heard_since))
    return None if row is None else row[0]


def put_result(tx: Tx, home_id: str, node_id: str, n: int, result: Result) -> None:
    """What an operation was answered that was not simply taken."""
    tx.run("INSERT OR REPLACE INTO sync_results VALUES(?,?,?,?,?)", (home_id, node_id, n, encode(result), tx.now))


def result(reader: Reader, home_id: str, node_id: str, n: int) -> Result | None:
    """The same again; None: it was simply taken."""
    row = reader.one("SELECT result FROM sync_results WHERE home_id=? AND node=? AND n=?", (home_id, node_id, n))
    return None if row is None else decode_result(row[0])
