"""The SQL of what IoTDA's protocol has and the nouns have not; rows become structs by position."""

from typing import Final

from msgspec import Struct

from app.store.retention import KEEP
from app.store.tx import Reader, Tx

MAX_CHILDREN: Final = KEEP["iotda_children"].most or 0


class Details(Struct, frozen=True, gc=False):
    """What only this protocol knows of a device; `extension` is JSON."""

    node_id: str
    description: str = ""
    extension: str = "null"
    sw_version: str = ""
    sdk_version: str = ""


class ChildRow(Struct, frozen=True, gc=False):
    """A device that is, or was, behind a gateway; since this version of the gateway's list."""

    child_id: str
    node_id: str
    gone: bool
    version: int


def details(reader: Reader, device_id: str) -> Details | None:
    """Of one device."""
    sql = "SELECT node_id,description,extension,sw_version,sdk_version FROM iotda_devices WHERE device_id=?"
    row = reader.one(sql, (device_id,))
    return None if row is None else Details(*row)


def put_details(tx: Tx, device_id: str, new: Details) -> None:
    """Store them."""
    sql = (
        "INSERT OR REPLACE INTO iotda_devices(device_id,node_id,description,extension,sw_version,sdk_version)"
        " VALUES(?,?,?,?,?,?)"
    )
    tx.run(sql, (device_id, new.node_id, new.description, new.extension, new.sw_version, new.sdk_version))


def children_version(reader: Reader, gateway_id: str) -> int:
    """The version of a gateway's list; 0 before anybody was ever behind it."""
    row = reader.one("SELECT coalesce(max(version),0) FROM iotda_children WHERE gateway_id=?", (gateway_id,))
    return 0 if row is None else int(row[0])


def put_child(tx: Tx, gateway_id: str, child_id: str, node_id: str, *, gone: bool) -> int:
    """It came or went; returns the list's new version. The oldest that is gone makes room."""
    version = children_version(tx, gateway_id) + 1
    sql = "INSERT OR REPLACE INTO iotda_children(gateway_id,child_id,node_id,gone,version) VALUES(?,?,?,?,?)"
    tx.run(sql, (gateway_id, child_id, node_id, gone, version))
    row = tx.one("SELECT count(*) FROM iotda_children WHERE gateway_id=?", (gateway_id,))
    if row is not None and row[0] > MAX_CHILDREN:
        oldest = "SELECT child_id FROM iotda_children WHERE gateway_id=? AND gone ORDER BY version LIMIT 1"
        tx.run(f"DELETE FROM iotda_children WHERE gateway_id=? AND child_id=({oldest})", (gateway_id, gateway_id))  # noqa: S608
    return version


def children_after(reader: Reader, gateway_id: str, version: int) -> list[ChildRow]:
    """What is later than `version`, in order."""
    sql = "SELECT child_id,node_id,gone,version FROM iotda_children WHERE gateway_id=? AND version>? ORDER BY version"
    return [ChildRow(row[0], row[1], bool(row[2]), row[3]) for row in reader.all(sql, (gateway_id, version))]


def child_node(reader: Reader, gateway_id: str, child_id: str) -> str:
    """The node id of a child; its own id where none is known."""
    row = reader.one("SELECT node_id FROM iotda_children WHERE gateway_id=? AND child_id=?", (gateway_id, child_id))
    return child_id if row is None else str(row[0])
