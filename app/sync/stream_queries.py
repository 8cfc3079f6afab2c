"""The SQL of what is told beside facts: reports, journals, and commands on their way (PROTOCOL.md 1, 9)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from app.store.tx import Reader, Row, Tx

# Of this node's own: told, and never taken from elsewhere.
_HELD = "(d.holder IS NULL OR d.holder=(SELECT hub_id FROM hub))"

# Homes this node has a copy of, level with their cloud as far as it has something to say: facts go first.
_LEVEL = """
SELECT h.home_id, h.epoch, j.epoch, j.seq FROM sync_homes h
  LEFT JOIN sync_journals j ON j.home_id=h.home_id AND j.node=''
  WHERE h.cloud_id IS NOT NULL AND h.state='synced'
    AND NOT EXISTS (SELECT 1 FROM sync_outbox o WHERE o.home_id=h.home_id AND o.answered_seq IS NULL)
"""
_MARK = "INSERT INTO sync_reports(device_id,service,n) VALUES(?,?,1) ON CONFLICT DO UPDATE SET n=n+1"
_MARK_ALL = f"""
INSERT INTO sync_reports(device_id,service,n)
  SELECT v.device_id, v.service, 1 FROM shadow_versions v JOIN devices d ON d.id=v.device_id
  WHERE d.home_id=? AND {_HELD}
  ON CONFLICT DO UPDATE SET n=n+1
"""  # noqa: S608 - our own names
_MARKED = f"""
SELECT r.device_id, r.service, r.n, {_HELD} FROM sync_reports r JOIN devices d ON d.id=r.device_id
  WHERE d.home_id=? ORDER BY r.device_id, r.service LIMIT ?
"""  # noqa: S608 - our own names
_ENTRIES = f"""
SELECT j.seq, j.device_id, j.at, j.type, j.code, j.value, j.source FROM journal j
  JOIN devices d ON d.id=j.device_id AND d.home_id=j.home_id
  WHERE j.seq>? AND j.seq<=? AND j.home_id=? AND {_HELD} ORDER BY j.seq
"""  # noqa: S608 - our own names
_LOSING = f"""
SELECT d.id, d.home_id FROM devices d JOIN sync_journals j ON j.home_id=d.home_id AND j.node=''
  WHERE d.id IN (SELECT value FROM json_each(?)) AND {_HELD}
"""  # noqa: S608 - our own names
_LOSE = """
INSERT INTO sync_gaps(home_id,device_id,last,lost,at) VALUES(?,?,?,?,?)
  ON CONFLICT DO UPDATE SET last=max(last,excluded.last), lost=lost+excluded.lost, at=excluded.at
"""
_PUT_JOURNAL = """
INSERT INTO sync_journals(home_id,node,seq,lost) VALUES(?,?,?,?)
  ON CONFLICT DO UPDATE SET seq=max(seq,excluded.seq), lost=lost+excluded.lost
"""
_ERRAND: Final = "SELECT command_id,home_id,giver,holder FROM sync_commands"
_PUT_ERRAND = """
INSERT INTO sync_commands(command_id,home_id,giver,holder,at) VALUES(?,?,?,?,?)
  ON CONFLICT DO UPDATE SET giver=coalesce(giver,excluded.giver), holder=coalesce(excluded.holder,holder)
"""


class Level(Struct, frozen=True):
    """A home whose facts are level. `begun`: the epoch in which its cloud was told everything; `seq` of its journal."""

    home_id: str
    epoch: str
    begun: str | None
    seq: int | None


class Mark(Struct, frozen=True):
    """A service that has changed; `n` as of when it was read. Not `held`: it is no business of this hub any more."""

    device_id: str
    service: str
    n: int
    held: bool


class Gap(Struct, frozen=True):
    """Entries of a device that made room, the newest of them at the place `last`."""

    device_id: str
    last: int
    lost: int
    at: int


class Errand(Struct, frozen=True):
    """A command on its way: `giver` is the node it came from (None: this one), `holder` the one it went to."""

    command_id: str
    home_id: str
    giver: str | None
    holder: str | None


def level_homes(reader: Reader) -> list[Level]:
    """Those of which something may be told now."""
    return [Level(*row) for row in reader.all(_LEVEL)]


def is_level(reader: Reader, home_id: str) -> bool:
    """Whether its facts are, in the view of the disk from which something of it is to be told."""
    return reader.one(f"{_LEVEL} AND h.home_id=?", (home_id,)) is not None


def begin(tx: Tx, home_id: str, epoch: str) -> None:
    """Everything of a home is to be told from the beginning, to this life of its cloud's log."""
    tx.run(_MARK_ALL, (home_id,))
    tx.run("INSERT OR REPLACE INTO sync_journals(home_id,node,seq,epoch) VALUES(?,'',0,?)", (home_id, epoch))


# reports


def mark(tx: Tx, device_id: str, service: str) -> None:
    """The cloud is to hear of a service; written with those of other acts."""
    tx.put(_MARK, (device_id, service))


def mark_device(tx: Tx, device_id: str) -> None:
    """And of all that is known of a device."""
    tx.settle()
    for (service,) in tx.all("SELECT service FROM shadow_versions WHERE device_id=?", (device_id,)):
        mark(tx, device_id, service)


