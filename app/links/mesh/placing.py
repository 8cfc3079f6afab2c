"""Which device is where in a network: its node, and what part of that it is."""

from collections.abc import Iterator
from functools import lru_cache

from msgspec import Struct

from app.devices.service import Devices
from app.links.mesh.kinds import Part, parts_of
from ble.errors import Malformed
from ble.mesh.config.composition import Composition, Features, unpack
from ble.mesh.state import MeshState, NodeRow


class Placed(Struct, frozen=True, kw_only=True):
    """A device: `address` is its node's, that of the first element."""

    device_id: str
    address: int
    part: Part
    sleeps: bool

    def at(self, element: int) -> int:
        """The address of an element, counted from the node's first."""
        return self.address + element


class Places:
    """The devices of a home's network; `learn` after nodes or devices have changed."""

    def __init__(self, devices: Devices) -> None:
        self._devices = devices
        self._by_device: dict[str, Placed] = {}
        self._by_node: dict[int, list[Placed]] = {}

    def learn(self, state: MeshState) -> None:
        """Every device of these nodes, as it is now."""
        placed = [one for node in state.nodes.values() for one in self._of_node(node)]
        by_node: dict[int, list[Placed]] = {}
        for one in placed:
            by_node.setdefault(one.address, []).append(one)
        self._by_device, self._by_node = {one.device_id: one for one in placed}, by_node

    def get(self, device_id: str) -> Placed | None:
        return self._by_device.get(device_id)

    def on(self, address: int) -> list[Placed]:
        """The devices of a node."""
        return self._by_node.get(address, [])

    @property
    def nodes(self) -> list[int]:
        """The nodes that are devices."""
        return list(self._by_node)

    def _of_node(self, node: NodeRow) -> Iterator[Placed]:
        made = composition_of(node.composition)
        if made is None:
            return
        for part in parts_of(made):
            device = self._devices.of_hardware(part.hardware_id(node.uuid))
            if device is not None:
                sleeps = bool(made.features & Features.LOW_POWER)
                yield Placed(device_id=device.id, address=node.address, part=part, sleeps=sleeps)


def parts_told(page: bytes) -> list[Part]:
    """The devices of a node by its composition page; none where it has not told, or has nothing of use."""
    made = composition_of(page)
    return [] if made is None else parts_of(made)


@lru_cache(maxsize=4096)
def composition_of(page: bytes) -> Composition | None:
    """None where the node has not told yet, or nothing that can be read."""
    try:
        return unpack(page) if page else None
    except Malformed:
        return None
