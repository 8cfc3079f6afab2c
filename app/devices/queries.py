"""The SQL of devices; rows become structs by position."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from app.devices.model import Bond, Device
from app.devices.shadow_state import Point, ServiceState
from app.homes.standing import ends
from app.hours import Window
from app.policy import NOBODY, Role, Standing, Terms
from app.store.tx import Reader, Row, Tx, json_of
from app.store.vault import Vault

_COLUMNS = (
    "id,home_id,room_id,product_id,hardware_id,gateway_id,link,trust,name,icon,position,firmware,serial,owner_epoch,"
    "version,bound_at,unbound_at,updated_at,frozen_at,offline_alert_after,holder,standby"
)
COLUMNS = tuple(_COLUMNS.split(","))
_DEVICE = f"SELECT {_COLUMNS} FROM devices"  # noqa: S608 - our own names
_INSERT = f"INSERT INTO devices({_COLUMNS}) VALUES({','.join('?' * 22)})"
_UPDATE = """
UPDATE devices SET home_id=?, room_id=?, product_id=?, gateway_id=?, link=?, trust=?, name=?, icon=?, position=?,
  firmware=?, serial=?, owner_epoch=?, version=?, bound_at=?, unbound_at=?, updated_at=?, frozen_at=?,
  offline_alert_after=?, holder=?, standby=? WHERE id=?
"""
# One question for the hottest write: the device's home, and what the asker is to it.
_STANDING = """
SELECT d.home_id, m.role, m.until, m.hours, m.only, h.time_zone, m.joined_at,
  iif(s.cloud_id IS NULL, NULL, coalesce(s.contact_at, 0)) FROM devices d
  JOIN homes h ON h.id=d.home_id
  LEFT JOIN members m ON m.home_id=d.home_id AND m.account_id=?
  LEFT JOIN sync_homes s ON s.home_id=d.home_id
  WHERE d.id=?
"""
_REPORT = """
INSERT INTO shadow(device_id,service,property,reported,reported_at) VALUES(?,?,?,?,?)
  ON CONFLICT DO UPDATE SET reported=excluded.reported, reported_at=excluded.reported_at
"""
_DESIRE = """
INSERT INTO shadow(device_id,service,property,desired,desired_at) VALUES(?,?,?,?,?)
  ON CONFLICT DO UPDATE SET desired=excluded.desired, desired_at=excluded.desired_at
"""
_VERSION = """
INSERT INTO shadow_versions(device_id,service,version) VALUES(?,?,1)
  ON CONFLICT DO UPDATE SET version=version+1 RETURNING version
"""
_HELD_ALONE = """
SELECT count(*) FROM devices WHERE home_id=? AND holder=? AND gateway_id IS NULL AND unbound_at IS NULL
  AND (standby IS NULL OR standby NOT IN (SELECT value FROM json_each(?)))
"""

_windows = msgspec.json.Decoder(tuple[Window, ...])
_ids = msgspec.json.Decoder(frozenset[str])


def standing_in(reader: Reader, account_id: str | None, device_id: str) -> tuple[str, Standing] | None:
    """The device's home and what the account is to it as a member; None when there is no such device."""
    row = reader.one(_STANDING, (account_id, device_id))
    if row is None:
        return None
    home_id, role, until, hours, only, time_zone, joined_at, contact = row
    if role is None:
        return home_id, NOBODY
    terms = Terms(
        ends(Role(role), until, joined_at, contact), _windows.decode(hours) if hours != "[]" else (), time_zone
    )
    return home_id, Standing(Role(role), terms, None if only is None else _ids.decode(only))


def device(reader: Reader, device_id: str) -> Device | None:
    """One device."""
    row = reader.one(f"{_DEVICE} WHERE id=?", (device_id,))
    return None if row is None else Device(*row)


def device_of_hardware(reader: Reader, hardware_id: str) -> Device | None:
    """The device that piece of hardware is, wherever it is bound."""
    row = reader.one(f"{_DEVICE} WHERE hardware_id=?", (hardware_id,))
    return None if row is None else Device(*row)


_FROZEN = """
SELECT d.frozen_at IS NOT NULL OR g.frozen_at IS NOT NULL FROM devices d
  LEFT JOIN devices g ON g.id=d.gateway_id WHERE d.id=?
"""


def is_frozen(reader: Reader, device_id: str) -> bool:
    """Whether a device, or the gateway it is behind, is kept out."""
    row = reader.one(_FROZEN, (device_id,))
    return row is not None and bool(row[0])


def devices_where(reader: Reader, column: str, value: str) -> list[Device]:
    """The devices of a home, a room or a gateway (`column` home_id, room_id, gateway_id), in order of id."""
    return [Device(*row) for row in reader.all(f"{_DEVICE} WHERE {column}=? ORDER BY id", (value,))]


def held_alone(reader: Reader, home_id: str, hub_id: str, others: Collection[str]) -> int:
    """How many devices of a home a hub holds for which none of the `others` stands by; a gateway is one."""
    row = reader.one(_HELD_ALONE, (home_id, hub_id, json_of(others)))
    return 0 if row is None else int(row[0])


