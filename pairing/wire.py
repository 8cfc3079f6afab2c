"""The octets on the connection (PROTOCOL.md, "Frames"): length, type octet, body. Pure; what a peer sends is hostile.

Inside the program a frame is its type octet and body; the length belongs to the transport and is added by the pump.
"""

from enum import IntEnum
from typing import ClassVar, Self

from msgspec import Struct

from pairing import errors
from pairing.errors import MalformedMessageError, PairingError
from pairing.identity import FINGERPRINT_SIZE
from pairing.noise import KEY_SIZE, TAG_SIZE
from pairing.spake2plus import CONFIRM_SIZE, POINT_SIZE

VERSION = 1
LENGTH_SIZE = 2
MAX_FRAME = 65_535
MAX_ACTIVATION_FRAME = 4_096
SALT_SIZE = 16
LINK_PROOF_SIZE = KEY_SIZE + TAG_SIZE
REFUSAL_MAC_SIZE = 32


class Kind(IntEnum):
    """The type octet."""

    HUB_HELLO = 0x01
    DEVICE_HELLO = 0x02
    SHARE_P = 0x03
    SHARE_V = 0x04
    CONFIRM_P = 0x05
    HANDSHAKE = 0x06
    SEALED = 0x07
    LINK_HELLO = 0x08
    LINK_ACCEPT = 0x09
    LINK_REFUSED = 0x0A
    FAILURE = 0x0F


class Auth(IntEnum):
    """What a device proves itself with."""

    OPEN = 0
    PIN = 1


FAILURES: dict[int, type[PairingError]] = {
    1: errors.MalformedMessageError,
    2: errors.UnsupportedVersionError,
    3: errors.ProofFailedError,
    4: errors.WrongPinError,
    5: errors.TooManyTriesError,
    6: errors.BoundElsewhereError,
    7: errors.DeviceBusyError,
    8: errors.RefusedByPersonError,
    9: errors.StaleOfferError,
    10: errors.StorageFailedError,
    11: errors.PinNeededError,
}
_NUMBERS = {error: number for number, error in FAILURES.items()}

REFUSALS = {1: "unknown", 2: "credential", 3: "removed"}
_REFUSAL_NUMBERS = {reason: number for number, reason in REFUSALS.items()}


def pack(frame: bytes) -> bytes:
    """The frame as it goes over TCP: two octets of length, big-endian, before it."""
    if not 1 <= len(frame) <= MAX_FRAME:
        raise ValueError("a frame has 1 to 65535 octets")
    return len(frame).to_bytes(LENGTH_SIZE, "big") + frame


def frame_length(prefix: bytes, limit: int) -> int:
    """How many octets follow. Raises MalformedMessageError for none and for more than `limit`."""
    length = int.from_bytes(prefix, "big")
    if not 1 <= length <= limit:
        raise MalformedMessageError("frame length out of bounds")
    return length


def body_of(kind: Kind, frame: bytes, size: int | None = None) -> bytes:
    """The body of a frame of this type, of exactly `size` octets if given.

    Raises the error the peer names in a FAILURE frame, MalformedMessageError for any other frame.
    """
    if frame[:1] == bytes([Kind.FAILURE]):
        raise failure_in(frame)
    if frame[:1] != bytes([kind]):
        raise MalformedMessageError(f"not a {kind.name} frame")
    if size is not None and len(frame) != 1 + size:
        raise MalformedMessageError(f"{kind.name} of a wrong length")
    return frame[1:]


def failure(error: PairingError) -> bytes:
    """The FAILURE frame that tells the peer why we end."""
    return bytes([Kind.FAILURE, _NUMBERS.get(type(error), _NUMBERS[errors.MalformedMessageError])])


def failure_in(frame: bytes) -> PairingError:
    """The error a FAILURE frame names."""
    error_type = FAILURES.get(frame[1]) if len(frame) == 2 else None
    error = (error_type or MalformedMessageError)("said by the peer")
    error.told = True
    return error


