"""All that must outlive the process: keys, IV index, sequence numbers, replay list, addresses, and the nodes."""

from collections.abc import Callable, Iterable

from msgspec import Struct, field

from ble.errors import BleError
from ble.mesh.address import MAX_UNICAST
from ble.mesh.iv import MAX_JUMP, MIN_S, Iv
from ble.mesh.keys import AppKey, NetKey
from ble.mesh.network import MAX_SEQ
from ble.mesh.sequence import RATE, Reserved

JUMP = 1 << 20
"""Numbers that a restore leaves out beside what time accounts for: the rest of a block goes with each restart."""


class NoAddressLeft(BleError):
    """The network has no unicast addresses left for so many elements."""

    code = "no_address_left"


class NodeRow(Struct, kw_only=True):
    """A node of the network. `composition` is its composition data page 0 as it sent it."""

    uuid: bytes
    address: int
    elements: int
    device_key: bytes
    name: str = ""
    net_keys: list[int] = []
    app_keys: list[int] = []
    composition: bytes = b""

    def __repr__(self) -> str:
        return f"NodeRow(address={self.address:#06x}, elements={self.elements})"

    @property
    def addresses(self) -> range:
        return range(self.address, self.address + self.elements)


class MeshState(Struct, kw_only=True):
    """A member of a network: the hub that provisions it, or a node. `address` is our first element's."""

    address: int = 1
    elements: int = 1
    device_key: bytes = b""
    net_keys: dict[int, NetKey] = field(default_factory=dict)
    app_keys: dict[int, AppKey] = field(default_factory=dict)
    iv: Iv = Iv()
    reserved: Reserved = Reserved()
    replay: dict[int, int] = field(default_factory=dict)
    nodes: dict[int, NodeRow] = field(default_factory=dict)
    retired: list[tuple[int, int]] = field(default_factory=list)
    """Addresses (first, count) that must not be given away, for what the network still remembers of them."""

    def __repr__(self) -> str:
        return f"MeshState(address={self.address:#06x}, nodes={len(self.nodes)})"

    @property
    def addresses(self) -> range:
        return range(self.address, self.address + self.elements)

    def node_of(self, address: int) -> NodeRow | None:
        """The node one of whose elements has this address."""
        return next((node for node in self.nodes.values() if address in node.addresses), None)

    def free_address(self, elements: int, low: int = 1, high: int = MAX_UNICAST) -> int:
        """The first address with room for so many elements. Raises NoAddressLeft."""
        at = low
        for taken in sorted(self._taken(), key=lambda span: span.start):
            if at + elements <= taken.start:
                break
            at = max(at, taken.stop)
        if at + elements - 1 > high:
            raise NoAddressLeft(f"{elements} elements")
        return at

    def add_node(self, node: NodeRow) -> None:
        self.nodes[node.address] = node

    def remove_node(self, address: int) -> None:
        """Forget a node. Its addresses stay retired: others' replay lists would silence a new node there."""
        node = self.nodes.pop(address)
        self.retired.append((node.address, node.elements))

    def jump(self, elapsed_s: float, below: Callable[[int], int]) -> None:
        """After a restore from a backup that is `elapsed_s` old (negative: not known): repeat no sequence number.

        Numbers move past all that can have been used since. Where the range has no room for that, we move to an
        address, and to numbers, of our own choosing (`below` gives a random number), and nodes that publish to the old
        address have to be told. Save the restored state only after this.
        """
        used = max(int(elapsed_s), 0) * RATE + JUMP
        last_iv = self.iv.index + max(int(elapsed_s / MIN_S), 0) + 1 + MAX_JUMP
        upto, floor, iv_index = self.reserved.upto + used, self.reserved.floor + used, self.reserved.iv_index
        if elapsed_s < 0 or max(upto, floor) > MAX_SEQ // 2:
            self.retired.append((self.address, self.elements))
            # High up and at random: what was given away since the backup was given from below. The numbers as well:
            # an earlier restore from the same backup, of which nothing is known, may have chosen the same address.
            self.address = self.free_address(self.elements, low=0x4000 + below(0x3000))
            upto = floor = below(MAX_SEQ // 4)
            iv_index = self.iv.sending
        self.reserved = Reserved(iv_index=iv_index, upto=upto, floor=floor, floor_iv=last_iv)

    def _taken(self) -> Iterable[range]:
        yield self.addresses
        yield from (node.addresses for node in self.nodes.values())
        yield from (range(first, first + count) for first, count in self.retired)
