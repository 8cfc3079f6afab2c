"""What hub and device say inside a link: JSON objects, told apart by `type` (PROTOCOL.md, "Messages").

Decoding is strict about types and limits and lenient about members it does not know, so that newer firmware and an
older hub (and the reverse) understand each other.
"""

from typing import Annotated, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct

from pairing.errors import MalformedMessageError
from pairing.identity import fingerprint, peer_id

MAX_MESSAGE = 65_518
"""Octets of one message: a frame of 65,535 less its type octet and the 16 of the AEAD tag."""

HEARTBEAT = 20.0
"""Seconds between two pings of the device."""
SILENCE_LIMIT = 60.0
"""Seconds without any message after which the hub drops the link."""
REMEMBERED_COMMANDS = 64
"""Answers a device keeps, so that a command delivered twice is done once; a gateway keeps so many for each child."""
MAX_CHILDREN = 100
"""Devices behind one gateway."""
MAX_JOINING = 3600
"""Seconds a gateway may be told to let devices join."""
ROLLBACK = 120
"""Seconds a device tries a new network before it goes back to the old one."""
MAX_EPOCH = 2**31 - 1
"""Of a binding: an owner epoch only grows."""
ASTRAY_AFTER = 60.0
"""Seconds without its hub after which a device also tries the one that stands by."""

Name: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,64}\Z")]
Integer: TypeAlias = Annotated[int, Meta(ge=-(2**53), le=2**53)]
Text: TypeAlias = Annotated[str, Meta(max_length=4096)]
Value: TypeAlias = bool | Integer | float | Text | None
Values: TypeAlias = Annotated[dict[Name, Value], Meta(max_length=128)]
Millis: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
Host: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9A-Za-z_.:%-]{1,253}\Z")]
Port: TypeAlias = Annotated[int, Meta(ge=1, le=65535)]
ChildId: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,32}\Z")]
"""A child's own, such as its IEEE address: unique behind its gateway, and nothing beyond it."""
Seconds: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_JOINING)]
Ssid: TypeAlias = Annotated[str, Meta(min_length=1, max_length=32)]
Epoch: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_EPOCH)]
Octets32: TypeAlias = Annotated[bytes, Meta(min_length=32, max_length=32)]
Label: TypeAlias = Annotated[str, Meta(max_length=64)]
Endpoint: TypeAlias = tuple[Host, Port]
Endpoints: TypeAlias = Annotated[tuple[Endpoint, ...], Meta(min_length=1, max_length=8)]


class _Message(Struct, frozen=True, omit_defaults=True, tag_field="type"):
    pass


class Hello(_Message, frozen=True, tag="hello"):
    """Device, first of all, and again when it changes: which firmware of which product speaks.

    `wifi` is the network it is on, absent on a cable; `change` the order (`Wifi`) it has that network by, and `trial`
    says that it goes back to the former one unless it is told to keep this one. `hubs` are the ids of the hubs it holds
    to, its own and then the one that stands by, absent where it can keep no second one; `epoch` is its binding's.
    """

    fw: Annotated[str, Meta(max_length=64)]
    product: Name
    wifi: Ssid | None = None
    change: Name | None = None
    trial: bool = False
    hubs: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=2)] | None = None
    epoch: Epoch = 0


class Report(_Message, frozen=True, tag="report"):
    """Device: values of a service as they are now; `at` is milliseconds since 1970, or absent without a clock.

    Here and below, `child` says which device behind the gateway is meant; absent, it is the linked device itself.
    """

    service: Name
    values: Values
    at: Millis | None = None
    child: ChildId | None = None


class Command(_Message, frozen=True, tag="command"):
    """Hub: do this. "set" carries `values`, "get" asks for the whole service, "call" carries `name` and `params`.

    `expires` is milliseconds since 1970, or absent: never.
    """

    id: Name
    kind: Literal["set", "get", "call"]
    service: Name
    values: Values = msgspec.field(default_factory=dict)
    name: Name | None = None
    params: Values = msgspec.field(default_factory=dict)
    expires: Millis | None = None
    child: ChildId | None = None


class Answer(_Message, frozen=True, tag="answer"):
    """Device, once for each command id: done (with the values that now hold) or not (with an error code)."""

    id: Name
    ok: bool
    values: Values = msgspec.field(default_factory=dict)
    error: Name | None = None
    child: ChildId | None = None


class Ping(_Message, frozen=True, tag="ping"):
    """Device, every `HEARTBEAT` seconds."""


class Pong(_Message, frozen=True, tag="pong"):
    """Hub, to each ping: its clock, milliseconds since 1970."""

    at: Millis


