"""What hub and device say inside a link: JSON objects, told apart by `type` (PROTOCOL.md, "Messages").

Decoding is strict about types and limits and lenient about members it does not know, so that newer firmware and an
older hub (and the reverse) understand each other.
"""

from typing import Annotated, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct

from pairing.errors import MalformedMessageError

MAX_MESSAGE = 65_518
"""Octets of one message: a frame of 65,535 less its type octet and the 16 of the AEAD tag."""

HEARTBEAT = 20.0
"""Seconds between two pings of the device."""
SILENCE_LIMIT = 60.0
"""Seconds without any message after which the hub drops the link."""
REMEMBERED_COMMANDS = 64
"""Answers a device keeps, so that a command delivered twice is done once."""

Name: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,64}\Z")]
Integer: TypeAlias = Annotated[int, Meta(ge=-(2**53), le=2**53)]
Text: TypeAlias = Annotated[str, Meta(max_length=4096)]
Value: TypeAlias = bool | Integer | float | Text | None
Values: TypeAlias = Annotated[dict[Name, Value], Meta(max_length=128)]
Millis: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
Host: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9A-Za-z_.:%-]{1,253}\Z")]
Port: TypeAlias = Annotated[int, Meta(ge=1, le=65535)]
Endpoint: TypeAlias = tuple[Host, Port]
Endpoints: TypeAlias = Annotated[tuple[Endpoint, ...], Meta(min_length=1, max_length=8)]


class _Message(Struct, frozen=True, omit_defaults=True, tag_field="type"):
    pass


class Hello(_Message, frozen=True, tag="hello"):
    """Device, first of all: which firmware of which product speaks."""

    fw: Annotated[str, Meta(max_length=64)]
    product: Name


class Report(_Message, frozen=True, tag="report"):
    """Device: values of a service as they are now; `at` is milliseconds since 1970, or absent without a clock."""

    service: Name
    values: Values
    at: Millis | None = None


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


class Answer(_Message, frozen=True, tag="answer"):
    """Device, once for each command id: done (with the values that now hold) or not (with an error code)."""

    id: Name
    ok: bool
    values: Values = msgspec.field(default_factory=dict)
    error: Name | None = None


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


FromDevice: TypeAlias = Hello | Report | Answer | Ping | Reset
FromHub: TypeAlias = Command | Pong | Reset | Moved

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
