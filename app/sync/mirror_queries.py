"""The SQL of what the holders of devices have said, in the order in which it came here (PROTOCOL.md 9)."""

from typing import Final

from msgspec import Struct
from msgspec.structs import astuple

from app.store.tx import Reader, Tx

_HEARD: Final = "SELECT node,owner_epoch,version,desired,home_id,place FROM sync_heard WHERE device_id=? AND service=?"
_PUT_HEARD: Final = """
INSERT OR REPLACE INTO sync_heard(device_id,service,node,owner_epoch,version,desired,home_id,place)
  VALUES(?,?,?,?,?,?,?,?)
"""
_GIVE_PLACES: Final = """
INSERT INTO sync_mirrors(home_id,place) VALUES(?,?)
  ON CONFLICT DO UPDATE SET place=place+excluded.place RETURNING place
"""
# What is behind a gateway is held with it; of what nobody holds, nobody says anything.
_BEYOND: Final = """
SELECT h.place, h.device_id, h.service, h.desired FROM sync_heard h
  JOIN devices d ON d.id=h.device_id AND d.home_id=h.home_id
  WHERE h.home_id=? AND h.place>? AND d.unbound_at IS NULL AND d.holder<>? ORDER BY h.place LIMIT ?
"""


class Heard(Struct, frozen=True):
    """What the holder of a device last said of a service. `desired` is JSON.

    `home_id`: where the device was then. `place`: in the order in which a cloud heard it.
    """

    node: str
    owner_epoch: int
    version: int
    desired: str
    home_id: str
    place: int


class Place(Struct, frozen=True):
    """What was said of a service, and where that stands."""

    place: int
    device_id: str
    service: str
    desired: str


def heard(reader: Reader, device_id: str, service: str) -> Heard | None:
    """What was last said of it; None: nothing yet."""
    row = reader.one(_HEARD, (device_id, service))
    return None if row is None else Heard(*row)


def put_heard(tx: Tx, device_id: str, service: str, it: Heard) -> None:
    """That is what was last said."""
    tx.run(_PUT_HEARD, (device_id, service, *astuple(it)))


def give_places(tx: Tx, home_id: str, count: int) -> int:
    """So many places of a home, which nothing has had; returns the first."""
    row = tx.one(_GIVE_PLACES, (home_id, count))
    return 1 if row is None else int(row[0]) - count + 1


def last_place(reader: Reader, home_id: str) -> int:
    """The last that was given."""
    row = reader.one("SELECT place FROM sync_mirrors WHERE home_id=?", (home_id,))
    return 0 if row is None else int(row[0])


def beyond(reader: Reader, home_id: str, since: int, but: str, limit: int) -> list[Place]:
    """What has come after a place, of devices that others than the hub `but` hold, in order."""
    return [Place(*row) for row in reader.all(_BEYOND, (home_id, since, but, limit))]


def cursor(reader: Reader, home_id: str, epoch: str) -> int:
    """How far this hub has heard, in that life of the cloud's log."""
    row = reader.one("SELECT place FROM sync_mirrors WHERE home_id=? AND epoch=?", (home_id, epoch))
    return 0 if row is None else int(row[0])


def put_cursor(tx: Tx, home_id: str, epoch: str, place: int) -> None:
    """It has heard so far."""
    tx.run("INSERT OR REPLACE INTO sync_mirrors(home_id,epoch,place) VALUES(?,?,?)", (home_id, epoch, place))
