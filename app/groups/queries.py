"""The SQL of groups; rows become structs by position."""

from collections.abc import Iterator

from app.groups.model import Group
from app.policy import Role
from app.store.tx import Reader, Row, Tx

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
    for group_id, device_id in reader.db.execute("SELECT group_id,device_id FROM group_devices ORDER BY position"):
        devices.setdefault(group_id, []).append(device_id)
    for row in reader.db.execute(_GROUP):
        yield _to_group(row, tuple(devices.get(row[0], ())))


def members(reader: Reader, group_id: str) -> tuple[str, ...]:
    """The devices of a group in their order."""
    rows = reader.all("SELECT device_id FROM group_devices WHERE group_id=? ORDER BY position", (group_id,))
    return tuple(row[0] for row in rows)


def groups_of(reader: Reader, device_id: str) -> tuple[str, ...]:
    """The groups a device is in."""
    rows = reader.all("SELECT group_id FROM group_devices WHERE device_id=?", (device_id,))
    return tuple(row[0] for row in rows)


def groups_in(reader: Reader, home_id: str) -> tuple[str, ...]:
    """The ids of a home's groups."""
    return tuple(row[0] for row in reader.all("SELECT id FROM groups WHERE home_id=?", (home_id,)))


def devices_in(reader: Reader, home_id: str, device_ids: tuple[str, ...]) -> int:
    """How many of these the home has."""
    marks = ",".join("?" * len(device_ids))
    row = reader.one(f"SELECT count(*) FROM devices WHERE home_id=? AND id IN ({marks})", (home_id, *device_ids))  # noqa: S608 - marks only
    return 0 if row is None else int(row[0])


def put(tx: Tx, it: Group) -> None:
    """Store a group, new or changed, with its devices."""
    tx.run(
        "INSERT INTO groups(id,home_id,name,icon,least,version,created_at) VALUES(?,?,?,?,?,?,?)"
        " ON CONFLICT(id) DO UPDATE SET name=excluded.name, icon=excluded.icon, least=excluded.least,"
        " version=excluded.version",
        (it.id, it.home_id, it.name, it.icon, it.least.value, it.version, it.created_at),
    )
    tx.run("DELETE FROM group_devices WHERE group_id=?", (it.id,))
    rows = [(it.id, device_id, n) for n, device_id in enumerate(it.devices)]
    tx.db.executemany("INSERT INTO group_devices(group_id,device_id,position) VALUES(?,?,?)", rows)


def delete(tx: Tx, group_id: str) -> None:
    """Remove a group; its devices stay."""
    tx.run("DELETE FROM groups WHERE id=?", (group_id,))


def _to_group(row: Row, devices: tuple[str, ...]) -> Group:
    group_id, home_id, name, icon, least, version, created_at = row
    return Group(group_id, home_id, name, icon, Role(least), version, created_at, devices)
