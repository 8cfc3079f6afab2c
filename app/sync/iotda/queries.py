"""The SQL of upstreams; rows become structs by position."""

from collections.abc import Iterable
from typing import Final

import msgspec

from app.store.retention import KEEP
from app.store.tx import Reader, Row, Tx
from app.sync.iotda.model import Asked, Kind, Request, Stage, SubDevice, Upstream, decode_asked, encode_asked

MOST_REQUESTS: Final = KEEP["iotda_upstream_requests"].most or 0
_UPSTREAM = "home_id,url,device_id,ca,account_id,list_version,attached_at,contact_at"
_DEVICE = "remote_id,device_id,state,why,owner_epoch"
_REQUEST = "home_id,request_id,kind,device_id,asked,at,answered_at"


def upstream(reader: Reader, home_id: str) -> Upstream | None:
    """A home's."""
    row = reader.one(f"SELECT {_UPSTREAM} FROM iotda_upstreams WHERE home_id=?", (home_id,))  # noqa: S608 - our own names
    return None if row is None else Upstream(*row)


def home_ids(reader: Reader) -> list[str]:
    """Of all homes that have one."""
    return [row[0] for row in reader.all("SELECT home_id FROM iotda_upstreams")]


def put_upstream(tx: Tx, new: Upstream) -> None:
    """Store it, in the place of the home's former one."""
    sql = (
        f"INSERT INTO iotda_upstreams({_UPSTREAM}) VALUES(?,?,?,?,?,?,?,?) ON CONFLICT(home_id) DO UPDATE SET"
        " url=excluded.url,device_id=excluded.device_id,ca=excluded.ca,account_id=excluded.account_id,"
        "list_version=excluded.list_version,attached_at=excluded.attached_at,contact_at=excluded.contact_at"
    )
    tx.run(sql, msgspec.structs.astuple(new))


def delete_upstream(tx: Tx, home_id: str) -> None:
    """Forget it, and all that was known of the platform."""
    forget_platform(tx, home_id)
    tx.run("DELETE FROM iotda_upstreams WHERE home_id=?", (home_id,))


def forget_platform(tx: Tx, home_id: str) -> None:
    """What was known of the platform: another one takes its place."""
    for table in ("iotda_upstream_devices", "iotda_upstream_requests"):
        tx.run(f"DELETE FROM {table} WHERE home_id=?", (home_id,))  # noqa: S608 - our own names


def set_list_version(tx: Tx, home_id: str, version: int) -> None:
    """So far the platform's list is known."""
    tx.run("UPDATE iotda_upstreams SET list_version=? WHERE home_id=?", (version, home_id))


def put_contacts(tx: Tx, contacts: Iterable[tuple[str, int]]) -> None:
    """(home, when its platform was last heard)."""
    for home_id, at in contacts:
        tx.run("UPDATE iotda_upstreams SET contact_at=? WHERE home_id=?", (at, home_id))


# sub-devices


def devices(reader: Reader, home_id: str) -> list[SubDevice]:
    """All of a home's."""
    rows = reader.all(f"SELECT {_DEVICE} FROM iotda_upstream_devices WHERE home_id=?", (home_id,))  # noqa: S608 - our own names
    return [_device(row) for row in rows]


def devices_at(reader: Reader, home_id: str, stage: Stage, limit: int, *, refused_too: bool = True) -> list[SubDevice]:
    """Those at one stage, the first of them; without `refused_too` only those the platform has said nothing of."""
    sql = f"SELECT {_DEVICE} FROM iotda_upstream_devices WHERE home_id=? AND state=? AND (? OR why='') LIMIT ?"  # noqa: S608 - our own names
    return [_device(row) for row in reader.all(sql, (home_id, stage.value, refused_too, limit))]


def device_of_remote(reader: Reader, home_id: str, remote_id: str) -> SubDevice | None:
    """What the platform calls so."""
    sql = f"SELECT {_DEVICE} FROM iotda_upstream_devices WHERE home_id=? AND remote_id=?"  # noqa: S608 - our own names
    row = reader.one(sql, (home_id, remote_id))
    return None if row is None else _device(row)


def devices_of(reader: Reader, home_id: str, device_id: str) -> list[SubDevice]:
    """What one of our devices is at the platform: itself, and perhaps what it was before."""
    sql = f"SELECT {_DEVICE} FROM iotda_upstream_devices WHERE home_id=? AND device_id=?"  # noqa: S608 - our own names
    return [_device(row) for row in reader.all(sql, (home_id, device_id))]


def counts(reader: Reader, home_id: str) -> dict[str, int]:
    """How many are at each stage."""
    sql = "SELECT state,count(*) FROM iotda_upstream_devices WHERE home_id=? GROUP BY state"
    return {row[0]: row[1] for row in reader.all(sql, (home_id,))}


