"""What hub and device say once the channel of an activation stands: JSON objects, told apart by `type`.

Unlike the messages of a link they belong to one version of the protocol: an unknown member is refused.
"""

from typing import Annotated, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct

from pairing.errors import MalformedMessageError
from pairing.messages import MAX_EPOCH, Endpoint, Endpoints, Epoch, Label, Millis, Name, Octets32

CREDENTIAL_SIZE = 32
NONCE_SIZE = 32

Trust: TypeAlias = Literal["pin", "first-use"]
Secret: TypeAlias = Octets32


class Offer(Struct, frozen=True):
    """What the hub hands to a device.

    `credential`: 32 fresh random octets. `binding_id`: the hub's name for this binding, opaque to the device.
    `time`: the hub's clock, milliseconds since 1970. `epoch`: the owner epoch this binding is to have at least.
    """

    hub_name: str
    endpoints: tuple[Endpoint, ...]
    credential: bytes
    binding_id: str
    time: int
    epoch: int = 1

    def __repr__(self) -> str:
        return f"Offer(binding_id={self.binding_id!r}, epoch={self.epoch})"


class Activated(Struct, frozen=True):
    """A device that has proved itself and holds its binding as pending. Texts are cleaned.

    `trust`: "pin" (proved over the label's PIN) or "first-use" (a person compared a code). `epoch`: the owner epoch
    agreed on, above any the device knew. `rebound`: the device was this hub's before.
    """

    device_id: str
    public_key: bytes
    product: str
    name: str
    firmware: str
    serial: str
    trust: Trust
    credential: bytes
    binding_id: str
    epoch: int
    rebound: bool

    def __repr__(self) -> str:
        return f"Activated(device_id={self.device_id!r}, trust={self.trust!r}, epoch={self.epoch})"


class _Message(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="type"):
    pass


class DeviceFacts(_Message, frozen=True, tag="facts"):
    """Device, first: what it is, the highest owner epoch it knows, and (first-use) what it commits to."""

    product: Name
    epoch: Epoch
    name: Label = ""
    firmware: Label = ""
    serial: Label = ""
    commitment: Secret | None = None


class HubNonce(_Message, frozen=True, tag="nonce"):
    """Hub, first-use only, after the commitment."""

    nonce: Secret


class DeviceReveal(_Message, frozen=True, tag="reveal"):
    """Device, first-use only: what it committed to."""

    nonce: Secret


class Handover(_Message, frozen=True, tag="offer"):
    """Hub: the binding."""

    name: Label
    endpoints: Endpoints
    credential: Secret
    binding: Name
    time: Millis
    epoch: Annotated[int, Meta(ge=1, le=MAX_EPOCH)]


class Prepared(_Message, frozen=True, tag="prepared"):
    """Device: the binding is on its disk, pending."""


class HubCommit(_Message, frozen=True, tag="commit"):
    """Hub: the device is on its disk."""


class Done(_Message, frozen=True, tag="done"):
    """Device: the binding is active."""


class Failed(_Message, frozen=True, tag="failed"):
    """Either, in place of any of the above: a number of the table of failures. Nothing follows."""

    code: Annotated[int, Meta(ge=1, le=255)]


Message: TypeAlias = DeviceFacts | HubNonce | DeviceReveal | Handover | Prepared | HubCommit | Done | Failed
M = TypeVar("M", bound=Struct)

_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)
encode = msgspec.json.Encoder().encode


def decode(raw: bytes) -> Message:
    """Raises MalformedMessageError."""
    try:
        return _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessageError(type(error).__name__) from error
