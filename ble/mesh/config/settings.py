"""Settings of a whole node (MshPRT 1.1, 4.3.2.1 to 14, 53 to 74; segmentation 4.3.13)."""

from typing import Annotated, ClassVar, TypeAlias

from msgspec import Struct

from ble.errors import Malformed
from ble.mesh.config.indexes import Index
from ble.mesh.octets import Octets
from ble.mesh.wire import U8, U16, Codec, Flag, Rest, WireMessage, table


class Retransmit(Struct, frozen=True):
    """`count` retransmissions (0 to 7) with (`steps` + 1) x 10 ms between them (4.2.20; 4.2.21)."""

    count: int
    steps: int


def _pack_retransmit(value: Retransmit) -> bytes:
    if not (0 <= value.count <= 7 and 0 <= value.steps <= 31):
        raise Malformed("a retransmission out of range")
    return bytes([value.count | value.steps << 3])


def _read_retransmit(octets: Octets) -> Retransmit:
    octet = octets.u8()
    return Retransmit(octet & 7, octet >> 3)


Retransmitted: TypeAlias = Annotated[Retransmit, Codec(pack=_pack_retransmit, read=_read_retransmit)]


class CompositionDataGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8008
    page: U8


class CompositionDataStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x02
    page: U8
    data: Rest


class BeaconGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8009


class BeaconSet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x800A
    beacon: Flag


class BeaconStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x800B
    beacon: U8


class DefaultTtlGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x800C


class DefaultTtlSet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x800D
    ttl: U8


class DefaultTtlStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x800E
    ttl: U8


class FriendGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x800F


class FriendSet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8010
    friend: Flag


class FriendStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8011
    friend: U8


class GattProxyGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8012


class GattProxySet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8013
    proxy: Flag


class GattProxyStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8014
    proxy: U8


class NetworkTransmitGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8023


class NetworkTransmitSet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8024
    transmit: Retransmitted


class NetworkTransmitStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8025
    transmit: Retransmitted


class RelayGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8026


class RelaySet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8027
    relay: Flag
    retransmit: Retransmitted


class RelayStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8028
    relay: U8
    retransmit: Retransmitted


class NodeIdentityGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8046
    net_key: Index


class NodeIdentitySet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8047
    net_key: Index
    identity: Flag


class NodeIdentityStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8048
    status: U8
    net_key: Index
    identity: U8


class NodeReset(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8049


class NodeResetStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x804A


class HeartbeatPublicationGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8038


class HeartbeatPublicationSet(WireMessage, frozen=True):
    """`count` and `period` are logarithms to the base 2, plus one (4.2.18)."""

    OPCODE: ClassVar = 0x8039
    destination: U16
    count: U8
    period: U8
    ttl: U8
    features: U16
    net_key: Index


class HeartbeatPublicationStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x06
    status: U8
    destination: U16
    count: U8
    period: U8
    ttl: U8
    features: U16
    net_key: Index


class HeartbeatSubscriptionGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x803A


class HeartbeatSubscriptionSet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x803B
    source: U16
    destination: U16
    period: U8


class HeartbeatSubscriptionStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x803C
    status: U8
    source: U16
    destination: U16
    period: U8
    count: U8
    min_hops: U8
    max_hops: U8


MESSAGES = table(
    (
        CompositionDataGet,
        CompositionDataStatus,
        BeaconGet,
        BeaconSet,
        BeaconStatus,
        DefaultTtlGet,
        DefaultTtlSet,
        DefaultTtlStatus,
        FriendGet,
        FriendSet,
        FriendStatus,
        GattProxyGet,
        GattProxySet,
        GattProxyStatus,
        NetworkTransmitGet,
        NetworkTransmitSet,
        NetworkTransmitStatus,
        RelayGet,
        RelaySet,
        RelayStatus,
        NodeIdentityGet,
        NodeIdentitySet,
        NodeIdentityStatus,
        NodeReset,
        NodeResetStatus,
        HeartbeatPublicationGet,
        HeartbeatPublicationSet,
        HeartbeatPublicationStatus,
        HeartbeatSubscriptionGet,
        HeartbeatSubscriptionSet,
        HeartbeatSubscriptionStatus,
    )
)