def ids_in(reader: Reader, home_id: str, ids: Collection[str]) -> frozenset[str]:
    """Those of `ids` that are devices of a home."""
    marks = ",".join("?" * len(ids))
    rows = reader.all(f"SELECT id FROM devices WHERE home_id=? AND id IN ({marks})", (home_id, *ids))  # noqa: S608
    return frozenset(row[0] for row in rows)


def all_devices(reader: Reader) -> Iterator[tuple[Device, int | None]]:
    """Every device with when it was last seen, in order of id."""
    sql = f"SELECT {_COLUMNS}, last_seen_at FROM devices ORDER BY id"  # noqa: S608 - our own names
    for row in reader.db.execute(sql):
        yield Device(*row[:-1]), row[-1]


def insert_device(tx: Tx, new: Device) -> None:
    """Store a new device."""
    tx.run(_INSERT, msgspec.structs.astuple(new))


def insert_devices(tx: Tx, new: Iterable[Device]) -> None:
    """Store new devices: gateways before what is behind them."""
    for each in new:
        tx.put(_INSERT, msgspec.structs.astuple(each))
    # Many rows a statement: a first sync brings thousands.
    tx.settle()


def update_device(tx: Tx, now: Device) -> None:
    """Store what may change of a device."""
    tx.run(_UPDATE, _changing(now))


def update_devices(tx: Tx, now: Iterable[Device]) -> None:
    """Store what may change of devices."""
    tx.db.executemany(_UPDATE, map(_changing, now))


def _changing(now: Device) -> Row:
    place = (now.home_id, now.room_id, now.product_id, now.gateway_id)
    said = (now.link, now.trust, now.name, now.icon, now.position, now.firmware, now.serial, now.owner_epoch)
    times = (now.bound_at, now.unbound_at, now.updated_at, now.frozen_at, now.offline_alert_after)
    return (*place, *said, now.version, *times, now.holder, now.standby, now.id)


def delete_device(tx: Tx, device_id: str) -> None:
    """Remove a device; its shadow, commands and places in groups go with it."""
    # Its people are facts of their own, whose home their device tells: they go while that is there.
    tx.run("DELETE FROM device_users WHERE device_id=?", (device_id,))
    tx.run("DELETE FROM devices WHERE id=?", (device_id,))


def keep_seen(tx: Tx, seen: Iterable[tuple[int, str]]) -> None:
    """When devices were last seen: (ms, device id)."""
    tx.db.executemany("UPDATE devices SET last_seen_at=? WHERE id=?", seen)


# bindings


def last_epoch(reader: Reader, hardware_id: str) -> int:
    """The owner epoch of the newest binding of that hardware; 0 when it never had one."""
    row = reader.one("SELECT owner_epoch FROM bindings WHERE hardware_id=?", (hardware_id,))
    return 0 if row is None else int(row[0])


def put_binding(tx: Tx, hardware_id: str, owner_epoch: int, public_key: bytes | None) -> None:
    """The binding in force from now on."""
    tx.run(
        "INSERT OR REPLACE INTO bindings(hardware_id,owner_epoch,public_key) VALUES(?,?,?)",
        (hardware_id, owner_epoch, public_key),
    )


def raise_epoch(tx: Tx, hardware_id: str, owner_epoch: int) -> None:
    """The owner epoch of the binding in force."""
    tx.run("UPDATE bindings SET owner_epoch=? WHERE hardware_id=?", (owner_epoch, hardware_id))


def mark_binding(tx: Tx, hardware_id: str, column: str) -> None:
    """The binding has ended (`unbound_at`), or its device said that it was reset (`reset_at`)."""
    tx.run(f"UPDATE bindings SET {column}=? WHERE hardware_id=?", (tx.now, hardware_id))  # noqa: S608 - our own names


def was_unbound(reader: Reader, hardware_id: str) -> bool:
    """Whether that hardware was in a home, and was let go."""
    row = reader.one("SELECT unbound_at FROM bindings WHERE hardware_id=?", (hardware_id,))
    return row is not None and row[0] is not None


def was_reset(reader: Reader, hardware_id: str) -> bool:
    """Whether that hardware said, proved by its binding, that it was reset by hand."""
    row = reader.one("SELECT reset_at FROM bindings WHERE hardware_id=?", (hardware_id,))
    return row is not None and row[0] is not None


def credential_row(hardware_id: str) -> str:
    """Where the vault has the credential of a binding."""
    return f"bindings/{hardware_id}"


# What another hub holds too: it may come here, and has to be told where it belongs (app.links.holding).
_BONDS = """
SELECT b.hardware_id, b.public_key, s.row, s.sealed, b.owner_epoch, b.unbound_at FROM bindings b
  JOIN secrets s ON s.row='bindings/' || b.hardware_id
  WHERE b.public_key IS NOT NULL
"""
_BONDS_OF = f"{_BONDS} AND b.hardware_id IN (SELECT value FROM json_each(?))"  # noqa: S608 - our own names


