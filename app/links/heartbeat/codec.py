"""What a heartbeat and its answer say, as octets and structs. Pure; the hub and the virtual device use the same.

The wire is described in this room's README.
"""

from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct

T = TypeVar("T")

MAX_BODY: Final = 64 * 1024
# A product has a handful of services; a device that was away for a day says each of them as it is now.
MAX_SERVICES: Final = 50
MAX_VALUES: Final = 100
# As many as are handed out at a time (app.control.dispatch.WINDOW), and as many again of the time before.
MAX_ANSWERS: Final = 64
# 32 commands, each as long as one may be asked for.
MAX_HEARD: Final = 4 << 20
FACTORY_RESET: Final = "factory_reset"

Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Text: TypeAlias = Annotated[str, Meta(max_length=64)]
Values: TypeAlias = Annotated[dict[Id, Any], Meta(max_length=MAX_VALUES)]
Megabytes: TypeAlias = Annotated[int, Meta(ge=0, le=1 << 40)]


class HeartbeatError(Exception):
    """Root of everything that this link's codec raises."""

    code: ClassVar[str] = "heartbeat"


class MalformedError(HeartbeatError):
    """It is not what stands in the README."""

    code = "heartbeat_malformed"


class Said(Struct, frozen=True):
    """Values of a service as they are; `at` (ms) where the device has a clock."""

    service: Id
    values: Values
    at: Annotated[int, Meta(ge=0, lt=1 << 53)] | None = None


class Done(Struct, frozen=True, omit_defaults=True):
    """The answer to a command: the values that now hold, or why not."""

    id: Id
    ok: bool
    values: Values = {}
    error: Text | None = None


class Beat(Struct, frozen=True, omit_defaults=True):
    """A heartbeat. What is left out, or null, is not said. `every`: the interval it keeps (s)."""

    every: Annotated[int, Meta(ge=1, le=86_400)] | None = None
    firmware: Text | None = None
    battery_percent: Annotated[int, Meta(ge=0, le=100)] | None = None
    storage_used_mb: Megabytes | None = None
    storage_total_mb: Megabytes | None = None
    signal_strength_dbm: Annotated[int, Meta(ge=-200, le=50)] | None = None
    services: Annotated[tuple[Said, ...], Meta(max_length=MAX_SERVICES)] = ()
    acknowledged: Annotated[tuple[Id, ...], Meta(max_length=MAX_ANSWERS)] = ()
    answers: Annotated[tuple[Done, ...], Meta(max_length=MAX_ANSWERS)] = ()


class Order(Struct, frozen=True, omit_defaults=True):
    """A command. Done once by its id, however often it comes; not after `expires_at` (ms, the hub's clock)."""

    id: str
    kind: Literal["set", "get", "call", "factory_reset"]
    expires_at: int
    service: str = ""
    values: dict[str, Any] = {}
    name: str | None = None
    params: dict[str, Any] = {}


class Heard(Struct, frozen=True):
    """The answer: the hub's time (ms), the interval it wants (s), and what is to be done, in order."""

    time: int
    every: int
    commands: tuple[Order, ...] = ()


_beat = msgspec.json.Decoder(Beat)
_heard = msgspec.json.Decoder(Heard)
_encode = msgspec.json.Encoder().encode


def decode_beat(body: bytes) -> Beat:
    """Raises MalformedError. No body at all is a heartbeat that says nothing."""
    return Beat() if not body else _decode(_beat, body, MAX_BODY)


def decode_heard(body: bytes) -> Heard:
    """Raises MalformedError."""
    return _decode(_heard, body, MAX_HEARD)


def encode(said: Beat | Heard) -> bytes:
    """As JSON."""
    return _encode(said)


def _decode(decoder: "msgspec.json.Decoder[T]", body: bytes, most: int) -> T:
    if len(body) > most:
        raise MalformedError(f"longer than {most} octets")
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedError(str(error)[:200]) from error
