"""The SQL of mesh networks; rows become a `MeshState`, and back. Keys are the vault's, not these tables'."""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from app.store.tx import Reader, Row, Tx
from ble.mesh.iv import Iv
from ble.mesh.sequence import Reserved
from ble.mesh.state import NodeRow

TABLES = (
    "mesh_networks",
    "mesh_keys",
    "mesh_nodes",
    "mesh_retired",
    "mesh_replay",
    "mesh_groups",
    "mesh_subscriptions",
)
_indexes = msgspec.json.Decoder(list[int]).decode


class NetworkRow(Struct, frozen=True, kw_only=True):
    """A home's network without its keys. `numbered_at` in ms; None where nobody knows."""

    network_id: str
    address: int
    elements: int
    iv: Iv
    reserved: Reserved
    numbered_at: int | None
    incarnation: int


class KeyRow(Struct, frozen=True):
    """A key without its octets."""

    kind: str
    index: int
    net_index: int
    phase: int


def network(reader: Reader, home_id: str) -> NetworkRow | None:
    """A home's network."""
    row = reader.one(
        "SELECT network_id,address,elements,iv_index,iv_updating,iv_since,iv_recovered,numbers_iv,numbers_upto,"
        "numbers_floor,numbers_floor_iv,numbered_at,incarnation FROM mesh_networks WHERE home_id=?",
        (home_id,),
    )
    if row is None:
        return None
    return NetworkRow(
        network_id=row[0],
        address=row[1],
        elements=row[2],
        iv=Iv(index=row[3], updating=bool(row[4]), since=row[5], recovered=row[6]),
        reserved=Reserved(iv_index=row[7], upto=row[8], floor=row[9], floor_iv=row[10]),
        numbered_at=row[11],
        incarnation=row[12],
    )


def homes(reader: Reader) -> list[str]:
    """The homes that have a network."""
    return [row[0] for row in reader.all("SELECT home_id FROM mesh_networks ORDER BY home_id")]


def incarnation(reader: Reader) -> int:
    """The hub's."""
    row = reader.one("SELECT incarnation FROM hub")
    return 0 if row is None else int(row[0])


def put_network(tx: Tx, home_id: str, it: NetworkRow) -> None:
    """A network, new or changed, whatever its numbers were."""
    iv, numbers = it.iv, it.reserved
    tx.run(
        "INSERT INTO mesh_networks VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT(home_id) DO UPDATE SET"
        " network_id=excluded.network_id, address=excluded.address, elements=excluded.elements,"
        " iv_index=excluded.iv_index, iv_updating=excluded.iv_updating, iv_since=excluded.iv_since,"
        " iv_recovered=excluded.iv_recovered, numbers_iv=excluded.numbers_iv, numbers_upto=excluded.numbers_upto,"
        " numbers_floor=excluded.numbers_floor, numbers_floor_iv=excluded.numbers_floor_iv,"
        " numbered_at=excluded.numbered_at, incarnation=excluded.incarnation",
        (
            *(home_id, it.network_id, it.address, it.elements, iv.index, iv.updating, iv.since, iv.recovered),
            *(numbers.iv_index, numbers.upto, numbers.floor, numbers.floor_iv, it.numbered_at, it.incarnation),
        ),
    )


def drop_network(tx: Tx, home_id: str) -> None:
    """A home's network, with all that belongs to it but its secrets."""
    for table in TABLES:
        tx.run(f"DELETE FROM {table} WHERE home_id=?", (home_id,))  # noqa: S608 - our own names


def keys(reader: Reader, home_id: str) -> list[KeyRow]:
    """The network and application keys."""
    rows = reader.all("SELECT kind,key_index,net_index,phase FROM mesh_keys WHERE home_id=?", (home_id,))
    return [KeyRow(*row) for row in rows]


def put_keys(tx: Tx, home_id: str, rows: Iterable[KeyRow]) -> None:
    """These, and no others."""
    tx.run("DELETE FROM mesh_keys WHERE home_id=?", (home_id,))
    for it in rows:
        tx.run("INSERT INTO mesh_keys VALUES(?,?,?,?,?)", (home_id, it.kind, it.index, it.net_index, it.phase))


def nodes(reader: Reader, home_id: str) -> list[NodeRow]:
    """The nodes, without their device keys."""
    sql = "SELECT uuid,address,elements,name,net_keys,app_keys,composition FROM mesh_nodes WHERE home_id=?"
    return [_node(row) for row in reader.all(sql, (home_id,))]


def put_node(tx: Tx, home_id: str, it: NodeRow) -> None:
    """A node, new or changed."""
    indexes = [msgspec.json.encode(which).decode() for which in (it.net_keys, it.app_keys)]
    tx.run(
        "INSERT INTO mesh_nodes VALUES(?,?,?,?,?,?,?,?,NULL) ON CONFLICT(home_id,address) DO UPDATE SET"
        " uuid=excluded.uuid, elements=excluded.elements, name=excluded.name, net_keys=excluded.net_keys,"
        " app_keys=excluded.app_keys, composition=excluded.composition",
        (home_id, it.address, it.uuid, it.elements, it.name, *indexes, it.composition),
    )


