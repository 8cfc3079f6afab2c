"""The SQL of known Wi-Fi networks."""

from app.homes.queries import has_home
from app.onboarding.network_model import Network
from app.store.tx import Reader, Row, Tx

_COLUMNS = "id,home_id,ssid,bssid,secured,created_at,used_at"


def of_home(reader: Reader, home_id: str) -> list[Network]:
    """A home's networks, the one used last first."""
    sql = f"SELECT {_COLUMNS} FROM wifi_networks WHERE home_id=? ORDER BY coalesce(used_at,created_at) DESC, id DESC"  # noqa: S608 - our own names
    return [_network(row) for row in reader.all(sql, (home_id,))]


def get(reader: Reader, home_id: str, network_id: str) -> Network | None:
    """One of the home's networks."""
    sql = f"SELECT {_COLUMNS} FROM wifi_networks WHERE home_id=? AND id=?"  # noqa: S608 - our own names
    row = reader.one(sql, (home_id, network_id))
    return None if row is None else _network(row)


def named(reader: Reader, home_id: str, ssid: str) -> Network | None:
    """The home's network of this name."""
    row = reader.one(f"SELECT {_COLUMNS} FROM wifi_networks WHERE home_id=? AND ssid=?", (home_id, ssid))  # noqa: S608 - our own names
    return None if row is None else _network(row)


def place_for(reader: Reader, home_id: str, network_id: str) -> bool:
    """Whether there is that home, and no other home has that network."""
    if not has_home(reader, home_id):
        return False
    return reader.one("SELECT 1 FROM wifi_networks WHERE id=? AND home_id<>?", (network_id, home_id)) is None


def put(tx: Tx, network: Network) -> None:
    """Store a network, new or changed."""
    tx.run(
        f"INSERT INTO wifi_networks({_COLUMNS}) VALUES(?,?,?,?,?,?,?) ON CONFLICT(id) DO UPDATE SET"
        " ssid=excluded.ssid, bssid=excluded.bssid, secured=excluded.secured, created_at=excluded.created_at,"
        " used_at=excluded.used_at",
        (
            network.id,
            network.home_id,
            network.ssid,
            network.bssid,
            int(network.secured),
            network.created_at,
            network.used_at,
        ),
    )


def delete(tx: Tx, network_id: str) -> None:
    """Forget a network."""
    tx.run("DELETE FROM wifi_networks WHERE id=?", (network_id,))


def _network(row: Row) -> Network:
    network_id, home_id, ssid, bssid, secured, created_at, used_at = row
    return Network(network_id, home_id, ssid, bssid, bool(secured), created_at, used_at)
