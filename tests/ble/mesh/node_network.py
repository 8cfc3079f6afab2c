"""A small network without a radio: a hub's stack, connected to one virtual node, with others in earshot."""

import random
from collections import deque
from collections.abc import Callable
from typing import Any

from ble.mesh import pb_gatt
from ble.mesh.access import Message, unpack
from ble.mesh.configure import Answer, Enter, LookFor, Phase, Procedure, Request, T
from ble.mesh.exchange import ByApp, ByDevice, KeyName, Received
from ble.mesh.keyring import revoke_old
from ble.mesh.keys import AppKey, NetKey
from ble.mesh.node.faults import AnyFault
from ble.mesh.node.peripheral import PROXY_IN, PROXY_OUT, PROXY_SERVICE, Notification, Peripheral
from ble.mesh.node.products import Product
from ble.mesh.provisioning.choosing import Choice
from ble.mesh.provisioning.data import ProvisioningData
from ble.mesh.provisioning.errors import ProvisioningTimedOut
from ble.mesh.provisioning.provisioner import Provisioned, provision
from ble.mesh.provisioning.talk import Ask, Assign, Receive, Send
from ble.mesh.proxy import Kind, Reassembly, segments
from ble.mesh.stack import Stack
from ble.mesh.state import MeshState, NodeRow

HUB = 0x0001
NET, APP = 0, 0
NET_KEY, APP_KEY = b"n" * 16, b"a" * 16
SIZE = 66
STEP_S = 0.25
PATIENCE_S = 20.0


