"""What both sides of an activation do alike: frames, sealed messages, failures told to the peer, keys and codes."""

import hashlib
import hmac
from contextlib import suppress
from typing import TypeVar

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pairing import wire
from pairing.activation.messages import Failed, M, Message, decode, encode
from pairing.channel import Channel
from pairing.errors import (
    ChannelBrokenError,
    ConnectionLostError,
    MalformedMessageError,
    PairingError,
    PeerSilentError,
    ProofFailedError,
    StorageFailedError,
)
from pairing.noise import Handshake
from pairing.talk import Send, Talk, receive
from pairing.wire import Kind

T = TypeVar("T")

CONTEXT = b"Doorstep activation 1"
STEP_TIMEOUT = 10.0
"""Seconds a side waits for the other's next frame."""
PERSON_TIMEOUT = 600.0
"""Seconds a device waits while a person compares codes: as long as a session lives."""

_UNTELLABLE = (ConnectionLostError, PeerSilentError)


class Exchange:
    """One conversation: its channel, once there is one."""

    def __init__(self) -> None:
        self.channel: Channel | None = None

    def expect(self, kind: Kind, step: str, size: int | None = None) -> Talk[bytes]:
        """The body of the peer's next frame."""
        frame = yield from receive(STEP_TIMEOUT, step)
        return wire.body_of(kind, frame, size)

    def say(self, message: Message) -> Talk[None]:
        """A sealed message."""
        yield Send(self._open_channel.seal(encode(message)))

    def hear(self, kind: type[M], step: str, seconds: float = STEP_TIMEOUT) -> Talk[M]:
        """The peer's next sealed message, of this kind. Raises what the peer failed with."""
        message = yield from self.hear_any(step, seconds)
        if isinstance(message, Failed):
            raise failure_of(message)
        if not isinstance(message, kind):
            raise MalformedMessageError(f"not {kind.__name__}", step=step)
        return message

    def hear_any(self, step: str, seconds: float = STEP_TIMEOUT) -> Talk[Message]:
        """The peer's next sealed message. Raises ProofFailedError for a frame that does not open."""
        frame = yield from receive(seconds, step)
        try:
            return decode(self._open_channel.open(frame))
        except ChannelBrokenError as error:
            raise ProofFailedError("frame does not open", step=step) from error

    def start_channel(self, handshake: Handshake) -> None:
        self.channel = Channel(*handshake.split(), handshake.hash)

    @property
    def _open_channel(self) -> Channel:
        if self.channel is None:
            raise RuntimeError("no channel yet")
        return self.channel

    def guard(self, talk: Talk[T]) -> Talk[T]:
        """The talk; where it fails on our side, the peer is told why."""
        try:
            return (yield from talk)
        except Exception as error:
            # What is not ours came out of a Commit.
            failure = error if isinstance(error, PairingError) else StorageFailedError()
            if not failure.told and not isinstance(failure, _UNTELLABLE):
                with suppress(PairingError):
                    yield Send(self._failure(failure))
            raise

    def _failure(self, error: PairingError) -> bytes:
        plain = wire.failure(error)
        if self.channel is None or isinstance(error, ProofFailedError):
            return plain
        return self.channel.seal(encode(Failed(code=plain[1])))


def failure_of(message: Failed) -> PairingError:
    """The error a sealed `failed` names."""
    return wire.failure_in(bytes([Kind.FAILURE, message.code]))


def transcript(hub_hello: bytes, device_hello: bytes) -> bytes:
    """What both sides have said in the clear: context of the PIN proof and prologue of the handshake."""
    return CONTEXT + hub_hello + device_hello


def token_psk(token: bytes) -> bytes:
    """The handshake's psk where there is no PIN: from the session's token, which may be empty or public."""
    return HKDF(SHA256(), 32, salt=CONTEXT, info=b"token").derive(token)


def normal_pin(pin: str | None) -> str | None:
    """The PIN without the spaces and dashes people read into it. None if nothing is left."""
    return pin.replace(" ", "").replace("-", "") or None if pin else None


def commitment(handshake_hash: bytes, nonce: bytes) -> bytes:
    """What the device commits to before it sees the hub's nonce."""
    return hashlib.sha256(CONTEXT + b" commitment" + handshake_hash + nonce).digest()


def comparison_code(handshake_hash: bytes, hub_nonce: bytes, device_nonce: bytes) -> str:
    """Six digits, the same on both sides exactly when nobody stands between them (one chance in a million aside)."""
    digest = hashlib.sha256(CONTEXT + b" code" + handshake_hash + hub_nonce + device_nonce).digest()
    return f"{int.from_bytes(digest[:8], 'big') % 1_000_000:06d}"


def same(ours: bytes, theirs: bytes) -> bool:
    """Whether both are equal, in constant time."""
    return hmac.compare_digest(ours, theirs)
