"""The vocabulary of a provisioning: a client yields calls and is sent the answers, whatever carries them."""

from collections.abc import Generator
from typing import Protocol, TypeAlias, TypeVar

from msgspec import Struct

from pairing.errors import PairingError

T = TypeVar("T")

MAX_BODY = 4096
"""Octets of a call or an answer: a scan result of a few networks is the longest there is."""

VERSION = "proto-ver"
SESSION = "prov-session"
SCAN = "prov-scan"
CONFIG = "prov-config"
HANDOVER = "doorstep-token"
"""Ours: takes the session's token, sealed. Firmware that knows it announces `HANDOVER_CAPABILITY`."""
HANDOVER_CAPABILITY = "doorstep_token"
TOKEN_SIZE = 14


class Call(Struct, frozen=True):
    """Hand `body` to the endpoint. Answered with the bytes it answers; failures are thrown in as `PairingError`."""

    endpoint: str
    body: bytes
    step: str


Calls: TypeAlias = Generator[Call, bytes, T]


class Cipher(Protocol):
    """What protects a session's calls. Every call and every answer passes it once, in the order they are made."""

    def seal(self, plain: bytes) -> bytes: ...

    def open(self, sealed: bytes) -> bytes:
        """Raises ChannelBrokenError."""
        ...


class EndpointRefusedError(PairingError):
    """The device has answered that it will not: a wrong proof, a session that is over, or no such endpoint."""

    code = "device_refused"
    retryable = True