class Network:
    """Virtual time. The proxy is whichever node is connected."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.random = random.Random(5)
        state = MeshState(address=HUB, elements=1, device_key=bytes(16))
        state.net_keys[NET] = NetKey(index=NET, key=NET_KEY)
        state.app_keys[APP] = AppKey(index=APP, key=APP_KEY, net_index=NET)
        self.hub = Stack(state)
        self.nodes: list[Peripheral] = []
        self.proxy: Peripheral | None = None
        self.heard: list[Received] = []
        self.phases: list[Phase] = []
        self._reassembly = Reassembly()
        self._notified: deque[Notification] = deque()
        self._reserve()

    def add(self, make: Callable[[], Product], fault: AnyFault | None = None, **more: Any) -> Peripheral:
        uuid = self.random.randbytes(16)
        node = Peripheral(make, uuid, entropy=self.random.randbytes, fault=fault, **more)
        node.on_air = lambda pdu: self._spread(node, pdu)
        self.nodes.append(node)
        return node

    def _spread(self, sender: Peripheral, pdu: bytes) -> None:
        for node in self.nodes:
            if node is not sender:
                node.hear(pdu, self.now, self.now)

    # Provisioning

    def join(self, node: Peripheral, choice: Choice | None = None) -> Provisioned:
        """Make it a node of this network."""
        talk = provision(choice or Choice(), entropy=self.random.randbytes)
        node.connected(SIZE, self.now)
        self._notified.clear()
        reassembly = Reassembly()
        answer: Any = None
        thrown: Exception | None = None
        while True:
            try:
                action = talk.throw(thrown) if thrown else talk.send(answer)
            except StopIteration as stop:
                node.disconnected()
                provisioned: Provisioned = stop.value
                return provisioned
            answer, thrown = None, None
            match action:
                case Send(pdu):
                    for part in segments(Kind.PROVISIONING, pdu, SIZE):
                        node.written(pb_gatt.DATA_IN, part, self.now, self.now)
                case Receive():
                    answer = self._provisioning_pdu(node, reassembly)
                    thrown = ProvisioningTimedOut("nothing came") if answer is None else None
                case Ask():
                    answer = node.shown
                case Assign(elements, device_key):
                    answer = self._assign(node, elements, device_key)

    def _provisioning_pdu(self, node: Peripheral, reassembly: Reassembly) -> bytes | None:
        self._notified += node.take_notifications()
        while self._notified:
            one = self._notified.popleft()
            assert one.characteristic == pb_gatt.DATA_OUT
            whole = reassembly.feed(one.data, self.now)
            if whole is not None:
                return whole.data
        return None

    def _assign(self, node: Peripheral, elements: int, device_key: bytes) -> ProvisioningData:
        state = self.hub.state
        address = state.free_address(elements)
        state.add_node(
            NodeRow(uuid=node.uuid, address=address, elements=elements, device_key=device_key, net_keys=[NET])
        )
        key = state.net_keys[NET].sending
        return ProvisioningData(net_key=key, net_key_index=NET, flags=0, iv_index=state.iv.index, unicast=address)

    # Messages

    def connect(self, node: Peripheral) -> None:
        assert node.advertisement.service == PROXY_SERVICE
        if self.proxy:
            self.proxy.disconnected()
        self.proxy, self._reassembly = node, Reassembly()
        node.connected(SIZE, self.now)
        self._pump()

    def send(self, dst: int, message: Message, key: KeyName, label: bytes = b"") -> None:
        self.hub.send(dst, message.pack(), key, self.now, label=label)
        self._pump()

    def say(self, dst: int, message: Message, *, label: bytes = b"", seconds: float = 1.0) -> list[tuple[int, Message]]:
        """Under the application key; what is heard within those seconds, and from whom."""
        begin = len(self.heard)
        self.send(dst, message, ByApp(APP), label)
        self.wait(seconds)
        return [(one.src, unpack(one.payload)) for one in self.heard[begin:]]

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += STEP_S
            for node in self.nodes:
                node.tick(self.now)
            self.hub.tick(self.now)
            self._pump()

    def _pump(self) -> None:
        moved = True
        while moved and self.proxy:
            self._reserve()
            moved = False
            for whole in self.hub.take_out():
                for part in segments(whole.kind, whole.data, SIZE):
                    self.proxy.written(PROXY_IN, part, self.now, self.now)
                moved = True
            for one in self.proxy.take_notifications():
                assert one.characteristic == PROXY_OUT
                heard = self._reassembly.feed(one.data, self.now)
                if heard is not None:
                    self.hub.receive(heard, self.now, self.now)
                moved = True
            self.heard += [event for event in self.hub.take_events() if isinstance(event, Received)]
            if self.proxy.wants_disconnect:
                self.proxy.disconnected()
                self.proxy = None

    def _reserve(self) -> None:
        if (reserved := self.hub.reserve_due()) is not None:
            self.hub.reserve_written(reserved)

    # Procedures

    def carry_out(self, procedure: Procedure[T], patience: float = PATIENCE_S) -> T:
        """Its result; raises what it raises."""
        answer: Answer = None
        while True:
            try:
                action = procedure.send(answer)
            except StopIteration as stop:
                result: T = stop.value
                return result
            match action:
                case Request():
                    answer = self._asked(action, patience)
                case LookFor(address):
                    row = self.hub.state.node_of(address)
                    answer = row is not None and any(one.uuid == row.uuid and one.node is None for one in self.nodes)
                case Enter(phase):
                    self._enter(phase)
                    answer = None

    def _asked(self, request: Request, patience: float) -> Answer:
        begin = len(self.heard)
        self.send(request.address, request.message.message(), ByDevice(request.address))
        end = self.now + patience
        while self.now < end:
            for one in self.heard[begin:]:
                message = unpack(one.payload)
                if one.src == request.address and request.answered_by(message):
                    return request.expects.read(message.parameters)
            self.wait(STEP_S)
        return None

    new_net_key = b"N" * 16
    new_app_key = b"A" * 16

    def _enter(self, phase: Phase) -> None:
        self.phases.append(phase)
        key = self.hub.state.net_keys[NET]
        if phase is Phase.DISTRIBUTE:
            if key.phase == 0:
                key.begin(self.new_net_key)
            self.hub.state.app_keys[APP].new_key = self.new_app_key
        elif phase is Phase.USE_NEW:
            key.use_new()
        else:
            revoke_old(self.hub.state, NET)
