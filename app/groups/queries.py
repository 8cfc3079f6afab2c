"""The SQL of groups; rows become structs by position."""

from collections.abc import Iterable, Iterator, Mapping

from app.groups.model import Group
from app.policy import Role
from app.store.tx import Reader, Row, Tx, json_of

_GROUP = "SELECT id,home_id,name,icon,least,version,created_at FROM groups"


def group(reader: Reader, group_id: str) -> Group | None:
    """One group with its devices."""
    row = reader.one(f"{_GROUP} WHERE id=?", (group_id,))
    return None if row is None else _to_group(row, members(reader, group_id))


def home_of(reader: Reader, group_id: str) -> tuple[str, Role] | None:
    """The home of a group, and the least role that controls it."""
    row = reader.one("SELECT home_id, least FROM groups WHERE id=?", (group_id,))
    return None if row is None else (row[0], Role(row[1]))


def all_groups(reader: Reader) -> Iterator[Group]:
    """Every group with its devices."""
    devices: dict[str, list[str]] = {}
    for group_id, device_id in reader.db.execute(
        "SELECT group_id,device_id FROM group_devices ORDER BY position, device_id"
    ):
        devices.setdefault(group_id, []).append(device_id)
    for row in reader.db.execute(_GROUP):
        yield _to_group(row, tuple(devices.get(row[0], ())))


def members(reader: Reader, group_id: str) -> tuple[str, ...]:
    """The devices of a group in their order."""
    rows = reader.all("SELECT device_id FROM group_devices WHERE group_id=? ORDER BY position, device_id", (group_id,))
    return tuple(row[0] for row in rows)


def groups_of(reader: Reader, device_id: str) -> tuple[str, ...]:
    """The groups a device is in."""
    rows = reader.all("SELECT group_id FROM group_devices WHERE device_id=?", (device_id,))
    return tuple(row[0] for row in rows)


def groups_in(reader: Reader, home_id: str) -> tuple[str, ...]:
    """The ids of a home's groups."""
    return tuple(row[0] for row in reader.all("SELECT id FROM groups WHERE home_id=?", (home_id,)))


def those_in(reader: Reader, home_id: str, device_ids: Iterable[str]) -> frozenset[str]:
    """Those of `device_ids` that are devices of the home."""
    sql = "SELECT id FROM devices WHERE home_id=? AND id IN (SELECT value FROM json_each(?))"
    return frozenset(row[0] for row in reader.all(sql, (home_id, json_of(device_ids))))


def put_row(tx: Tx, it: Group) -> None:
    """Store a group, new or changed, but for its devices."""
    tx.run(
        "INSERT INTO groups(id,home_id,name,icon,least,version,created_at) VALUES(?,?,?,?,?,?,?)"
        " ON CONFLICT(id) DO UPDATE SET name=excluded.name, icon=excluded.icon, least=excluded.least,"
        " version=excluded.version, created_at=excluded.created_at",
        (it.id, it.home_id, it.name, it.icon, it.least.value, it.version, it.created_at),
    )


def put(tx: Tx, it: Group) -> None:
    """Store a group, new or changed, with its devices."""
    put_row(tx, it)
    old = positions(tx, it.id)
    new = dict(_in_order(it.devices, old))
    if new != old:
        put_positions(tx, it.id, new)


def positions(reader: Reader, group_id: str) -> dict[str, int]:
    """Where each device of a group stands in its order."""
    return dict(reader.all("SELECT device_id,position FROM group_devices WHERE group_id=?", (group_id,)))


def put_positions(tx: Tx, group_id: str, positions: Mapping[str, int]) -> None:
    """These are the devices of a group."""
    tx.run("DELETE FROM group_devices WHERE group_id=?", (group_id,))
    rows = [(group_id, device_id, position) for device_id, position in positions.items()]
    tx.db.executemany("INSERT INTO group_devices(group_id,device_id,position) VALUES(?,?,?)", rows)


def _in_order(devices: Iterable[str], old: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """The place of each; who can keep theirs do, for each is a field of its own to those who change the group too."""
    last = -1
    for device_id in devices:
        last = max(old.get(device_id, 0), last + 1)
        yield device_id, last


def delete(tx: Tx, group_id: str) -> None:
    """Remove a group; its devices stay."""
    tx.run("DELETE FROM groups WHERE id=?", (group_id,))


def _to_group(row: Row, devices: tuple[str, ...]) -> Group:
    group_id, home_id, name, icon, least, version, created_at = row
    return Group(group_id, home_id, name, icon, Role(least), version, created_at, devices)
