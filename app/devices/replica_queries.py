"""The SQL of devices as facts: many at once, by ids as one JSON array."""

from collections.abc import Collection, Iterable

from msgspec import Struct

from app.devices.model import Device
from app.devices.queries import COLUMNS
from app.devices.user_model import DeviceUser
from app.devices.user_queries import user_of
from app.store.tx import Reader, Tx, json_of

_OURS = ",".join(f"d.{name}" for name in COLUMNS)
_FACT = f"""
SELECT {_OURS}, b.public_key, (SELECT hub_id FROM hub) FROM devices d
  LEFT JOIN bindings b ON b.hardware_id=d.hardware_id WHERE d.id=? AND d.home_id=?
"""  # noqa: S608 - our own names
_BY_ID = f"SELECT {_OURS} FROM devices d WHERE d.id IN (SELECT value FROM json_each(?))"  # noqa: S608 - our own names
_MEANT = f"{_BY_ID} OR d.hardware_id IN (SELECT value FROM json_each(?))"  # noqa: S608 - our own names
_BIND = """
INSERT INTO bindings(hardware_id,owner_epoch,public_key,unbound_at) VALUES(?,?,?,?)
  ON CONFLICT DO UPDATE SET
    reset_at=CASE WHEN excluded.owner_epoch>owner_epoch THEN NULL ELSE reset_at END,
    owner_epoch=excluded.owner_epoch, public_key=excluded.public_key, unbound_at=excluded.unbound_at
"""
_PUT_NAME = """
INSERT INTO device_names(device_id,service,property,name) VALUES(?,?,?,?)
  ON CONFLICT DO UPDATE SET name=excluded.name
"""
_USERS = """
SELECT u.id,u.device_id,u.nick_name,u.sex,u.birthday,u.height,u.weight,u.contact,u.version FROM device_users u
"""
_USERS_BY_ID = f"{_USERS} WHERE u.id IN (SELECT value FROM json_each(?))"  # noqa: S608 - our own names


class Binding(Struct, frozen=True, gc=False):
    """The binding of a piece of hardware, whoever holds it."""

    owner_epoch: int
    public_key: bytes | None
    unbound_at: int | None


# devices


def fact(reader: Reader, home_id: str, device_id: str) -> tuple[Device, bytes | None, str | None] | None:
    """A device of a home, its public key, and which hub this is."""
    row = reader.one(_FACT, (device_id, home_id))
    return None if row is None else (Device(*row[:-2]), row[-2], row[-1])


def ids_in(reader: Reader, home_id: str) -> list[str]:
    """The devices of a home."""
    return [row[0] for row in reader.all("SELECT id FROM devices WHERE home_id=? ORDER BY id", (home_id,))]


def devices(reader: Reader, ids: Iterable[str]) -> dict[str, Device]:
    """Those of `ids` that are here, in whichever home."""
    return {row[0]: Device(*row) for row in reader.all(_BY_ID, (json_of(ids),))}


def meant(reader: Reader, ids: Iterable[str], hardware_ids: Iterable[str]) -> list[Device]:
    """The devices with one of these ids, or of one of these pieces of hardware; gateways come last."""
    found = [Device(*row) for row in reader.all(_MEANT, (json_of(ids), json_of(hardware_ids)))]
    return sorted(found, key=lambda device: device.gateway_id is None)


def rooms(reader: Reader, home_id: str) -> frozenset[str]:
    """The rooms of a home."""
    return frozenset(row[0] for row in reader.all("SELECT id FROM rooms WHERE home_id=?", (home_id,)))


def bindings(reader: Reader, hardware_ids: Iterable[str]) -> dict[str, Binding]:
    """Those of some hardware."""
    sql = (
        "SELECT hardware_id,owner_epoch,public_key,unbound_at FROM bindings"
        " WHERE hardware_id IN (SELECT value FROM json_each(?))"
    )
    return {row[0]: Binding(*row[1:]) for row in reader.all(sql, (json_of(hardware_ids),))}


def put_bindings(tx: Tx, bindings: Iterable[tuple[str, Binding]]) -> None:
    """In force from now on; what hardware said of a reset under an earlier epoch is over."""
    rows = ((hardware_id, it.owner_epoch, it.public_key, it.unbound_at) for hardware_id, it in bindings)
    tx.db.executemany(_BIND, rows)


def raise_versions(tx: Tx, device_ids: Iterable[str]) -> None:
    """Something beside their entries is another: their next version."""
    rows = [(tx.now, device_id) for device_id in device_ids]
    tx.db.executemany("UPDATE devices SET version=version+1, updated_at=? WHERE id=?", rows)


# names


def named_in(reader: Reader, home_id: str) -> list[str]:
    """The devices of a home of which somebody named a part."""
    sql = "SELECT DISTINCT n.device_id FROM device_names n JOIN devices d ON d.id=n.device_id WHERE d.home_id=?"
    return [row[0] for row in reader.all(f"{sql} ORDER BY 1", (home_id,))]


def names_of(reader: Reader, ids: Iterable[str]) -> dict[str, dict[tuple[str, str], str]]:
    """Names of parts of devices, by device, then by service and property."""
    sql = (
        "SELECT device_id,service,property,name FROM device_names"
        " WHERE device_id IN (SELECT value FROM json_each(?)) ORDER BY 1,2,3"
    )
    found: dict[str, dict[tuple[str, str], str]] = {}
    for device_id, service, property_id, name in reader.all(sql, (json_of(ids),)):
        found.setdefault(device_id, {})[service, property_id] = name
    return found


def put_names(tx: Tx, names: Iterable[tuple[str, str, str, str]]) -> None:
    """Store names: device, service, property, name."""
    tx.db.executemany(_PUT_NAME, names)


def drop_names(tx: Tx, parts: Iterable[tuple[str, str, str]]) -> None:
    """Remove names: device, service, property."""
    tx.db.executemany("DELETE FROM device_names WHERE device_id=? AND service=? AND property=?", parts)


# people


def user(reader: Reader, home_id: str, user_id: str) -> DeviceUser | None:
    """One of the people of a home's devices."""
    sql = f"{_USERS} JOIN devices d ON d.id=u.device_id WHERE u.id=? AND d.home_id=?"
    row = reader.one(sql, (user_id, home_id))
    return None if row is None else user_of(row)


def user_ids_in(reader: Reader, home_id: str) -> list[str]:
    """All of those."""
    sql = "SELECT u.id FROM device_users u JOIN devices d ON d.id=u.device_id WHERE d.home_id=? ORDER BY 1"
    return [row[0] for row in reader.all(sql, (home_id,))]


def users(reader: Reader, ids: Collection[str]) -> dict[str, DeviceUser]:
    """Those of `ids` that are here, in whichever home."""
    return {row[0]: user_of(row) for row in reader.all(_USERS_BY_ID, (json_of(ids),))}