def marked(reader: Reader, home_id: str, limit: int) -> list[Mark]:
    """What is to be told, in order."""
    return [Mark(row[0], row[1], row[2], bool(row[3])) for row in reader.all(_MARKED, (home_id, limit))]


def unmark(tx: Tx, marks: Iterable[Mark]) -> None:
    """It was told, unless it has changed since."""
    tx.settle()
    sql = "DELETE FROM sync_reports WHERE device_id=? AND service=? AND n=?"
    tx.db.executemany(sql, [(it.device_id, it.service, it.n) for it in marks])


# journals


def last_place(reader: Reader) -> int:
    """The newest place in this node's journal."""
    row = reader.one("SELECT coalesce(max(seq), 0) FROM journal")
    return 0 if row is None else int(row[0])


def entries(reader: Reader, home_id: str, after: int, upto: int) -> Iterator[Row]:
    """(seq, device, at, type, code, value, source) of what this node holds of a home."""
    return iter(reader.db.execute(_ENTRIES, (after, upto, home_id)))


def gaps(reader: Reader, home_id: str, upto: int) -> list[Gap]:
    """What made room untold, up to a place."""
    sql = "SELECT device_id,last,lost,at FROM sync_gaps WHERE home_id=? AND last<=? ORDER BY last"
    return [Gap(*row) for row in reader.all(sql, (home_id, upto))]


def lose(tx: Tx, of_device: Mapping[str, tuple[int, int]]) -> None:
    """Entries made room that are not told: by device, how many and the place of the newest."""
    for device_id, home_id in tx.all(_LOSING, (msgspec.json.encode(list(of_device)).decode(),)):
        lost, last = of_device[device_id]
        tx.run(_LOSE, (home_id, device_id, last, lost, tx.now))


def least_told(reader: Reader) -> dict[str, int]:
    """How far the journal of each home was told."""
    return dict(reader.all("SELECT home_id, seq FROM sync_journals WHERE node=''"))


def homes_of(reader: Reader, device_ids: Iterable[str]) -> dict[str, str]:
    """The home of each of them that is there."""
    sql = "SELECT id, home_id FROM devices WHERE id IN (SELECT value FROM json_each(?))"
    return dict(reader.all(sql, (msgspec.json.encode(list(device_ids)).decode(),)))


def told(tx: Tx, home_id: str, upto: int, gaps: Iterable[Gap]) -> None:
    """A part of the journal was told: entries up to a place, and those gaps."""
    tx.run("UPDATE sync_journals SET seq=max(seq,?) WHERE home_id=? AND node=''", (upto, home_id))
    for gap in gaps:
        sql = "UPDATE sync_gaps SET lost=lost-? WHERE home_id=? AND device_id=?"
        tx.run(sql, (gap.lost, home_id, gap.device_id))
    tx.run("DELETE FROM sync_gaps WHERE home_id=? AND (last<=? OR lost<=0)", (home_id, upto))


def heard_upto(reader: Reader, home_id: str, node: str) -> int:
    """How far the journal of a node was heard."""
    row = reader.one("SELECT seq FROM sync_journals WHERE home_id=? AND node=?", (home_id, node))
    return 0 if row is None else int(row[0])


def put_heard_upto(tx: Tx, home_id: str, node: str, seq: int, lost: int) -> None:
    """It was heard so far, and `lost` more entries will never be."""
    tx.run(_PUT_JOURNAL, (home_id, node, seq, lost))


# commands


def open_errands(reader: Reader) -> list[Errand]:
    """Those that have not ended."""
    return [Errand(*row) for row in reader.all(f"{_ERRAND} WHERE outcome IS NULL")]


def errand(reader: Reader, command_id: str) -> Errand | None:
    """One that has not ended."""
    row = reader.one(f"{_ERRAND} WHERE command_id=? AND outcome IS NULL", (command_id,))
    return None if row is None else Errand(*row)


def put_errands(tx: Tx, errands: Iterable[Errand]) -> None:
    """Store them; one that went to another holder before is the new one's."""
    rows: list[Sequence[Any]] = [(it.command_id, it.home_id, it.giver, it.holder, tx.now) for it in errands]
    tx.db.executemany(_PUT_ERRAND, rows)


def end_errand(tx: Tx, command_id: str, outcome: bytes) -> None:
    """It has ended; its giver is to hear of it."""
    tx.run("UPDATE sync_commands SET outcome=? WHERE command_id=?", (outcome, command_id))


def outcomes(reader: Reader, giver: str, limit: int) -> list[bytes]:
    """What the giver has not acknowledged."""
    sql = "SELECT outcome FROM sync_commands WHERE giver=? AND outcome IS NOT NULL LIMIT ?"
    return [row[0] for row in reader.all(sql, (giver, limit))]


def drop_errands(tx: Tx, command_ids: Iterable[str]) -> None:
    """They are over, here and there."""
    tx.db.executemany("DELETE FROM sync_commands WHERE command_id=?", [(each,) for each in command_ids])


def drop_old_errands(tx: Tx, before: int, limit: int) -> int:
    """Forget what was given before a time (ms) and nobody asked about; returns how many."""
    sql = "DELETE FROM sync_commands WHERE command_id IN (SELECT command_id FROM sync_commands WHERE at<? LIMIT ?)"
    return tx.run(sql, (before, limit))
