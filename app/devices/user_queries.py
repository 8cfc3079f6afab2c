"""The SQL of the people of devices; rows become structs by position."""

from app.devices.user_model import DeviceUser, Sex
from app.store.tx import Reader, Row, Tx

_COLUMNS = "id,device_id,nick_name,sex,birthday,height,weight,contact,version"
_SELECT = f"SELECT {_COLUMNS} FROM device_users WHERE device_id=?"  # noqa: S608 - our own names
_INSERT = f"INSERT INTO device_users({_COLUMNS}) VALUES(?,?,?,?,?,?,?,?,?)"
_UPDATE = """
UPDATE device_users SET nick_name=?, sex=?, birthday=?, height=?, weight=?, contact=?, version=? WHERE id=?
"""
_SEXES = {1: Sex.MALE, 2: Sex.FEMALE}
_NUMBERS = {sex: number for number, sex in _SEXES.items()}


def insert(tx: Tx, new: DeviceUser) -> None:
    """Store a new one."""
    tx.run(_INSERT, (new.id, new.device_id, *_fields(new), new.version))


def update(tx: Tx, now: DeviceUser) -> None:
    """Store what may change of one."""
    tx.run(_UPDATE, (*_fields(now), now.version, now.id))


def delete(tx: Tx, user_id: str) -> None:
    """Remove one."""
    tx.run("DELETE FROM device_users WHERE id=?", (user_id,))


def delete_of_device(tx: Tx, device_id: str) -> int:
    """Remove all of a device; returns how many there were."""
    return tx.run("DELETE FROM device_users WHERE device_id=?", (device_id,))


def user(reader: Reader, device_id: str, user_id: str) -> DeviceUser | None:
    """One of a device's."""
    row = reader.one(f"{_SELECT} AND id=?", (device_id, user_id))
    return None if row is None else user_of(row)


def users(reader: Reader, device_id: str, after: str | None, limit: int) -> list[DeviceUser]:
    """Those of a device in the order they were added, those after the id `after`."""
    rows = reader.all(f"{_SELECT} AND id>? ORDER BY id LIMIT ?", (device_id, after or "", limit))
    return [user_of(row) for row in rows]


def _fields(it: DeviceUser) -> tuple[object, ...]:
    return it.nick_name, _NUMBERS[it.sex], it.birthday, it.height, it.weight, it.contact


def user_of(row: Row) -> DeviceUser:
    """As the columns of a person stand here."""
    user_id, device_id, nick_name, sex, *rest = row
    return DeviceUser(user_id, device_id, nick_name, _SEXES[sex], *rest)
