"""What a member of a network is told by its stack, and which key a message is sealed with."""

from typing import TypeAlias

from msgspec import Struct

from ble.errors import BleError
from ble.mesh import proxy_filter


class KeyUnknown(BleError):
    """There is no such key, or no such node, in this network."""

    code = "key_unknown"


class QueueFull(BleError):
    """Too many segmented messages wait to be sent."""

    code = "queue_full"
    retryable = True


class ByApp(Struct, frozen=True):
    """Sealed with the application key of this index."""

    index: int


class ByDevice(Struct, frozen=True):
    """Sealed with the device key of the node of this address (ours, where it is ours)."""

    address: int


KeyName: TypeAlias = ByApp | ByDevice


class Received(Struct, frozen=True, kw_only=True):
    """An access payload, authentic and new. `label` is the label UUID of a virtual destination."""

    src: int
    dst: int
    payload: bytes
    key: KeyName
    net_index: int
    ttl: int
    label: bytes = b""


class ControlReceived(Struct, frozen=True, kw_only=True):
    """A control message, authentic and new: heartbeats (`upper.HEARTBEAT`), and what friends say to one another."""

    src: int
    dst: int
    opcode: int
    parameters: bytes
    ttl: int


class Configured(Struct, frozen=True):
    """A proxy configuration message from the other end of the connection."""

    src: int
    message: proxy_filter.Configuration


class Sent(Struct, frozen=True):
    """The message is out, and acknowledged by its node where it was segmented."""

    handle: int


class NotSent(Struct, frozen=True):
    """The message was given up. `cause`: `not_acknowledged`, `peer_busy`, or an error's code."""

    handle: int
    cause: str


Event: TypeAlias = Received | ControlReceived | Configured | Sent | NotSent
