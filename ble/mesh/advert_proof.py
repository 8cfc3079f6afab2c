"""Whether a mesh proxy's advertisement is of a network of ours (Mesh Protocol 1.1, 7.2.2.2)."""

from collections.abc import Iterable

from ble.mesh import crypto
from ble.mesh.keys import network_id

_NETWORK_ID, _NODE_IDENTITY, _PRIVATE_NETWORK, _PRIVATE_NODE = range(4)


def node_identity_hash(net_key: bytes, random: bytes, address: int) -> bytes:
    """What a node puts beside `random` (8 octets) in its node identity (8 octets)."""
    block = bytes(6) + random + address.to_bytes(2, "big")
    return crypto.e(crypto.identity_key(net_key), block)[8:]


def is_of(service_data: bytes, net_key: bytes, addresses: Iterable[int]) -> bool:
    """Whether this service data of 0x1828 is from a proxy of the network, by its id or as one of these nodes."""
    if not service_data:
        return False
    kind, first, random = service_data[0], service_data[1:9], service_data[9:17]
    if kind == _NETWORK_ID:
        return len(service_data) == 9 and first == network_id(net_key)
    if len(service_data) != 17:
        return False
    key = crypto.identity_key(net_key)
    if kind == _PRIVATE_NETWORK:
        return crypto.same(crypto.e(key, network_id(net_key) + random)[8:], first)
    if kind not in (_NODE_IDENTITY, _PRIVATE_NODE):
        return False
    padding = bytes(5) + b"\x03" if kind == _PRIVATE_NODE else bytes(6)
    return any(
        crypto.same(crypto.e(key, padding + random + address.to_bytes(2, "big"))[8:], first) for address in addresses
    )
