"""The SQL of a replica's outbox: operations that wait for the authority, and the entities they are about."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from app.store.tx import Reader, Tx
from app.sync import queries
from app.sync.model import Beginning, Op, decode_op, encode

# Of operations in one push: a quarter of what a message may have (wire.MAX_MESSAGE).
PUSH_OCTETS: Final = 4 << 20
# Places are below zero where something had to go first.
_BEFORE_ALL: Final = -(1 << 62)
_PENDING: Final = "SELECT DISTINCT id FROM sync_pending"


class Waiting(Struct, frozen=True):
    """An operation in the outbox. `answered_seq`: it was taken, and goes when the log has come so far."""

    place: int
    answered_seq: int | None
    op: Op


def add_op(tx: Tx, home_id: str, op: Op) -> int:
    """Have it wait; returns its place."""
    sql = "INSERT INTO sync_outbox(home_id,node,n,op) VALUES(?,?,?,?)"
    place = tx.db.execute(sql, (home_id, op.node, op.n, encode(op))).lastrowid or 0
    touched = {(part.kind, part.id) for part in op.parts}
    tx.db.executemany(
        "INSERT INTO sync_pending(home_id,kind,id,place) VALUES(?,?,?,?)",
        [(home_id, kind, entity_id, place) for kind, entity_id in touched],
    )
    return place


def put_first(tx: Tx, home_id: str, ops: Sequence[Op]) -> None:
    """Have them wait before everything else."""
    row = tx.one("SELECT min(place) FROM sync_outbox")
    place = (1 if row is None or row[0] is None else row[0]) - len(ops)
    args = [(place + number, home_id, op.node, op.n, encode(op)) for number, op in enumerate(ops)]
    tx.db.executemany("INSERT OR IGNORE INTO sync_outbox(place,home_id,node,n,op) VALUES(?,?,?,?,?)", args)


def waiting(reader: Reader, home_id: str, limit: int, after: int | None = None) -> list[Waiting]:
    """What has had no answer, in order, beyond a place; no more at once than one message takes."""
    unanswered = "home_id=? AND place>? AND answered_seq IS NULL"
    beyond = _BEFORE_ALL if after is None else after
    sql = f"SELECT place, answered_seq, op FROM sync_outbox WHERE {unanswered} ORDER BY place LIMIT ?"  # noqa: S608 - ours
    found, room = list[Waiting](), PUSH_OCTETS
    for place, seq, op in reader.all(sql, (home_id, beyond, limit)):
        room -= len(op)
        if room < 0 and found:
            break
        found.append(Waiting(place, seq, decode_op(op)))
    return found


def waiting_count(reader: Reader, home_id: str) -> int:
    """How many operations are in the outbox."""
    row = reader.one("SELECT count(*) FROM sync_outbox WHERE home_id=?", (home_id,))
    return 0 if row is None else int(row[0])


def pending_of(reader: Reader, home_id: str, kind: str, entity_id: str) -> list[Waiting]:
    """What waits that is about one entity, in order."""
    sql = (
        "SELECT o.place, o.answered_seq, o.op FROM sync_pending p JOIN sync_outbox o ON o.place=p.place"
        " WHERE p.home_id=? AND p.kind=? AND p.id=? ORDER BY o.place"
    )
    rows = reader.all(sql, (home_id, kind, entity_id))
    return [Waiting(place, seq, decode_op(op)) for place, seq, op in rows]


def pending_keys(reader: Reader, home_id: str) -> set[tuple[str, str]]:
    """(kind, id) of all that the outbox is about."""
    return set(reader.all("SELECT DISTINCT kind, id FROM sync_pending WHERE home_id=?", (home_id,)))


def pending_among(reader: Reader, home_id: str, keys: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of several about which something waits; without a look for each where nothing does."""
    if reader.one("SELECT 1 FROM sync_pending WHERE home_id=? LIMIT 1", (home_id,)) is None:
        return set()
    return {(kind, entity_id) for kind, entity_id in queries.among_keys(reader, _PENDING, home_id, keys)}


