"""The SQL of moves to another Wi-Fi network; rows become structs by position."""

from app.onboarding.rewiring_model import Mover, Progress, State, WifiChange
from app.store.tx import Reader, Row, Tx

_COLUMNS = "c.id,c.home_id,c.account_id,c.ssid,c.state,c.created_at,c.expires_at,c.ended_at"
_CHANGE = f"SELECT {_COLUMNS} FROM wifi_changes c"  # noqa: S608 - our own names


def insert(tx: Tx, change: WifiChange, movers: list[Mover]) -> None:
    """Store a new move with its devices."""
    tx.run(
        "INSERT INTO wifi_changes(id,home_id,account_id,ssid,state,created_at,expires_at) VALUES(?,?,?,?,?,?,?)",
        (
            change.id,
            change.home_id,
            change.account_id,
            change.ssid,
            change.state.value,
            change.created_at,
            change.expires_at,
        ),
    )
    for mover in movers:
        tx.run(
            "INSERT INTO wifi_change_devices(change_id,device_id,state,was,error) VALUES(?,?,?,?,?)",
            (change.id, mover.device_id, mover.state.value, mover.was, mover.error),
        )


def hand_on(tx: Tx, account_id: str, to: str) -> None:
    """What one account began, another began."""
    tx.run("UPDATE wifi_changes SET account_id=? WHERE account_id=?", (to, account_id))


def get(reader: Reader, change_id: str) -> WifiChange | None:
    """One move, open or ended."""
    return _change(reader.one(f"{_CHANGE} WHERE c.id=?", (change_id,)))


def of_home(reader: Reader, home_id: str) -> list[WifiChange]:
    """A home's moves, newest first: as many as are kept."""
    rows = reader.all(f"{_CHANGE} WHERE c.home_id=? ORDER BY c.created_at DESC, c.id DESC", (home_id,))
    return [found for row in rows if (found := _change(row))]


def open_of_home(reader: Reader, home_id: str) -> WifiChange | None:
    """The move a home is in."""
    return _change(reader.one(f"{_CHANGE} WHERE c.home_id=? AND c.ended_at IS NULL", (home_id,)))


def open_changes(reader: Reader) -> list[WifiChange]:
    """Every move that has not ended."""
    return [found for row in reader.all(f"{_CHANGE} WHERE c.ended_at IS NULL") if (found := _change(row))]


def open_of_device(reader: Reader, device_id: str) -> tuple[WifiChange, Mover] | None:
    """The move a device is in, and its part of it."""
    sql = (
        f"SELECT {_COLUMNS},d.device_id,d.state,d.was,d.error FROM wifi_change_devices d"  # noqa: S608 - our own names
        " JOIN wifi_changes c ON c.id=d.change_id WHERE d.device_id=? AND c.ended_at IS NULL"
    )
    row = reader.one(sql, (device_id,))
    if row is None or (change := _change(row[:8])) is None:
        return None
    return change, _mover(row[8:])


def movers(reader: Reader, change_id: str) -> list[Mover]:
    """The devices of a move, in order of id."""
    sql = "SELECT device_id,state,was,error FROM wifi_change_devices WHERE change_id=? ORDER BY device_id"
    return [_mover(row) for row in reader.all(sql, (change_id,))]


def put_mover(tx: Tx, change_id: str, mover: Mover) -> None:
    """Store what has become of a device."""
    tx.run(
        "UPDATE wifi_change_devices SET state=?, was=?, error=? WHERE change_id=? AND device_id=?",
        (mover.state.value, mover.was, mover.error, change_id, mover.device_id),
    )


def delete_mover(tx: Tx, change_id: str, device_id: str) -> None:
    """A device is no part of a move any more."""
    tx.run("DELETE FROM wifi_change_devices WHERE change_id=? AND device_id=?", (change_id, device_id))


def end(tx: Tx, change_id: str, state: State) -> None:
    """Store that a move has ended."""
    tx.run("UPDATE wifi_changes SET state=?, ended_at=? WHERE id=?", (state.value, tx.now, change_id))


def make_room(tx: Tx, home_id: str, most: int) -> None:
    """Forget a home's oldest moves until there are fewer than `most`."""
    tx.run(
        "DELETE FROM wifi_changes WHERE id IN (SELECT id FROM wifi_changes WHERE home_id=? AND ended_at IS NOT NULL"
        " ORDER BY created_at DESC LIMIT -1 OFFSET ?)",
        (home_id, most - 1),
    )


def _change(row: Row | None) -> WifiChange | None:
    if row is None:
        return None
    change_id, home_id, account_id, ssid, state, created_at, expires_at, ended_at = row
    return WifiChange(change_id, home_id, account_id, ssid, State(state), created_at, expires_at, ended_at)


def _mover(row: Row) -> Mover:
    device_id, state, was, error = row
    return Mover(device_id, Progress(state), was, error)
