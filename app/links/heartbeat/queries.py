"""The SQL of heartbeats."""

from msgspec import Struct
from msgspec.structs import astuple

from app.clock import Time, to_time
from app.links.heartbeat.codec import Beat
from app.store.tx import Reader, Tx

# What a heartbeat leaves out stays as it was said last.
_PUT = """
INSERT INTO heartbeats(device_id,at,every_s,battery_percent,storage_used_mb,storage_total_mb,signal_strength_dbm)
  VALUES(?,?,?,?,?,?,?)
  ON CONFLICT DO UPDATE SET at=excluded.at, every_s=excluded.every_s,
    battery_percent=coalesce(excluded.battery_percent, battery_percent),
    storage_used_mb=coalesce(excluded.storage_used_mb, storage_used_mb),
    storage_total_mb=coalesce(excluded.storage_total_mb, storage_total_mb),
    signal_strength_dbm=coalesce(excluded.signal_strength_dbm, signal_strength_dbm)
"""
_LAST = """
SELECT at,every_s,battery_percent,storage_used_mb,storage_total_mb,signal_strength_dbm FROM heartbeats WHERE device_id=?
"""


class Last(Struct, frozen=True):
    """What a device said of itself, and when (ms) it called last."""

    at: int
    every_s: int
    battery_percent: int | None
    storage_used_mb: int | None
    storage_total_mb: int | None
    signal_strength_dbm: int | None


class HeartbeatView(Struct, frozen=True):
    """The newest heartbeat of a device: when it came, the interval (s) the device keeps, and what it said of itself.

    What it did not say is what it said last; null: never.
    """

    at: Time
    every: int
    battery_percent: int | None
    storage_used_mb: int | None
    storage_total_mb: int | None
    signal_strength_dbm: int | None


def view_of(last: Last) -> HeartbeatView:
    """What is shown of it."""
    at, *rest = astuple(last)
    return HeartbeatView(to_time(at), *rest)


def put(tx: Tx, device_id: str, beat: Beat, every_s: int) -> None:
    """Keep the newest of a device."""
    health = (beat.battery_percent, beat.storage_used_mb, beat.storage_total_mb, beat.signal_strength_dbm)
    tx.run(_PUT, (device_id, tx.now, every_s, *health))


def last(reader: Reader, device_id: str) -> Last | None:
    """A device's."""
    row = reader.one(_LAST, (device_id,))
    return None if row is None else Last(*row)