def settle_op(tx: Tx, place: int, seq: int) -> None:
    """It was taken; the base has it from `seq` on."""
    tx.run("UPDATE sync_outbox SET answered_seq=? WHERE place=?", (seq, place))


def empty_op(tx: Tx, it: Waiting, seq: int) -> None:
    """It was refused: nothing of it is left but its number, as if taken."""
    tx.run(
        "UPDATE sync_outbox SET answered_seq=?, op=? WHERE place=?", (seq, encode(replace(it.op, parts=[])), it.place)
    )
    tx.run("DELETE FROM sync_pending WHERE place=?", (it.place,))


def unsettle_ops(tx: Tx, home_id: str) -> None:
    """They have had no answer, as far as this life of the log goes."""
    tx.run("UPDATE sync_outbox SET answered_seq=NULL WHERE home_id=?", (home_id,))


def first_waiting(reader: Reader, home_id: str) -> dict[str, int]:
    """Of each node with operations in the outbox, the number before the first."""
    rows = reader.all("SELECT node, min(n)-1 FROM sync_outbox WHERE home_id=? GROUP BY node", (home_id,))
    return {row[0]: row[1] for row in rows}


def reached(reader: Reader, home_id: str, head: int) -> list[Waiting]:
    """What was taken and is in the base by now, with all its node did before: what stays has no gaps."""
    sql = (
        "WITH held AS (SELECT node, min(n) AS first FROM sync_outbox"
        "  WHERE home_id=? AND (answered_seq IS NULL OR answered_seq>?) GROUP BY node)"
        " SELECT place, answered_seq, op FROM sync_outbox o LEFT JOIN held h ON h.node=o.node"
        " WHERE o.home_id=? AND o.answered_seq<=? AND (h.first IS NULL OR o.n<h.first) ORDER BY place"
    )
    rows = reader.all(sql, (home_id, head, home_id, head))
    return [Waiting(place, seq, decode_op(op)) for place, seq, op in rows]


def drop_ops(tx: Tx, places: Sequence[int]) -> None:
    """They are over."""
    tx.db.executemany("DELETE FROM sync_outbox WHERE place=?", [(place,) for place in places])


def still_waiting(reader: Reader, places: Sequence[int]) -> set[int]:
    """Those that are still in the outbox."""
    if not places:
        return set()
    rows = reader.all("SELECT place FROM sync_outbox WHERE place BETWEEN ? AND ?", (min(places), max(places)))
    return {row[0] for row in rows}


def waits_before(reader: Reader, home_id: str, place: int) -> bool:
    """Whether anything of a home is in the outbox before that."""
    return reader.one("SELECT 1 FROM sync_outbox WHERE home_id=? AND place<? LIMIT 1", (home_id, place)) is not None


# conflicts, with what acts here have made of them


class _Fields(Struct):
    state: Any = "open"


_decode_conflict: Final = msgspec.msgpack.Decoder(Beginning[_Fields]).decode


def count_open_conflicts(reader: Reader, home_id: str) -> int:
    """How many nobody has settled, here or there."""
    rows = reader.all(
        "SELECT body FROM sync_entities WHERE home_id=? AND kind='conflict' AND dead_at IS NULL", (home_id,)
    )
    if not rows:
        return 0
    here = settled_here(reader, home_id)
    return sum(it.fields.state == "open" and it.id not in here for it in (_decode_conflict(body) for (body,) in rows))


def settled_here(reader: Reader, home_id: str) -> dict[str, str]:
    """What conflicts are by acts that wait for the authority."""
    sql = (
        "SELECT o.op FROM sync_pending p JOIN sync_outbox o ON o.place=p.place"
        " WHERE p.home_id=? AND p.kind='conflict' ORDER BY o.place"
    )
    parts = [part for row in reader.all(sql, (home_id,)) for part in decode_op(row[0]).parts]
    return {part.id: part.fields["state"] for part in parts if part.kind == "conflict" and "state" in part.fields}
