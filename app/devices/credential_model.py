"""What a device proves itself with that speaks a protocol of others: a secret, or a certificate."""

import hmac
from enum import StrEnum
from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Struct

from app.devices.model import Bond, DeviceEntry
from app.errors import Conflict
from app.homes.model import Name

# As IoTDA has them (1.4.2.1): what programs written for it send.
Secret: TypeAlias = Annotated[str, Meta(min_length=8, max_length=32, pattern=r"^[!-~]*\Z")]
Fingerprint: TypeAlias = Annotated[str, Meta(pattern=r"^([0-9A-Fa-f]{40}|[0-9A-Fa-f]{64})\Z")]
WireId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_-]*\Z")]
NodeId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]*\Z")]
SECRET_LENGTH: Final = 32
# The link of devices that only call home now and then, and what their tokens begin with.
HEARTBEAT: Final = "heartbeat"
TOKEN_PREFIX: Final = "dvt"  # noqa: S105 - no token
# The ids of hardware that has a key begin so (pairing.identity): nobody registers one of those.
KEYED: Final = ("d-", "h-")
_DERIVED: Final = b"Doorstep device secret 1"


class Kind(StrEnum):
    """What a device proves itself with."""

    SECRET = "secret"  # noqa: S105 - the name of a kind
    CERTIFICATE = "certificate"
    TOKEN = "token"  # noqa: S105 - the name of a kind; of a device that calls home, kept as its hash


class Which(StrEnum):
    """Of the two a device may have at a time, so that one can be changed while the other is in use."""

    PRIMARY = "primary"
    SECONDARY = "secondary"


class Credential(Struct, frozen=True, gc=False):
    """What proves one device. `fingerprints` is empty for one whose first certificate is adopted."""

    kind: Kind
    secrets: tuple[bytes, ...] = ()
    fingerprints: tuple[str, ...] = ()
    version: int = 0
    token_hash: bytes | None = None

    def __repr__(self) -> str:
        return f"Credential(kind={self.kind!r}, version={self.version})"


class NewRegistration(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A device to be known before it is ever heard of.

    `device_id` is what it calls itself; left out: `{product_id}_{node_id}`. `secret` left out: one is made. A device
    with a certificate, or behind a gateway, has none. One that only calls home (`heartbeat`) has a token that is made.
    """

    product_id: Annotated[str, Meta(min_length=1, max_length=48)]
    node_id: NodeId
    device_id: WireId | None = None
    name: Name | None = None
    link: Literal["mqtt", "https", "heartbeat"] = "mqtt"
    auth: Kind = Kind.SECRET
    secret: Secret | None = None
    fingerprint: Fingerprint | None = None
    gateway_id: Annotated[str, Meta(max_length=64)] | None = None
    room_id: Annotated[str, Meta(max_length=64)] | None = None

    def __repr__(self) -> str:
        return f"NewRegistration(product_id={self.product_id!r}, node_id={self.node_id!r})"


class Registered(Struct, frozen=True):
    """The device, what it calls itself when it connects, and its secret, which is shown this once."""

    device: DeviceEntry
    device_id: str
    secret: str | None

    def __repr__(self) -> str:
        return f"Registered(device_id={self.device_id!r})"


class NewSecret(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Another secret (left out: one is made), or the fingerprint of another certificate.

    `disconnect` ends the device's connections, which were proved by the old one.
    """

    which: Which = Which.PRIMARY
    secret: Secret | None = None
    fingerprint: Fingerprint | None = None
    disconnect: bool = False

    def __repr__(self) -> str:
        return f"NewSecret(which={self.which!r}, disconnect={self.disconnect})"


class SecretMade(Struct, frozen=True):
    """What the device calls itself, and its secret, which is shown this once (null for a certificate)."""

    device_id: str
    secret: str | None

    def __repr__(self) -> str:
        return f"SecretMade(device_id={self.device_id!r})"


class DeviceIdTaken(Conflict):
    """There is a device of that id on this hub."""

    code = "device_id_taken"
    hint = "Give it another node id, or remove the other device first."


class NoCredential(Conflict):
    """The device has no secret of its own: it is reached through its gateway."""

    code = "device_without_credential"
    hint = "Change the secret of its gateway."


def derived_secret(credential: bytes) -> bytes:
    """The secret of a paired device (pairing/PROTOCOL.md, "Other links"), from its binding credential."""
    return hmac.digest(credential, _DERIVED, "sha256").hex()[:SECRET_LENGTH].encode()


def of_bond(bond: Bond) -> Credential:
    """What proves a paired device that has been given nothing else."""
    return Credential(Kind.SECRET, (derived_secret(bond.credential),), version=bond.owner_epoch)
