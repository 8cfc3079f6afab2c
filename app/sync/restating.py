"""What a replica had confirmed in an earlier life of the log, joined to this one (PROTOCOL.md 2c)."""

from collections.abc import Iterable, Iterator
from typing import Any

from app.policy import RANK, Role
from app.store.tx import Tx
from app.sync import merge
from app.sync.applying import apply_in
from app.sync.log import HomeLog
from app.sync.model import NOBODY, Entity, Part
from app.sync.own import OwnWork
from app.sync.shapes import fits_entity


def join_in(tx: Tx, log: HomeLog, own: OwnWork, rows: Iterable[Entity], *, last: bool) -> None:
    """Join a page of rows, members all on one; `last`: there are no more, and what refers to nothing is cleaned."""
    before = _owners(log)
    for row in rows:
        known = log.get(row.kind, row.id)
        if not fits_entity(row) or (known is None and row.seq <= log.shared.floor):
            continue  # what is not known, and is not above the floor, was ended, and its tombstone is forgotten
        # No number that this life gives is one the other has given.
        log.head = max(log.head, row.seq)
        joined = row if known is None else merge.join(known, row)
        if known is None or not merge.same(known, joined):
            _put(tx, log, own, joined)
    _one_owner_in(tx, log, own, before)
    _leave_rooms_in(tx, log, own, last=last)


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
    _do_in(tx, log, own, parts)


def _heir(log: HomeLog, before: list[Entity]) -> str | None:
    there = list(log.each("member"))
    were = {it.id for it in before}

    def fitness(it: Entity) -> tuple[bool, int, int, str]:
        return it.id in were, RANK[Role(it.fields["role"])], -(it.fields.get("joined_at") or 0), it.id

    return max(there, key=fitness).id if there else None


def _leave_rooms_in(tx: Tx, log: HomeLog, own: OwnWork, *, last: bool) -> None:
    """A room that went in one life is left by what was put into it in the other; one may also not be told yet."""
    _do_in(tx, log, own, [Part("device", device, "put", {"room_id": None}) for device in _astray(log, last=last)])


def _astray(log: HomeLog, *, last: bool) -> Iterator[str]:
    for device in log.each("device"):
        room_id: Any = device.fields.get("room_id")
        room = None if room_id is None else log.get("room", room_id)
        if room_id is not None and (last if room is None else room.dead is not None):
            yield device.id


def _do_in(tx: Tx, log: HomeLog, own: OwnWork, parts: list[Part]) -> None:
    if parts:
        op = own.op_in(tx, log, NOBODY, parts)
        apply_in(log, op, merge.time_of(op, op.at, [log.get(part.kind, part.id) for part in parts]))
