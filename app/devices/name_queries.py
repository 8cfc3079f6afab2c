"""The SQL of names people gave to parts of devices."""

from collections.abc import Mapping

from app.store.tx import Reader, Tx

_PUT = """
INSERT INTO device_names(device_id,service,property,name) VALUES(?,?,?,?)
  ON CONFLICT DO UPDATE SET name=excluded.name
"""


def put_names(tx: Tx, device_id: str, service: str, names: Mapping[str, str | None]) -> None:
    """Store names by property; None removes one."""
    for property_id, name in names.items():
        if name is None:
            sql = "DELETE FROM device_names WHERE device_id=? AND service=? AND property=?"
            tx.run(sql, (device_id, service, property_id))
        else:
            tx.run(_PUT, (device_id, service, property_id, name))


def names(reader: Reader, device_id: str) -> dict[str, dict[str, str]]:
    """Those of one device, by service and property."""
    found: dict[str, dict[str, str]] = {}
    sql = "SELECT service,property,name FROM device_names WHERE device_id=?"
    for service, property_id, name in reader.all(sql, (device_id,)):
        found.setdefault(service, {})[property_id] = name
    return found


def all_names(reader: Reader) -> dict[str, dict[str, dict[str, str]]]:
    """Those of every device, by its id."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for device_id, service, property_id, name in reader.db.execute(
        "SELECT device_id,service,property,name FROM device_names"
    ):
        found.setdefault(device_id, {}).setdefault(service, {})[property_id] = name
    return found
