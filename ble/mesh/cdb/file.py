"""Reads and writes the database's JSON. What comes in is anybody's: capped, checked, and refused as a whole."""

from collections.abc import Hashable, Iterable
from typing import TypeVar

import msgspec

from ble.errors import Malformed
from ble.mesh.address import MAX_UNICAST
from ble.mesh.cdb.schema import Database, NodeRow

V = TypeVar("V", bound=Hashable)

MAX_SIZE = 16 * 1024 * 1024

_DECODER = msgspec.json.Decoder(Database)


class DatabaseInvalid(Malformed):
    """The file is no Mesh Configuration Database, or contradicts itself. Its text never repeats a key."""

    code = "cdb_invalid"
    hint = "Export the network again from the application that made the file."


def load(text: bytes) -> Database:
    """Raises DatabaseInvalid."""
    if len(text) > MAX_SIZE:
        raise DatabaseInvalid(f"{len(text)} octets")
    try:
        database = _DECODER.decode(text)
    except msgspec.MsgspecError as error:
        raise DatabaseInvalid(str(error)) from None
    except (RecursionError, UnicodeDecodeError) as error:
        raise DatabaseInvalid(type(error).__name__) from None
    _check(database)
    return database


def dump(database: Database) -> bytes:
    """The file: two spaces of indentation, hexadecimal text in upper case as it was put in."""
    return msgspec.json.format(msgspec.json.encode(database), indent=2)


def _check(database: Database) -> None:
    """Whether it says each thing once, and names only what it has."""
    nets = _unique("network key index", (key.index for key in database.net_keys))
    apps = _unique("application key index", (key.index for key in database.app_keys))
    _unique("node", (plain(node.uuid) for node in database.nodes))
    _unique("group address", (group.address.upper() for group in database.groups))
    _unique("scene number", (row.number.upper() for row in database.scenes))
    for app in database.app_keys:
        if app.bound_net_key not in nets:
            raise DatabaseInvalid("an application key is bound to a network key that is not there")
    for node in database.nodes:
        if sorted(element.index for element in node.elements) != list(range(len(node.elements))):
            raise DatabaseInvalid("a node's elements are not numbered one after the other")
    _check_addresses(database.nodes)
    if not database.partial:  # a partial export may name keys that were held back (2.1.1)
        _check_keys(database.nodes, nets, apps)


def _check_addresses(nodes: list[NodeRow]) -> None:
    taken = 0
    living = (node for node in nodes if not node.excluded)
    for first, count in sorted((int(node.unicast_address, 16), len(node.elements)) for node in living):
        if not 1 <= first <= MAX_UNICAST - count + 1:
            raise DatabaseInvalid("a node without unicast addresses")
        if first <= taken:
            raise DatabaseInvalid("two nodes share an address")
        taken = first + count - 1


def _check_keys(nodes: list[NodeRow], nets: set[int], apps: set[int]) -> None:
    for node in nodes:
        known_nets = {key.index for key in node.net_keys} <= nets
        known_apps = {key.index for key in node.app_keys} <= apps
        if not (known_nets and known_apps):
            raise DatabaseInvalid("a node has a key that is not there")


def _unique(what: str, values: Iterable[V]) -> set[V]:
    seen: set[V] = set()
    for value in values:
        if value in seen:
            raise DatabaseInvalid(f"a {what} is there twice")
        seen.add(value)
    return seen


def plain(uuid: str) -> str:
    """A UUID as 32 upper-case digits."""
    return uuid.replace("-", "").upper()