def delete_node(tx: Tx, home_id: str, address: int) -> None:
    """A node, and what its models listen to."""
    where = "DELETE FROM mesh_subscriptions WHERE home_id=? AND element>=? AND element<"
    count = "(SELECT address+elements FROM mesh_nodes WHERE home_id=? AND address=?)"
    tx.run(where + count, (home_id, address, home_id, address))
    tx.run("DELETE FROM mesh_nodes WHERE home_id=? AND address=?", (home_id, address))


def leaving(reader: Reader, home_id: str) -> dict[int, bytes]:
    """The nodes that are to be reset: their addresses, and which they are."""
    rows = reader.all("SELECT address,uuid FROM mesh_nodes WHERE home_id=? AND leaving_at>0", (home_id,))
    return {row[0]: row[1] for row in rows}


def let_go(tx: Tx, home_id: str, uuid: bytes, beginning: str, but: str = "") -> None:
    """A node is to be reset, unless a device of it (whose hardware ids have this `beginning`) is in use here."""
    tx.run(
        "UPDATE mesh_nodes SET leaving_at=? WHERE home_id=? AND uuid=? AND leaving_at IS NULL AND NOT EXISTS"
        " (SELECT 1 FROM devices WHERE home_id=? AND substr(hardware_id,1,?)=? AND id<>? AND unbound_at IS NULL)",
        (tx.now, home_id, uuid, home_id, len(beginning), beginning, but),
    )


def keep_apart(tx: Tx, home_id: str, address: int) -> None:
    """A node that others have brought in, and the hub has no use for: it is never to be reset (its moment is 0)."""
    tx.run("UPDATE mesh_nodes SET leaving_at=0 WHERE home_id=? AND address=?", (home_id, address))


def stay(tx: Tx, home_id: str, uuid: bytes) -> None:
    """A node is in use again."""
    tx.run("UPDATE mesh_nodes SET leaving_at=NULL WHERE home_id=? AND uuid=?", (home_id, uuid))


def groups(reader: Reader, home_id: str) -> dict[str, int]:
    """The address of each group that has one."""
    rows = reader.all("SELECT group_id,address FROM mesh_groups WHERE home_id=?", (home_id,))
    return {row[0]: row[1] for row in rows}


def put_group(tx: Tx, home_id: str, group_id: str, address: int) -> None:
    """A group has this address from now on."""
    tx.run("INSERT INTO mesh_groups(group_id,home_id,address) VALUES(?,?,?)", (group_id, home_id, address))


def delete_group(tx: Tx, group_id: str) -> None:
    """Its address is free again."""
    tx.run("DELETE FROM mesh_groups WHERE group_id=?", (group_id,))


def subscriptions(reader: Reader, home_id: str) -> set[tuple[int, str, int]]:
    """What the nodes have acknowledged: element, model, group address."""
    rows = reader.all("SELECT element,model,address FROM mesh_subscriptions WHERE home_id=?", (home_id,))
    return {(row[0], row[1], row[2]) for row in rows}


def put_subscription(tx: Tx, home_id: str, one: tuple[int, str, int]) -> None:
    """A model listens to a group."""
    tx.run("INSERT OR IGNORE INTO mesh_subscriptions VALUES(?,?,?,?)", (home_id, *one))


def delete_subscription(tx: Tx, home_id: str, one: tuple[int, str, int]) -> None:
    """It does no more."""
    tx.run("DELETE FROM mesh_subscriptions WHERE home_id=? AND element=? AND model=? AND address=?", (home_id, *one))


def retired(reader: Reader, home_id: str) -> list[tuple[int, int]]:
    """Addresses not to be given away: the first, and how many."""
    rows = reader.all("SELECT address,elements FROM mesh_retired WHERE home_id=?", (home_id,))
    return [(row[0], row[1]) for row in rows]


def retire(tx: Tx, home_id: str, spans: Iterable[tuple[int, int]]) -> None:
    """Give these away no more."""
    for first, count in spans:
        tx.run("INSERT OR IGNORE INTO mesh_retired VALUES(?,?,?)", (home_id, first, count))


def replay(reader: Reader, home_id: str) -> dict[int, int]:
    """The newest mark of each source."""
    return {row[0]: row[1] for row in reader.all("SELECT source,mark FROM mesh_replay WHERE home_id=?", (home_id,))}


def raise_replay(tx: Tx, home_id: str, marks: dict[int, int]) -> None:
    """The newest marks of these sources: an older one changes nothing."""
    for source, mark in marks.items():
        tx.run(
            "INSERT INTO mesh_replay VALUES(?,?,?)"
            " ON CONFLICT(home_id,source) DO UPDATE SET mark=max(mark,excluded.mark)",
            (home_id, source, mark),
        )


def _node(row: Row) -> NodeRow:
    uuid, address, elements, name, net_keys, app_keys, composition = row
    return NodeRow(
        uuid=uuid,
        address=address,
        elements=elements,
        device_key=b"",
        name=name,
        net_keys=_indexes(net_keys),
        app_keys=_indexes(app_keys),
        composition=composition,
    )
