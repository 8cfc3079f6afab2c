"""The SQL of commands; rows become structs by position."""

from collections.abc import Iterable, Iterator

import msgspec

from app.control.model import (
    Command,
    GroupAct,
    Kind,
    Outcome,
    decode_asked,
    decode_body,
    decode_outcome,
    decode_unable,
    encode_body,
)
from app.control.states import State
from app.store.tx import Reader, Row, Tx, json_of

_COLUMNS = "n,id,device_id,home_id,kind,body,state,result,account_id,group_id,created_at,expires_at,ended_at"
_SELECT = f"SELECT {_COLUMNS} FROM commands"  # noqa: S608 - our own names
_SEVERAL = f"{_SELECT} WHERE id IN (SELECT value FROM json_each(?)) ORDER BY n"  # noqa: S608 - our own names
_INSERT = (
    "INSERT INTO commands(n,id,device_id,home_id,kind,body,state,account_id,group_id,created_at,expires_at)"
    " VALUES(?,?,?,?,?,?,?,?,?,?,?)"
)
_SENT = "UPDATE commands SET state='sent', sent_at=? WHERE n BETWEEN ? AND ? AND state='queued'"
_SET_STATE = "UPDATE commands SET state=?, result=?, ended_at=? WHERE id=?"


def insert(tx: Tx, new: Command) -> None:
    """Store a new command, whose `n` is `next_place`; written with those of other acts."""
    row = (new.id, new.device_id, new.home_id, str(new.kind), encode_body(new.body).decode(), str(new.state))
    tx.put(_INSERT, (new.n, *row, new.account_id, new.group_id, new.created_at, new.expires_at))


def next_place(tx: Tx) -> int:
    """The place of a new command in the order of delivery."""
    return tx.batch.number("commands")


def command(reader: Reader, command_id: str) -> Command | None:
    """One command, open or ended."""
    reader.settle()
    row = reader.one(f"{_SELECT} WHERE id=?", (command_id,))
    return None if row is None else _command(row)


def commands(reader: Reader, command_ids: list[str]) -> list[Command]:
    """Those of them that there are, in order of delivery."""
    reader.settle()
    return [_command(row) for row in reader.all(_SEVERAL, (json_of(command_ids),))]


def open_commands(reader: Reader) -> Iterable[Command]:
    """Every command that has not ended, in order of delivery."""
    return (_command(row) for row in reader.all(f"{_SELECT} WHERE ended_at IS NULL ORDER BY n"))


def open_of_device(reader: Reader, device_id: str) -> list[Command]:
    """A device's commands that have not ended, in order of delivery."""
    reader.settle()
    rows = reader.all(f"{_SELECT} WHERE device_id=? AND ended_at IS NULL ORDER BY n", (device_id,))
    return [_command(row) for row in rows]


def of_device(
    reader: Reader, device_id: str, before: int | None, limit: int, account_id: str | None = None
) -> list[Command]:
    """A device's commands (those of one account), newest first, those before the place `before`."""
    place = 1 << 62 if before is None else before
    found = [
        row
        for ended in ("IS NULL", "IS NOT NULL")
        for row in reader.all(
            f"{_SELECT} WHERE device_id=? AND n<? AND ended_at {ended} AND (? IS NULL OR account_id=?)"
            " ORDER BY n DESC LIMIT ?",
            (device_id, place, account_id, account_id, limit),
        )
    ]
    return [_command(row) for row in sorted(found, reverse=True)[:limit]]


def delete_of_device(tx: Tx, device_id: str) -> None:
    """Forget what a device that has left was told, once all of it has ended."""
    tx.settle()
    tx.run("DELETE FROM commands WHERE device_id=? AND ended_at IS NOT NULL", (device_id,))


def set_sent(tx: Tx, places: Iterable[int]) -> None:
    """Those in these places were handed to their links; what has gone further stays there."""
    for first, last in _runs(sorted(places)):
        tx.put(_SENT, (tx.now, first, last))


def _runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """Unbroken runs of ascending numbers, as (first, last): commands of one batch are often sent in one turn."""
    first = last = None
    for number in numbers:
        if first is None or last is None:
            first = number
        elif number != last + 1:
            yield first, last
            first = number
        last = number
    if first is not None and last is not None:
        yield first, last


def set_state(tx: Tx, command_id: str, state: State, outcome: Outcome | None) -> None:
    """What has become of it; written with those of other acts."""
    result = None if outcome is None else encode_body(outcome).decode()
    tx.put(_SET_STATE, (state.value, result, tx.now if state.ended else None, command_id))


def insert_act(tx: Tx, act: GroupAct) -> None:
    """Store what was asked of a group."""
    asked, unable = (msgspec.json.encode(each).decode() for each in (act.asked, act.unable))
    tx.run(
        "INSERT INTO group_acts(id,group_id,at,account_id,asked,unable) VALUES(?,?,?,?,?,?)",
        (act.id, act.group_id, act.created_at, act.account_id, asked, unable),
    )


def act(reader: Reader, group_id: str, act_id: str) -> GroupAct | None:
    """What was asked of that group under that id."""
    row = reader.one(
        "SELECT id,group_id,at,account_id,asked,unable FROM group_acts WHERE id=? AND group_id=?", (act_id, group_id)
    )
    if row is None:
        return None
    kept_id, kept_group, at, account_id, asked, unable = row
    return GroupAct(kept_id, kept_group, at, account_id, decode_asked(asked), decode_unable(unable))


def _command(row: Row) -> Command:
    n, command_id, device_id, home_id, kind, body, state, result, account_id, group_id, created, expires, ended = row
    return Command(
        n,
        command_id,
        device_id,
        home_id,
        Kind(kind),
        decode_body(body),
        State(state),
        None if result is None else decode_outcome(result),
        account_id,
        group_id,
        created,
        expires,
        ended,
    )