def put_device(tx: Tx, home_id: str, device: SubDevice) -> None:
    """Store it, or where it stands now."""
    sql = (
        "INSERT INTO iotda_upstream_devices(home_id,remote_id,device_id,state,why,owner_epoch) VALUES(?,?,?,?,?,?)"
        " ON CONFLICT(home_id,remote_id) DO UPDATE SET device_id=excluded.device_id,state=excluded.state,"
        "why=excluded.why,owner_epoch=excluded.owner_epoch"
    )
    row = (home_id, device.remote_id, device.device_id, device.stage.value, device.why, device.owner_epoch)
    tx.run(sql, row)


def drop_device(tx: Tx, home_id: str, remote_id: str) -> None:
    """It is no concern any more."""
    tx.run("DELETE FROM iotda_upstream_devices WHERE home_id=? AND remote_id=?", (home_id, remote_id))


def ask_again(tx: Tx, home_id: str) -> None:
    """What the platform refused is asked for once more."""
    tx.run("UPDATE iotda_upstream_devices SET state='wanted',why='' WHERE home_id=? AND state='refused'", (home_id,))
    tx.run("UPDATE iotda_upstream_devices SET why='' WHERE home_id=? AND state='leaving'", (home_id,))


def wishes(reader: Reader, home_id: str, remote_id: str) -> dict[str, str]:
    """By service, the mark of the platform's desired values that were taken over last."""
    sql = "SELECT wishes FROM iotda_upstream_devices WHERE home_id=? AND remote_id=?"
    row = reader.one(sql, (home_id, remote_id))
    return {} if row is None else msgspec.json.decode(row[0], type=dict[str, str])


def put_wishes(tx: Tx, home_id: str, remote_id: str, marks: dict[str, str]) -> None:
    """Store them."""
    sql = "UPDATE iotda_upstream_devices SET wishes=? WHERE home_id=? AND remote_id=?"
    tx.run(sql, (msgspec.json.encode(marks).decode(), home_id, remote_id))


# requests


def request(reader: Reader, home_id: str, request_id: str) -> Request | None:
    """One of a home's platform."""
    sql = f"SELECT {_REQUEST} FROM iotda_upstream_requests WHERE home_id=? AND request_id=?"  # noqa: S608 - our own names
    row = reader.one(sql, (home_id, request_id))
    return None if row is None else _request(row)


def open_requests(reader: Reader) -> list[Request]:
    """Of all homes, those that are not answered."""
    sql = f"SELECT {_REQUEST} FROM iotda_upstream_requests WHERE answered_at IS NULL"  # noqa: S608 - our own names
    return [_request(row) for row in reader.all(sql)]


def put_request(tx: Tx, new: Request) -> None:
    """Store it; the oldest that was answered makes room."""
    sql = f"INSERT INTO iotda_upstream_requests({_REQUEST}) VALUES(?,?,?,?,?,?,?)"
    asked = encode_asked(new.asked).decode()
    tx.run(sql, (new.home_id, new.request_id, new.kind.value, new.device_id, asked, new.at, new.answered_at))
    row = tx.one("SELECT count(*) FROM iotda_upstream_requests WHERE home_id=?", (new.home_id,))
    if row is not None and row[0] > MOST_REQUESTS:
        oldest = (
            "SELECT request_id FROM iotda_upstream_requests WHERE home_id=? AND answered_at IS NOT NULL"
            " ORDER BY at LIMIT 1"
        )
        sql = f"DELETE FROM iotda_upstream_requests WHERE home_id=? AND request_id=({oldest})"  # noqa: S608 - our own names
        tx.run(sql, (new.home_id, new.home_id))


def count_open(reader: Reader, home_id: str) -> int:
    """How many are not answered."""
    sql = "SELECT count(*) FROM iotda_upstream_requests WHERE home_id=? AND answered_at IS NULL"
    row = reader.one(sql, (home_id,))
    return 0 if row is None else int(row[0])


def set_answered(tx: Tx, home_id: str, request_id: str) -> None:
    """The platform has its answer."""
    sql = "UPDATE iotda_upstream_requests SET answered_at=? WHERE home_id=? AND request_id=?"
    tx.run(sql, (tx.now, home_id, request_id))


def _device(row: Row) -> SubDevice:
    return SubDevice(row[0], row[1], Stage(row[2]), *row[3:])


def _request(row: Row) -> Request:
    asked: Asked = decode_asked(row[4])
    return Request(row[0], row[1], Kind(row[2]), row[3], asked, row[5], row[6])


def secret_row(home_id: str) -> str:
    """Where the gateway's secret stands in the vault."""
    return f"iotda-upstream/{home_id}"
