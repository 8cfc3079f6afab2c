"""A node: access payloads in, answers and publications out. It knows no bearer and no clock."""

from collections.abc import Iterator

from msgspec import Struct

from ble.errors import Malformed
from ble.mesh import access
from ble.mesh.access import Message
from ble.mesh.address import Fixed, is_unicast, is_virtual
from ble.mesh.exchange import ByApp, ByDevice, KeyName, Received
from ble.mesh.models.server import Heard
from ble.mesh.models.transition import RESOLUTIONS_MS
from ble.mesh.models.vendor import VendorServer
from ble.mesh.node.configuration import ConfigurationServer
from ble.mesh.node.elements import Element, Model, composition, models_of
from ble.mesh.node.products import Product
from ble.mesh.state import MeshState
from ble.mesh.wire import WireMessage
from ble.mesh.wire import read as read_by

_FOR_THE_PRIMARY = (Fixed.ALL_NODES, Fixed.ALL_PROXIES, Fixed.ALL_RELAYS)


class Outgoing(Struct, frozen=True, kw_only=True):
    """What the node says: an access payload from one of its elements."""

    src: int
    dst: int
    payload: bytes
    key: KeyName
    label: bytes = b""


class Node:
    """The upper half of a node whose keys and addresses are in `state`."""

    def __init__(self, product: Product, state: MeshState) -> None:
        self.state = state
        self.product = product
        made = composition(
            product.elements,
            company=product.company,
            product=product.product,
            version=product.version,
            features=product.features,
        )
        self.configuration = ConfigurationServer(state, product.elements, made)
        self._told: dict[int, WireMessage] = {}
        self._next: dict[int, float] = {}

    @property
    def groups(self) -> set[int]:
        """The group addresses that any model listens to."""
        return {group for model in models_of(self.product.elements) for group in model.groups}

    @property
    def labels(self) -> set[bytes]:
        """The label UUIDs that any model listens to."""
        return {label for model in models_of(self.product.elements) for label in model.labels.values()}

    def handle(self, heard: Received, now: float) -> list[Outgoing]:
        """The answers to an access payload that the stack found authentic and new. What is malformed is ignored."""
        try:
            message = access.unpack(heard.payload)
            if isinstance(heard.key, ByDevice):
                return self._configured(heard, message)
            return list(self._answers(heard, message, now))
        except Malformed:
            return []

    def _configured(self, heard: Received, message: Message) -> list[Outgoing]:
        """Under our own device key, to our first element, and nothing else (4.4.1)."""
        ours = heard.key == ByDevice(self.state.address) and heard.dst == self.state.address
        answer = self.configuration.handle(message) if ours else None
        if answer is None:
            return []
        payload = answer.message().pack()
        return [Outgoing(src=self.state.address, dst=heard.src, payload=payload, key=heard.key)]

    def _answers(self, heard: Received, message: Message, now: float) -> Iterator[Outgoing]:
        if not isinstance(heard.key, ByApp):
            return
        at = Heard(now, heard.src, heard.dst)
        for index, element in enumerate(self.product.elements):
            for model in element.models:
                if heard.key.index in model.bound and self._is_meant(index, model, heard):
                    answer = _spoken_to(element, model, message, at)
                    if answer is not None:
                        src, payload = self.state.address + index, answer.pack()
                        yield Outgoing(src=src, dst=heard.src, payload=payload, key=heard.key)

    def _is_meant(self, index: int, model: Model, heard: Received) -> bool:
        if is_unicast(heard.dst):
            return heard.dst == self.state.address + index
        if heard.dst in _FOR_THE_PRIMARY:
            return index == 0
        if is_virtual(heard.dst):
            return model.labels.get(heard.dst) == heard.label
        return heard.dst in model.groups

    def tick(self, now: float) -> list[Outgoing]:
        """What the models publish by now: states that have changed and come to rest, and what is due again."""
        out = []
        for index, element in enumerate(self.product.elements):
            for model in element.models:
                status = self._due(model, now)
                if status is not None and model.publishing is not None:
                    out.append(
                        Outgoing(
                            src=self.state.address + index,
                            dst=model.publishing.address,
                            payload=status.message().pack(),
                            key=ByApp(model.publishing.publication.app_key),
                            label=model.publishing.label,
                        )
                    )
        return out

    def _due(self, model: Model, now: float) -> WireMessage | None:
        server = model.server
        if model.publishing is None or server is None or isinstance(server, VendorServer):
            self._told.pop(id(model), None)
            self._next.pop(id(model), None)
            return None
        period = _period(model.publishing.publication.period)
        status = None if server.moving(now) else server.status(now)
        if status is None:
            return None
        changed = self._told.setdefault(id(model), status) != status
        if not changed and not (period and now >= self._next.setdefault(id(model), now + period)):
            return None
        self._told[id(model)], self._next[id(model)] = status, now + period
        return status

    @property
    def next_deadline(self) -> float | None:
        """When `tick` is due for what is published periodically; None where nothing is."""
        return min(self._next.values(), default=None)


def _spoken_to(element: Element, model: Model, message: Message, at: Heard) -> Message | None:
    server = model.server
    if server is None:
        return None
    if isinstance(server, VendorServer):
        return server.handle(message, at)
    read = read_by(message, server.MESSAGES)
    if read is None:
        return None
    answer = server.handle(read, at)
    element.sync(server, at.now)
    return None if answer is None else answer.message()


def _period(octet: int) -> float:
    """Seconds between publications; 0 for none (4.2.3.4)."""
    return (octet & 0x3F) * RESOLUTIONS_MS[octet >> 6] / 1000
