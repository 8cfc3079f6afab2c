"""The vocabulary of a conversation: what a handshake generator yields, and what it is sent back.

A talk knows no socket, clock or store. It yields one of the actions below and is sent the answer named there; a shell
(`pairing.pump`, or a test) carries the action out. A failure of the shell is thrown into the talk as a `PairingError`
(or, for `Commit`, as whatever the store raised), so that the talk can still tell its peer.
"""

from collections.abc import Callable, Generator
from typing import Any, Generic, TypeAlias, TypeVar

from msgspec import Struct

T = TypeVar("T")

Entropy: TypeAlias = Callable[[int], bytes]
"""Gives that many unpredictable bytes (`secrets.token_bytes`; fixed bytes in test vectors)."""


class Send(Struct, frozen=True):
    """Write this whole frame (type octet and body, without length). Answered with None."""

    frame: bytes


class Receive(Struct, frozen=True):
    """Read one whole frame within `timeout` seconds. Answered with its bytes."""

    timeout: float
    step: str = ""


class Progress(Struct, frozen=True):
    """Tell whoever watches that this step began. Answered with None."""

    step: str
    detail: str = ""


class Confirm(Struct, frozen=True):
    """Ask the person whether the device shows this code of six digits. Answered with a bool."""

    code: str


class Commit(Struct, Generic[T], frozen=True):
    """Make the value durable before anything else happens. Answered with True; raises where that failed."""

    value: T


class Compute(Struct, frozen=True):
    """Call this before going on: pure, and tens of milliseconds long, so off a loop. Answered with None."""

    work: Callable[[], None]


Action: TypeAlias = Send | Receive | Progress | Confirm | Commit[Any] | Compute
Answer: TypeAlias = bytes | bool | None
Talk: TypeAlias = Generator[Action, Answer, T]


def receive(timeout: float, step: str) -> Talk[bytes]:
    """One frame of the peer."""
    frame = yield Receive(timeout, step)
    if not isinstance(frame, bytes):
        raise TypeError("a Receive is answered with bytes")
    return frame


def confirm(code: str) -> Talk[bool]:
    """The person's word on the code."""
    agreed = yield Confirm(code)
    return agreed is True


def compute(work: Callable[[], T]) -> Talk[T]:
    """What `work` returns, worked out where it holds nobody up."""
    made: list[T] = []
    yield Compute(lambda: made.append(work()))
    return made[0]