class HubHello(Struct, frozen=True):
    """0x01, version, fingerprint of the hub's key."""

    hub: bytes
    SIZE: ClassVar[int] = 1 + FINGERPRINT_SIZE

    def pack(self) -> bytes:
        return bytes([Kind.HUB_HELLO, VERSION]) + self.hub

    @classmethod
    def parse(cls, frame: bytes) -> Self:
        """Raises MalformedMessageError, UnsupportedVersionError."""
        _check_version(body_of(Kind.HUB_HELLO, frame))
        return cls(body_of(Kind.HUB_HELLO, frame, cls.SIZE)[1:])


class DeviceHello(Struct, frozen=True):
    """0x02, version, auth, fingerprint of the device's key, salt of the PIN record (zero where there is none)."""

    auth: Auth
    device: bytes
    salt: bytes
    SIZE: ClassVar[int] = 2 + FINGERPRINT_SIZE + SALT_SIZE

    def pack(self) -> bytes:
        return bytes([Kind.DEVICE_HELLO, VERSION, self.auth]) + self.device + self.salt

    @classmethod
    def parse(cls, frame: bytes) -> Self:
        """Raises MalformedMessageError, UnsupportedVersionError, or what the device refuses with."""
        _check_version(body_of(Kind.DEVICE_HELLO, frame))
        body = body_of(Kind.DEVICE_HELLO, frame, cls.SIZE)
        if body[1] not in (Auth.OPEN, Auth.PIN):
            raise MalformedMessageError("unknown kind of proof")
        return cls(Auth(body[1]), body[2 : 2 + FINGERPRINT_SIZE], body[2 + FINGERPRINT_SIZE :])


class ShareV(Struct, frozen=True):
    """0x04, the verifier's share, its confirmation."""

    share: bytes
    confirm: bytes

    def pack(self) -> bytes:
        return bytes([Kind.SHARE_V]) + self.share + self.confirm

    @classmethod
    def parse(cls, frame: bytes) -> Self:
        body = body_of(Kind.SHARE_V, frame, POINT_SIZE + CONFIRM_SIZE)
        return cls(body[:POINT_SIZE], body[POINT_SIZE:])


class LinkHello(Struct, frozen=True):
    """0x08, version, fingerprints of device and hub, first handshake message."""

    device: bytes
    hub: bytes
    proof: bytes = b""
    SIZE: ClassVar[int] = 1 + 2 * FINGERPRINT_SIZE + LINK_PROOF_SIZE

    @property
    def head(self) -> bytes:
        """All before the handshake message: its prologue."""
        return bytes([Kind.LINK_HELLO, VERSION]) + self.device + self.hub

    def pack(self) -> bytes:
        return self.head + self.proof

    @classmethod
    def parse(cls, frame: bytes) -> Self:
        """Raises MalformedMessageError, UnsupportedVersionError."""
        _check_version(body_of(Kind.LINK_HELLO, frame))
        body = body_of(Kind.LINK_HELLO, frame, cls.SIZE)[1:]
        device, hub = body[:FINGERPRINT_SIZE], body[FINGERPRINT_SIZE : 2 * FINGERPRINT_SIZE]
        return cls(device, hub, body[2 * FINGERPRINT_SIZE :])


class LinkRefused(Struct, frozen=True):
    """0x0A, reason, MAC under a key only hub and device can make."""

    reason: str
    mac: bytes

    def pack(self) -> bytes:
        return bytes([Kind.LINK_REFUSED, _REFUSAL_NUMBERS[self.reason]]) + self.mac

    @classmethod
    def parse(cls, frame: bytes) -> Self:
        body = body_of(Kind.LINK_REFUSED, frame, 1 + REFUSAL_MAC_SIZE)
        if body[0] not in REFUSALS:
            raise MalformedMessageError("unknown reason")
        return cls(REFUSALS[body[0]], body[1:])


def _check_version(body: bytes) -> None:
    if body[:1] != bytes([VERSION]):
        raise errors.UnsupportedVersionError("another version of the protocol")