class Reset(_Message, frozen=True, tag="reset"):
    """Hub: forget your binding, you are let go. Device: somebody has reset me by hand. The sender closes after it."""


class Moved(_Message, frozen=True, tag="moved"):
    """Hub: from now on I am reached here. The device keeps it before it closes."""

    endpoints: Endpoints


class HubCard(Struct, frozen=True):
    """How a device reaches and proves a hub: its static public key, what it is called, where it listens."""

    key: Octets32
    name: Label
    endpoints: Endpoints

    @property
    def hub_id(self) -> str:
        """Read off the key."""
        return peer_id("h", fingerprint(self.key))


class Hubs(_Message, frozen=True, tag="hubs"):
    """Hub: these hold the device, `hub` itself and `standby` where that cannot be reached; both by the credential of
    this link. The device keeps them unless it knows a later `epoch`, and goes where it belongs.
    """

    hub: HubCard
    epoch: Epoch
    standby: HubCard | None = None


class PermitJoin(_Message, frozen=True, tag="permit_join"):
    """Hub: let devices join behind you for so long; 0: no longer. The gateway's own clock ends it, too."""

    seconds: Seconds


class Joining(_Message, frozen=True, tag="joining"):
    """Gateway: devices may join for so many seconds more; said to each `PermitJoin`, and with 0 when the time is up."""

    seconds: Seconds


class Child(_Message, frozen=True, tag="child"):
    """Gateway: this device is behind me. Said as it joins, when it goes away or is back, and of each after `Hello`."""

    child: ChildId
    product: Name
    name: Annotated[str, Meta(max_length=64)] = ""
    fw: Annotated[str, Meta(max_length=64)] = ""
    online: bool = True


class ChildLeft(_Message, frozen=True, tag="child_left"):
    """Gateway: this device is not behind me any more; it was let go, or somebody has reset it by hand."""

    child: ChildId


class ForgetChild(_Message, frozen=True, tag="forget_child"):
    """Hub: let this child go. Answered by `ChildLeft`, also where there is no such child."""

    child: ChildId


class AdoptChild(_Message, frozen=True, tag="adopt_child"):
    """Hub: this child is in the home now. Answered by its `Child` and the report of all its services."""

    child: ChildId


class Wifi(_Message, frozen=True, tag="wifi"):
    """Hub: try this network. The device keeps the old one until it is told to keep this one (`WifiKeep`), and goes
    back to it after `rollback` seconds without; `change` names this order, and the same order may come again.
    """

    change: Name
    ssid: Ssid
    password: Annotated[str, Meta(max_length=63)] = ""
    bssid: Annotated[str, Meta(pattern=r"^([0-9a-f]{2}(:[0-9a-f]{2}){5})?\Z")] = ""
    rollback: Annotated[int, Meta(ge=1, le=600)] = ROLLBACK

    def __repr__(self) -> str:
        return f"Wifi(change={self.change!r}, ssid={self.ssid!r})"


class WifiAccepted(_Message, frozen=True, tag="wifi_accepted"):
    """Device: I shall try it now; its last word on the old network."""

    change: Name


class WifiRefused(_Message, frozen=True, tag="wifi_refused"):
    """Device: I shall not try it."""

    change: Name
    error: Name


class WifiKeep(_Message, frozen=True, tag="wifi_keep"):
    """Hub: you are back, keep this network. The device keeps it on its disk, and says `Hello` again."""

    change: Name


FromGateway: TypeAlias = Joining | Child | ChildLeft
FromDevice: TypeAlias = Hello | Report | Answer | Ping | Reset | FromGateway | WifiAccepted | WifiRefused
FromHub: TypeAlias = Command | Pong | Reset | Moved | Hubs | PermitJoin | AdoptChild | ForgetChild | Wifi | WifiKeep

_from_device: msgspec.json.Decoder[FromDevice] = msgspec.json.Decoder(FromDevice)
_from_hub: msgspec.json.Decoder[FromHub] = msgspec.json.Decoder(FromHub)
_encode = msgspec.json.Encoder().encode

T = TypeVar("T")


def encode(message: FromDevice | FromHub) -> bytes:
    """The message as JSON in UTF-8."""
    return _encode(message)


def decode_from_device(raw: bytes) -> FromDevice:
    """What a device said. Raises MalformedMessageError."""
    return _decode(_from_device, raw)


def decode_from_hub(raw: bytes) -> FromHub:
    """What the hub said. Raises MalformedMessageError."""
    return _decode(_from_hub, raw)


def _decode(decoder: msgspec.json.Decoder[T], raw: bytes) -> T:
    if len(raw) > MAX_MESSAGE:
        raise MalformedMessageError("longer than a message may be")
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessageError(type(error).__name__) from error