def all_bonds(reader: Reader, vault: Vault) -> Iterator[tuple[str, Bond]]:
    """Every binding that can be proved, by hardware id."""
    return _bonds(reader.db.execute(_BONDS), vault)


def bonds_of(reader: Reader, vault: Vault, hardware_ids: Collection[str]) -> dict[str, Bond]:
    """Those of some hardware."""
    return dict(_bonds(reader.db.execute(_BONDS_OF, (json_of(hardware_ids),)), vault))


def _bonds(rows: Iterable[Row], vault: Vault) -> Iterator[tuple[str, Bond]]:
    for hardware_id, public_key, row, sealed, epoch, unbound_at in rows:
        yield hardware_id, Bond(public_key, vault.unseal(sealed, row), epoch, unbound_at is not None)


# shadow


def put_reported(tx: Tx, device_id: str, service: str, values: Iterable[tuple[str, str]], at: int) -> int:
    """Store reported values (property, JSON); returns the service's new version."""
    tx.db.executemany(_REPORT, [(device_id, service, name, value, at) for name, value in values])
    return _next_version(tx, device_id, service)


def put_desired(tx: Tx, device_id: str, service: str, values: Iterable[tuple[str, str | None]]) -> int:
    """Store desired values (property, JSON or None: no longer); returns the service's new version."""
    rows = [(device_id, service, name, value, None if value is None else tx.now) for name, value in values]
    tx.db.executemany(_DESIRE, rows)
    return _next_version(tx, device_id, service)


def reflect(
    tx: Tx,
    device_id: str,
    service: str,
    *,
    version: int,
    reported: Mapping[str, Point],
    desired: Mapping[str, Point | None],
) -> None:
    """Store what another hub says of a service (a desired None: no longer), and that it is of `version` here."""
    said = [(device_id, service, name, it.value, it.at) for name, it in reported.items()]
    tx.db.executemany(_REPORT, said)
    wanted = ((name, None if it is None else it.value, None if it is None else it.at) for name, it in desired.items())
    tx.db.executemany(_DESIRE, [(device_id, service, *row) for row in wanted])
    tx.run(
        "INSERT OR REPLACE INTO shadow_versions(device_id,service,version) VALUES(?,?,?)", (device_id, service, version)
    )


def drop_desired(tx: Tx, device_id: str) -> dict[str, int]:
    """Nothing is desired of a device any more; returns the new versions of the services of which something was."""
    sql = "SELECT DISTINCT service FROM shadow WHERE device_id=? AND desired IS NOT NULL"
    wanted = [row[0] for row in tx.all(sql, (device_id,))]
    tx.run("UPDATE shadow SET desired=NULL, desired_at=NULL WHERE device_id=?", (device_id,))
    return {service: _next_version(tx, device_id, service) for service in wanted}


def _next_version(tx: Tx, device_id: str, service: str) -> int:
    row: tuple[Any, ...] = tx.db.execute(_VERSION, (device_id, service)).fetchone()
    return int(row[0])


def shadow_version(reader: Reader, device_id: str, service: str) -> int:
    """The version of a service; 0 before anything was reported or desired."""
    row = reader.one("SELECT version FROM shadow_versions WHERE device_id=? AND service=?", (device_id, service))
    return 0 if row is None else int(row[0])


def reported_after(reader: Reader, device_id: str, service: str, at: int) -> set[str]:
    """The properties of which there is a newer report than of `at`."""
    sql = "SELECT property FROM shadow WHERE device_id=? AND service=? AND reported_at>?"
    return {row[0] for row in reader.all(sql, (device_id, service, at))}


def service_state(reader: Reader, device_id: str, service: str) -> ServiceState:
    """One service as it is on disk."""
    state = ServiceState(shadow_version(reader, device_id, service))
    sql = "SELECT property,reported,reported_at,desired,desired_at FROM shadow WHERE device_id=? AND service=?"
    for name, *point in reader.all(sql, (device_id, service)):
        _put_points(state, name, point)
    return state


def all_shadows(reader: Reader) -> dict[str, dict[str, ServiceState]]:
    """Every service of every device, by device id."""
    shadows: dict[str, dict[str, ServiceState]] = {}
    for device_id, service, version in reader.db.execute("SELECT device_id,service,version FROM shadow_versions"):
        shadows.setdefault(device_id, {})[service] = ServiceState(version)
    sql = "SELECT device_id,service,property,reported,reported_at,desired,desired_at FROM shadow"
    for device_id, service, name, *point in reader.db.execute(sql):
        _put_points(shadows[device_id][service], name, point)
    return shadows


def _put_points(state: ServiceState, name: str, point: Sequence[Any]) -> None:
    reported, reported_at, desired, desired_at = point
    if reported is not None:
        state.reported[name] = Point(reported, reported_at)
    if desired is not None:
        state.desired[name] = Point(desired, desired_at)
