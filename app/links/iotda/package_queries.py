"""The SQL of packages and upgrades."""

import msgspec

from app.links.iotda.package_model import Package, PackageKind, Upgrade, UpgradeState
from app.store.tx import Reader, Tx

_PACKAGE = "SELECT id,product_id,kind,version,size,sha256,custom_info,created_at FROM iotda_packages"
_UPGRADE = (
    "SELECT device_id,kind,package_id,state,progress,result_code,description,offered_at,updated_at FROM iotda_upgrades"
)


def insert_package(tx: Tx, new: Package) -> None:
    """Store it."""
    tx.run("INSERT INTO iotda_packages VALUES(?,?,?,?,?,?,?,?)", msgspec.structs.astuple(new))


def package(reader: Reader, package_id: str) -> Package | None:
    """One package."""
    row = reader.one(f"{_PACKAGE} WHERE id=?", (package_id,))
    return None if row is None else _package(row)


def packages(reader: Reader) -> list[Package]:
    """All of them, newest first."""
    return [_package(row) for row in reader.all(f"{_PACKAGE} ORDER BY created_at DESC, id")]


def delete_package(tx: Tx, package_id: str) -> bool:
    """Remove it and the upgrades with it; False when there is none."""
    return tx.run("DELETE FROM iotda_packages WHERE id=?", (package_id,)) > 0


def upgrades(reader: Reader, device_id: str) -> list[Upgrade]:
    """Those of a device, the newest first."""
    rows = reader.all(f"{_UPGRADE} WHERE device_id=? ORDER BY updated_at DESC, kind", (device_id,))
    return [Upgrade(row[0], PackageKind(row[1]), row[2], UpgradeState(row[3]), *row[4:]) for row in rows]


def put_upgrade(tx: Tx, now: Upgrade) -> None:
    """Store it in the place of the one before of its kind."""
    tx.run("INSERT OR REPLACE INTO iotda_upgrades VALUES(?,?,?,?,?,?,?,?,?)", msgspec.structs.astuple(now))


def _package(row: tuple[object, ...]) -> Package:
    found = msgspec.convert(row, tuple[str, str, PackageKind, str, int, str, str, int])
    return Package(*found)
