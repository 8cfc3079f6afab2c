"""What a replica had confirmed in an earlier life of the log, joined to this one (PROTOCOL.md 2c)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from app.policy import RANK, Role
from app.store.tx import Tx
from app.sync import merge
from app.sync.log import HomeLog
from app.sync.model import JUMP, NOBODY, Entity, Loss, Part, Stamp
from app.sync.own import OwnWork
from app.sync.queries import Shared
from app.sync.shapes import fits_entity


def join_in(tx: Tx, log: HomeLog, own: OwnWork, rows: Iterable[Entity], *, last: bool) -> None:
    """Join a page of rows, members all on one; `last`: there are no more, and what refers to nothing is cleaned."""
    before, rows, losses = _owners(log), list(rows), list[Loss]()
    log.preload_page((row.kind, row.id) for row in rows)
    log.preload_bindings(_hardware_of(rows))
    for row in rows:
        known = log.get(row.kind, row.id)
        if not fits_entity(row):
            continue
        if known is None and _may_have_ended(row, log.shared):
            losses += _left_out(row, log.shared.kept)
            continue
        # No number that this life gives is one the other has given.
        log.head = max(log.head, row.seq)
        joined = row if known is None else merge.join(known, row)
        if known is not None and known.inc == row.inc and row.kind != "conflict":
            losses += _lost_between(known, row, log.shared.kept)
        if known is None or not merge.same(known, joined):
            _put(tx, log, own, joined)
    _one_owner_in(tx, log, own, before)
    losses += _leave_rooms_in(tx, log, own, rows, last=last)
    if losses:
        told = {_recorded(it.fields) for it in log.each("conflict")}
        own.keep_in(tx, log, [it for it in losses if (*_place(it), it.lost_by.node, it.lost_by.n) not in told])


def _may_have_ended(row: Entity, shared: Shared) -> bool:
    """What is not known here, and not above the floor, was ended, and its tombstone is forgotten.

    Or it was of a lost life alone. Of these members stay, whose tombstones are never forgotten, and conflicts, which
    take nothing away.
    """
    stays = row.kind in ("member", "conflict") and _is_lost(row.seq, shared.kept)
    return row.seq <= shared.floor and not stays


def _left_out(row: Entity, kept: int) -> Iterator[Loss]:
    """What a lost life wrote of it."""
    for name, value in row.fields.items():
        if value is not None and _is_lost(row.stamp_of(name).seq, kept):
            yield Loss(row.kind, row.id, name, "deleted", value, row.stamp_of(name), None, None)


def _is_lost(seq: int, kept: int) -> bool:
    return 0 < kept < seq < kept + JUMP


def _lost_between(known: Entity, row: Entity, kept: int) -> Iterator[Loss]:
    """What this life wrote and a lost one did (or two lost ones), each without the other: one of both loses."""

    for name, value in known.fields.items():
        ours, theirs = known.stamp_of(name), row.dead or row.stamp_of(name)
        is_same = row.dead is None and (name not in row.fields or row.fields[name] == value)
        if is_same or not _are_apart(ours, theirs, kept):
            continue
        if row.dead is not None:
            yield Loss(row.kind, row.id, name, "deleted", value, ours, None, theirs)
            continue
        sides = (row.fields[name], theirs), (value, ours)
        lost, wins = sides if ours.later_than(theirs) else sides[::-1]
        yield Loss(row.kind, row.id, name, "newer", *lost, *wins)
    if known.dead is not None and row.dead is None:
        for name, value in row.fields.items():
            if value is not None and _are_apart(known.dead, row.stamp_of(name), kept):
                yield Loss(row.kind, row.id, name, "deleted", value, row.stamp_of(name), None, known.dead)


def _are_apart(ours: Stamp, theirs: Stamp, kept: int) -> bool:
    early, late = sorted((ours.seq, theirs.seq))
    return _is_lost(early, kept) and kept + JUMP < late


def _place(it: Loss) -> tuple[str, str, str]:
    return it.kind, it.id, it.field


def _recorded(fields: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(fields.get(name) for name in ("kind", "id", "field", "lost_node", "lost_n"))


def _hardware_of(rows: Iterable[Entity]) -> Iterator[str]:
    found = (row.fields.get("hardware_id") for row in rows if row.kind == "device")
    return (it for it in found if isinstance(it, str))


def _put(tx: Tx, log: HomeLog, own: OwnWork, joined: Entity) -> None:
    log.put(merge.numbered(joined, log.next_seq()))
    if joined.kind == "device" and joined.dead is None:
        own.bind_in(tx, log, Part("device", joined.id, "put", joined.fields))


def _owners(log: HomeLog) -> list[Entity]:
    return [it for it in log.each("member") if it.fields.get("role") == Role.OWNER]


def _one_owner_in(tx: Tx, log: HomeLog, own: OwnWork, before: list[Entity]) -> None:
    """A home that was handed over in both lives is the later heir's; one whose heir was put out, its former owner's."""
    owners = sorted(_owners(log), key=lambda it: it.stamp_of("role").order())
    parts = [Part("member", it.id, "put", {"role": Role.ADMIN.value}) for it in owners[:-1]]
    if not owners and (heir := _heir(log, before)) is not None:
        parts = [Part("member", heir, "put", {"role": Role.OWNER.value})]
    elif not owners and before:
        # Put out in the other life, and nobody else is left: a home is not left to nobody.
        parts = [Part("member", before[0].id, "new", {**before[0].fields, "role": Role.OWNER.value})]
    _do_in(tx, log, own, parts)


def _heir(log: HomeLog, before: list[Entity]) -> str | None:
    there = list(log.each("member"))
    were = {it.id for it in before}

    def fitness(it: Entity) -> tuple[bool, int, int, str]:
        return it.id in were, RANK[Role(it.fields["role"])], -(it.fields.get("joined_at") or 0), it.id

    return max(there, key=fitness).id if there else None


def _leave_rooms_in(tx: Tx, log: HomeLog, own: OwnWork, rows: Sequence[Entity], *, last: bool) -> list[Loss]:
    """A room that went in one life is left by what was put into it in the other; one may also not be told yet."""
    astray = list(_astray(log, rows, last=last))
    losses = [it for device, room in astray if (it := _misplaced(device, room, log.shared.kept)) is not None]
    _do_in(tx, log, own, [Part("device", device.id, "put", {"room_id": None}) for device, _ in astray])
    return losses


def _astray(log: HomeLog, rows: Sequence[Entity], *, last: bool) -> Iterator[tuple[Entity, Entity | None]]:
    if last or any(row.kind == "room" and row.dead is not None for row in rows):
        ids = [device_id for device_id, room_id in log.placed() if log.live("room", room_id) is None]
    else:
        ids = [row.id for row in rows if row.kind == "device"]
    for device in (it for device_id in ids if (it := log.live("device", device_id)) is not None):
        room_id: Any = device.fields.get("room_id")
        room = None if room_id is None else log.get("room", room_id)
        if room_id is not None and (last if room is None else room.dead is not None):
            yield device, room


def _misplaced(device: Entity, room: Entity | None, kept: int) -> Loss | None:
    """What is lost of who put it there without having seen the room's end, which is forgotten where `room` is None."""
    by, end = device.stamp_of("room_id"), None if room is None else room.dead
    if not (_is_lost(by.seq, kept) if end is None else _are_apart(by, end, kept)):
        return None
    return Loss("device", device.id, "room_id", "badref", device.fields["room_id"], by, None, end)


def _do_in(tx: Tx, log: HomeLog, own: OwnWork, parts: list[Part]) -> None:
    if parts:
        own.do_in(tx, log, NOBODY, parts)
