"""A virtual node as a Bluetooth peripheral without a radio: writes in, notifications and advertisements out.

Whoever carries it (a bumble peripheral, a test) calls `connected`, `written`, `tick` and `disconnected`, sends what
`take_notifications` gives, advertises `advertisement`, and ends the connection where `wants_disconnect` says so.
"""

from collections.abc import Callable
from contextlib import suppress

from msgspec import Struct

from ble.errors import BleError
from ble.mesh import network, pb_gatt
from ble.mesh.advert_proof import node_identity_hash
from ble.mesh.exchange import ByDevice, Configured, Received
from ble.mesh.iv import Iv
from ble.mesh.keyring import materials
from ble.mesh.keys import NetKey, network_id
from ble.mesh.node.faults import SLOW_S, AnyFault, NodeFault
from ble.mesh.node.joining import Joining
from ble.mesh.node.memory import Kept, keep, put_back
from ble.mesh.node.node import Node, Outgoing
from ble.mesh.node.products import Product
from ble.mesh.node.proxying import Filter
from ble.mesh.provisioning.data import IV_UPDATE, KEY_REFRESH
from ble.mesh.provisioning.device import Device, Joined, join
from ble.mesh.provisioning.faults import Fault, misbehave
from ble.mesh.provisioning.pdus import Capabilities
from ble.mesh.provisioning.talk import Entropy
from ble.mesh.proxy import Kind, Reassembly, Whole, segments
from ble.mesh.proxy_filter import Configuration
from ble.mesh.stack import Stack
from ble.mesh.state import MeshState
from ble.radio import uuid16

PROXY_SERVICE, PROXY_IN, PROXY_OUT = uuid16(0x1828), uuid16(0x2ADD), uuid16(0x2ADE)
_NETWORK, _IDENTITY = 0, 1
_INVITE_PDU, _DATA_PDU = 0, 7


class Advertised(Struct, frozen=True):
    """Connectable: the service and its service data."""

    service: str
    data: bytes


class Notification(Struct, frozen=True):
    characteristic: str
    data: bytes


