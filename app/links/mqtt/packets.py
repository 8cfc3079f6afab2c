"""The packets a client sends, as they are read (MQTT 3.1.1 and 5, chapter 3)."""

from enum import IntEnum
from typing import Any

from msgspec import Struct

from app.links.mqtt.ports import Properties

V311, V5 = 4, 5

Raw = dict[int, Any]
"""Properties of MQTT 5 by their identifier (2.2.2.2)."""


class Kind(IntEnum):
    """Control packet types (2.1.2)."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14
    AUTH = 15


class Will(Struct, frozen=True):
    """What is published when a connection ends without DISCONNECT, `delay` seconds after."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    delay: int = 0
    properties: Properties | None = None


class Connect(Struct, frozen=True):
    """The first packet. `life` in seconds: how long its session outlives the connection, None: for good (3.1.1)."""

    level: int
    client_id: str
    clean: bool
    keep_alive: int
    username: str | None = None
    password: bytes | None = None
    will: Will | None = None
    life: int | None = 0
    receive_maximum: int = 65535
    packet_maximum: int | None = None
    auth_method: bool = False


class Publish(Struct, frozen=True):
    """`packet_id` 0 at QoS 0. `alias` of MQTT 5 where one was used; then `topic` may be empty."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    dup: bool = False
    packet_id: int = 0
    properties: Properties | None = None
    alias: int | None = None


class Ack(Struct, frozen=True):
    """PUBACK, PUBREC, PUBREL or PUBCOMP; `code` 0x80 and above is a refusal."""

    kind: Kind
    packet_id: int
    code: int = 0


class Subscription(Struct, frozen=True):
    """What was asked for of one filter. `handling`: whether retained messages come (3.8.3.1); `id` of MQTT 5."""

    qos: int
    no_local: bool = False
    as_published: bool = False
    handling: int = 0
    id: int | None = None


class Subscribe(Struct, frozen=True):
    """At least one filter, in the order asked."""

    packet_id: int
    filters: tuple[tuple[str, Subscription], ...]


class Unsubscribe(Struct, frozen=True):
    """At least one filter."""

    packet_id: int
    filters: tuple[str, ...]


class Ping(Struct, frozen=True):
    """PINGREQ."""


class Disconnect(Struct, frozen=True):
    """The client leaves; with code 4 it wants its will published. `life` replaces that of CONNECT."""

    code: int = 0
    life: int | None = None


Packet = Connect | Publish | Ack | Subscribe | Unsubscribe | Ping | Disconnect
