"""The Configuration Server: a node's settings, changed by whoever has its device key (MshPRT 1.1, 4.4.1)."""

from msgspec import Struct, field

from ble.mesh.access import Message
from ble.mesh.config.composition import Composition, Features
from ble.mesh.config.messages import read
from ble.mesh.config.refused import Status
from ble.mesh.config.sar import (
    Receiver,
    ReceiverGet,
    ReceiverSet,
    ReceiverStatus,
    Transmitter,
    TransmitterGet,
    TransmitterSet,
    TransmitterStatus,
)
from ble.mesh.config.settings import (
    BeaconGet,
    BeaconSet,
    BeaconStatus,
    CompositionDataGet,
    CompositionDataStatus,
    DefaultTtlGet,
    DefaultTtlSet,
    DefaultTtlStatus,
    FriendGet,
    FriendSet,
    FriendStatus,
    GattProxyGet,
    GattProxySet,
    GattProxyStatus,
    HeartbeatPublicationGet,
    HeartbeatPublicationSet,
    HeartbeatPublicationStatus,
    HeartbeatSubscriptionGet,
    HeartbeatSubscriptionSet,
    HeartbeatSubscriptionStatus,
    NetworkTransmitGet,
    NetworkTransmitSet,
    NetworkTransmitStatus,
    NodeIdentityGet,
    NodeIdentitySet,
    NodeIdentityStatus,
    NodeReset,
    NodeResetStatus,
    RelayGet,
    RelaySet,
    RelayStatus,
    Retransmit,
)
from ble.mesh.node.bindings import Bindings
from ble.mesh.node.elements import Element
from ble.mesh.node.key_list import KeyList
from ble.mesh.state import MeshState
from ble.mesh.wire import WireMessage

NOT_SUPPORTED = 2
MAX_TTL = 0x7F


class Settings(Struct, kw_only=True):
    """What the node is set to as a whole; on, off or not supported are 1, 0 and 2."""

    beacon: int = 1
    ttl: int = 7
    proxy: int = 1
    relay: int = 0
    relay_retransmit: Retransmit = Retransmit(2, 1)
    transmit: Retransmit = Retransmit(2, 1)
    identity: set[int] = field(default_factory=set)
    transmitter: Transmitter = Transmitter()
    receiver: Receiver = Receiver()
    heartbeat: HeartbeatPublicationSet = HeartbeatPublicationSet(0, 0, 0, 0, 0, 0)
    listens: HeartbeatSubscriptionSet = HeartbeatSubscriptionSet(0, 0, 0)


class ConfigurationServer:
    """Changes `state` (keys), `elements` (bindings) and its own `settings`. `reset` is set by a Node Reset."""

    def __init__(self, state: MeshState, elements: list[Element], composition: Composition) -> None:
        self.settings = Settings(relay=0 if composition.features & Features.RELAY else NOT_SUPPORTED)
        self.reset = False
        self._composition = composition
        self._state = state
        self._bindings = Bindings(state, elements)
        self._keys = KeyList(state, elements)

    def handle(self, message: Message) -> WireMessage | None:
        """The answer; None where there is none to such a message. Raises Malformed."""
        asked = read(message)
        if asked is None:
            return None
        whole = (self._whole, self._switches, self._heartbeats, self._segmentation)
        for part in (self._keys.handle, self._bindings.handle, *whole):
            answer = part(asked)
            if answer is not None:
                return answer
        return None

    def _whole(self, asked: WireMessage) -> WireMessage | None:
        match asked:
            case CompositionDataGet():  # a page that is not there is answered with the highest below it
                return CompositionDataStatus(0, self._composition.pack())
            case NodeReset():
                self.reset = True
                return NodeResetStatus()
            case NodeIdentityGet(net_key) | NodeIdentitySet(net_key):
                return self._identity(asked, net_key)
            case NetworkTransmitSet(transmit):
                self.settings.transmit = transmit
                return NetworkTransmitStatus(transmit)
            case NetworkTransmitGet():
                return NetworkTransmitStatus(self.settings.transmit)
        return None

    def _segmentation(self, asked: WireMessage) -> WireMessage | None:
        """Kept and told; the stack below has timers of its own."""
        settings = self.settings
        match asked:
            case TransmitterGet() | TransmitterSet():
                settings.transmitter = asked.state if isinstance(asked, TransmitterSet) else settings.transmitter
                return TransmitterStatus(settings.transmitter)
            case ReceiverGet() | ReceiverSet():
                settings.receiver = asked.state if isinstance(asked, ReceiverSet) else settings.receiver
                return ReceiverStatus(settings.receiver)
        return None

    def _identity(self, asked: WireMessage, net_key: int) -> NodeIdentityStatus:
        if net_key not in self._state.net_keys:
            return NodeIdentityStatus(Status.INVALID_NETKEY_INDEX, net_key, 0)
        if isinstance(asked, NodeIdentitySet):
            (self.settings.identity.add if asked.identity else self.settings.identity.discard)(net_key)
        return NodeIdentityStatus(Status.SUCCESS, net_key, int(net_key in self.settings.identity))

    def _switches(self, asked: WireMessage) -> WireMessage | None:
        settings = self.settings
        match asked:
            case BeaconGet() | BeaconSet():
                settings.beacon = asked.beacon if isinstance(asked, BeaconSet) else settings.beacon
                return BeaconStatus(settings.beacon)
            case DefaultTtlGet() | DefaultTtlSet():
                return self._ttl(asked)
            case FriendGet() | FriendSet():
                return FriendStatus(NOT_SUPPORTED)
            case GattProxyGet() | GattProxySet():
                settings.proxy = asked.proxy if isinstance(asked, GattProxySet) else settings.proxy
                return GattProxyStatus(settings.proxy)
            case RelayGet() | RelaySet():
                return self._relay(asked)
        return None

    def _ttl(self, asked: WireMessage) -> WireMessage | None:
        if isinstance(asked, DefaultTtlSet):
            if asked.ttl == 1 or asked.ttl > MAX_TTL:  # prohibited (4.2.8): such a message is ignored
                return None
            self.settings.ttl = asked.ttl
        return DefaultTtlStatus(self.settings.ttl)

    def _relay(self, asked: WireMessage) -> RelayStatus:
        settings = self.settings
        if isinstance(asked, RelaySet) and settings.relay != NOT_SUPPORTED:
            settings.relay, settings.relay_retransmit = asked.relay, asked.retransmit
        return RelayStatus(settings.relay, settings.relay_retransmit)

    def _heartbeats(self, asked: WireMessage) -> WireMessage | None:
        match asked:
            case HeartbeatPublicationSet() | HeartbeatPublicationGet():
                return self._heartbeat(asked)
            case HeartbeatSubscriptionSet() | HeartbeatSubscriptionGet():
                if isinstance(asked, HeartbeatSubscriptionSet):
                    self.settings.listens = asked
                now = self.settings.listens
                return HeartbeatSubscriptionStatus(0, now.source, now.destination, now.period, 0, 0, 0)
        return None

    def _heartbeat(self, asked: WireMessage) -> HeartbeatPublicationStatus:
        status = Status.SUCCESS
        if isinstance(asked, HeartbeatPublicationSet):
            if asked.net_key in self._state.net_keys:
                self.settings.heartbeat = asked
            else:
                status = Status.INVALID_NETKEY_INDEX
        now = asked if isinstance(asked, HeartbeatPublicationSet) else self.settings.heartbeat
        return HeartbeatPublicationStatus(
            status, now.destination, now.count, now.period, now.ttl, now.features, now.net_key
        )