class Peripheral:
    """One device, unprovisioned at first (or a node already, with what it `kept`).

    `make` builds the product afresh, as a reset does. `typed` is what a person enters at the device. `save` is called
    with what is to be kept (None after a reset) before anything that follows from it is sent.
    """

    def __init__(
        self,
        make: Callable[[], Product],
        uuid: bytes,
        *,
        entropy: Entropy,
        fault: AnyFault | None = None,
        device: Device | None = None,
        kept: Kept | None = None,
        save: Callable[[Kept | None], None] = lambda _: None,
    ) -> None:
        self.uuid = uuid
        self.typed = ""
        self.wants_disconnect = False
        self.drop_at = 0
        """With which provisioning PDU of a connection it ends that, counted from 1; 0 for never."""
        self.on_air: Callable[[bytes], None] = lambda _: None
        """Told each network PDU that this node sends, for neighbours to `hear`."""
        self.on_attention: Callable[[int], None] = lambda _: None
        """Told for how many seconds to draw attention, when a provisioner asks for it."""
        self._make, self._entropy, self._fault, self._device = make, entropy, fault, device
        self._save = save
        self.product = make()
        self.node: Node | None = None
        self.stack: Stack | None = None
        self._joining: Joining | None = None
        self._reassembly = Reassembly()
        self._filter = Filter()
        self._max_write = 0
        self._pdus = 0
        self._notifications: list[Notification] = []
        self._later: list[tuple[float, Outgoing]] = []
        if kept is not None:
            put_back(kept.models, self.product.elements)
            self._become(kept.state)

    @property
    def state(self) -> MeshState | None:
        """What it has to remember; None while it is unprovisioned."""
        return self.node.state if self.node else None

    @property
    def shown(self) -> str:
        """What a person sees at the device now."""
        return self._joining.shown if self._joining else ""

    @property
    def advertisement(self) -> Advertised:
        if self.node is None:
            return Advertised(pb_gatt.SERVICE, self.uuid + bytes(2))
        key = self.node.state.net_keys[min(self.node.state.net_keys)]
        if key.index in self.node.configuration.settings.identity:
            random = self._entropy(8)
            proof = node_identity_hash(key.sending, random, self.node.state.address)
            return Advertised(PROXY_SERVICE, bytes([_IDENTITY]) + proof + random)
        return Advertised(PROXY_SERVICE, bytes([_NETWORK]) + network_id(key.sending))

    # The connection

    def connected(self, max_write: int, now: float) -> None:
        """Somebody connected and subscribed; `max_write` is ATT_MTU - 3."""
        self._max_write, self._reassembly, self._filter = max_write, Reassembly(), Filter()
        self.wants_disconnect, self._pdus = False, 0
        if self.stack is not None:
            self.stack.beacon(min(self.stack.state.net_keys))
            self._flush(now)
            return
        device = self._device or Device(capabilities=Capabilities(elements=len(self.product.elements)))
        talk = join(device, entropy=self._entropy)
        if isinstance(self._fault, Fault):
            talk = misbehave(talk, self._fault)
        self._joining = Joining(talk, now, lambda: self.typed)

    def disconnected(self) -> None:
        self._max_write = 0
        self._notifications.clear()
        if self._joining is not None:
            self._joining.stop()
            self._joining = None

    def written(self, characteristic: str, data: bytes, now: float, wall: float) -> None:
        """A write to 2ADB or 2ADD. What is malformed or not authentic is dropped."""
        try:
            whole = self._reassembly.feed(data, now)
            if whole is not None and whole.kind is Kind.PROVISIONING and characteristic == pb_gatt.DATA_IN:
                self._provisioning(whole.data, now)
            elif whole is not None and whole.kind is not Kind.PROVISIONING and characteristic == PROXY_IN:
                self._from_client(whole, now, wall)
        except BleError:
            return

    def take_notifications(self) -> list[Notification]:
        taken, self._notifications = self._notifications, []
        return taken

    # Time

    @property
    def next_deadline(self) -> float | None:
        """When `tick` is due at the latest; a transition's end is found by ticking every so often."""
        due: list[float | None] = [when for when, _ in self._later]
        due += [self._joining.deadline] if self._joining else []
        due += [self.stack.next_deadline] if self.stack else []
        due += [self.node.next_deadline] if self.node else []
        return min((when for when in due if when is not None), default=None)

    def tick(self, now: float) -> None:
        if self._joining is not None:
            self._joining.tick(now)
            self._after_joining(now)
        if self.node is None or self.stack is None:
            return
        self.stack.tick(now)
        for outgoing in self.node.tick(now):
            self._say(outgoing, now)
        for _, outgoing in [one for one in self._later if one[0] <= now]:
            self._send(outgoing, now)
        self._later = [one for one in self._later if one[0] > now]
        self._flush(now)

    # Provisioning

    def _provisioning(self, pdu: bytes, now: float) -> None:
        if self._joining is None:
            return
        self._pdus += 1
        if len(pdu) > 1 and pdu[0] == _INVITE_PDU:
            self.on_attention(pdu[1])
        drops_now = self._fault is NodeFault.DROPS_ON_DATA and pdu[:1] == bytes([_DATA_PDU])
        if drops_now or self._pdus == self.drop_at:
            self.wants_disconnect = True
            return
        self._joining.receive(pdu, now)
        self._after_joining(now)

    def _after_joining(self, now: float) -> None:
        joining = self._joining
        if joining is None:
            return
        for pdu in joining.take_out():
            self._notify(pb_gatt.DATA_OUT, Whole(Kind.PROVISIONING, pdu))
        if joining.joined is not None:
            self._joining = None
            self._become(_state_of(joining.joined, len(self.product.elements)))
            self.product.health.attend(joining.joined.attention, now)

    def _become(self, state: MeshState) -> None:
        self.node = Node(self.product, state)
        self.stack = Stack(state, provisioner=False)
        self._listen(self.node)
        self._reserve()

    def _listen(self, node: Node) -> None:
        if self.stack is not None:
            self.stack.groups, self.stack.labels = node.groups, node.labels

    def reset_by_hand(self) -> None:
        self._forget()
        self.wants_disconnect = True

    def _forget(self) -> None:
        """Back to how it left its factory."""
        self.product = self._make()
        self.node = self.stack = None
        self._later.clear()
        self._save(None)

    # The network

    def hear(self, pdu: bytes, now: float, wall: float) -> None:
        """A network PDU from a neighbour: for us, for our proxy client, or neither."""
        whole = Whole(Kind.NETWORK, pdu)
        self._pass_on(whole)
        try:
            self._receive(whole, now, wall)
        except BleError:
            return

    def _from_client(self, whole: Whole, now: float, wall: float) -> None:
        if whole.kind is Kind.NETWORK and self.stack is not None:
            opened = network.unseal(whole.data, materials(self.stack.state), self.stack.state.iv.index)
            self._filter.heard_from(opened.pdu.src)
            self.on_air(whole.data)
        self._receive(whole, now, wall)

    def _receive(self, whole: Whole, now: float, wall: float) -> None:
        if self.node is None or self.stack is None:
            return
        self.stack.receive(whole, now, wall)
        for event in self.stack.take_events():
            match event:
                case Received():
                    self._heard(self.node, event, now)
                case Configured(_, message):
                    self._configured(message)
        self._flush(now)

    def _configured(self, message: Configuration) -> None:
        status = self._filter.configure(message)
        if status is not None and self.stack is not None:
            self.stack.configure(status, net_index=min(self.stack.state.net_keys))

    def _heard(self, node: Node, event: Received, now: float) -> None:
        answers = node.handle(event, now)
        if self._is_reset(node):
            if self._fault is not NodeFault.RESETS_SILENTLY:
                self._say_all(answers, now)
                self._flush(now)
            self._forget()
            self.wants_disconnect = True
            return
        if isinstance(event.key, ByDevice):
            self._listen(node)
            self._keep()
        if self._fault is NodeFault.IGNORES_RESET and node.configuration.reset:
            node.configuration.reset = False
            return
        self._say_all(answers, now)

    def _is_reset(self, node: Node) -> bool:
        return node.configuration.reset and self._fault is not NodeFault.IGNORES_RESET

    def _say_all(self, answers: list[Outgoing], now: float) -> None:
        for answer in answers:
            self._say(answer, now)

    def _say(self, outgoing: Outgoing, now: float) -> None:
        if self._fault is NodeFault.SILENT:
            return
        if self._fault is NodeFault.SLOW:
            self._later.append((now + SLOW_S, outgoing))
            return
        self._send(outgoing, now)

    def _send(self, outgoing: Outgoing, now: float) -> None:
        if self.stack is None:
            return
        said = outgoing
        with suppress(BleError):  # a key that has been deleted since, or too much at once: it is not said
            self.stack.send(said.dst, said.payload, said.key, now, src=said.src, label=said.label)

    def _flush(self, now: float) -> None:
        if self.stack is None:
            return
        self._reserve()
        for whole in self.stack.take_out():
            if whole.kind is Kind.NETWORK:
                self._pass_on(whole)
                self.on_air(whole.data)
            else:
                self._notify(PROXY_OUT, whole)

    def _reserve(self) -> None:
        if self.stack is not None and (reserved := self.stack.reserve_due()) is not None:
            self._keep()
            self.stack.reserve_written(reserved)

    def _keep(self) -> None:
        if self.node is not None:
            self._save(keep(self.node.state, self.product.elements))

    def _pass_on(self, whole: Whole) -> None:
        """To the client, where its filter wants it."""
        if self.stack is None or not self._max_write:
            return
        try:
            opened = network.unseal(whole.data, materials(self.stack.state), self.stack.state.iv.index)
        except BleError:
            return
        if self._filter.passes(opened.pdu.dst):
            self._notify(PROXY_OUT, whole)

    def _notify(self, characteristic: str, whole: Whole) -> None:
        if self._max_write:
            parts = segments(whole.kind, whole.data, self._max_write)
            self._notifications += [Notification(characteristic, part) for part in parts]


def _state_of(joined: Joined, elements: int) -> MeshState:
    data = joined.data
    key = NetKey(index=data.net_key_index, key=data.net_key)
    if data.flags & KEY_REFRESH:  # what is handed over then is the new key, already in use (5.4.2.5)
        key = NetKey(index=data.net_key_index, key=data.net_key, new_key=data.net_key, phase=2)
    return MeshState(
        address=data.unicast,
        elements=elements,
        device_key=joined.device_key,
        net_keys={data.net_key_index: key},
        iv=Iv(index=data.iv_index, updating=bool(data.flags & IV_UPDATE)),
    )
