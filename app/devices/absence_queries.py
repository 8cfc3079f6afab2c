"""The SQL of absences: which devices were there once and are not now."""

from msgspec import Struct

from app.devices import queries
from app.devices.model import Device
from app.store.housekeeping import BATCH
from app.store.tx import Reader, Tx

# Of one that is frozen or was reset nobody expects that it is there, nor of what is behind a gateway that is not.
_OVERDUE = """
SELECT a.device_id, a.since, coalesce(d.offline_alert_after, h.offline_alert_after, :default) AS after
  FROM device_absences a
  JOIN devices d ON d.id=a.device_id
  JOIN homes h ON h.id=d.home_id
  LEFT JOIN devices g ON g.id=d.gateway_id
  LEFT JOIN device_absences ga ON ga.device_id=g.id
  WHERE a.alerted_at IS NULL AND d.frozen_at IS NULL AND d.unbound_at IS NULL
    AND ga.device_id IS NULL AND g.frozen_at IS NULL
    AND (:of_others OR d.holder IS NULL OR d.holder=(SELECT hub_id FROM hub))
    AND after>0 AND a.since + after*1000 <= :now
  ORDER BY a.since LIMIT :most
"""


class Overdue(Struct, frozen=True):
    """A device that is gone since `since` (ms), which is longer than `after` (s)."""

    device: Device
    since: int
    after: int


def begin(tx: Tx, device_id: str, at: int) -> None:
    """It is gone; one that is gone already is so since before."""
    tx.run("INSERT OR IGNORE INTO device_absences(device_id,since) VALUES(?,?)", (device_id, at))


def begin_anew(tx: Tx, device_id: str, at: int) -> None:
    """If it is gone, it is so from now on."""
    tx.run("UPDATE device_absences SET since=?, alerted_at=NULL WHERE device_id=?", (at, device_id))


def end(tx: Tx, device_id: str) -> int | None:
    """It is back; returns when (ms) somebody was told that it was gone, None: nobody was."""
    row = tx.one("DELETE FROM device_absences WHERE device_id=? RETURNING alerted_at", (device_id,))
    return None if row is None else row[0]


def set_alerted(tx: Tx, device_id: str, at: int) -> None:
    """Somebody was told."""
    tx.run("UPDATE device_absences SET alerted_at=? WHERE device_id=?", (at, device_id))


def overdue(reader: Reader, now: int, default_after: int, *, of_others: bool) -> list[Overdue]:
    """Those gone for too long of whom nobody was told, the longest gone first; `default_after` in s.

    `of_others`: also of those that another hub holds.
    """
    asked = {"default": default_after, "now": now, "most": BATCH, "of_others": of_others}
    rows = reader.db.execute(_OVERDUE, asked).fetchall()
    found = ((queries.device(reader, device_id), since, after) for device_id, since, after in rows)
    return [Overdue(device, since, after) for device, since, after in found if device is not None]


# One that only speaks HTTPS is never there, and so never gone.
_LEFT_ONLINE = """
SELECT d.id FROM devices d WHERE d.last_seen_at IS NOT NULL AND d.link<>'https' AND d.unbound_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM device_absences a WHERE a.device_id=d.id)
"""


def left_online(reader: Reader) -> list[str]:
    """The devices that were there when the hub ended."""
    return [row[0] for row in reader.all(_LEFT_ONLINE)]
