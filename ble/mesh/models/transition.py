"""Transitions: how long a change takes, when it begins, and where it stands (Mesh Model 1.1, 3.1.3; 1.4.1.1)."""

from collections.abc import Sequence
from typing import Annotated, Generic, TypeAlias, TypeVar

from msgspec import Struct

from ble.errors import Malformed
from ble.mesh.octets import Octets
from ble.mesh.wire import Codec

S = TypeVar("S", bound=Sequence[int])

RESOLUTIONS_MS = (100, 1_000, 10_000, 600_000)
MAX_STEPS = 62
UNKNOWN = 0x3F
"""Steps that say "unknown": read as a remaining time, never to be asked for."""
DELAY_MS = 5
_LONGEST_S = MAX_STEPS * RESOLUTIONS_MS[-1] / 1000


class Transition(Struct, frozen=True):
    """How a Set is to be carried out: over `time` (the packed octet), after `delay` steps of 5 ms."""

    time: int = 0
    delay: int = 0

    @property
    def seconds(self) -> float:
        """0 where it is to be at once. Raises Malformed for the value that is prohibited in a Set."""
        return time_of(self.time)

    @property
    def delay_seconds(self) -> float:
        return self.delay * DELAY_MS / 1000


def transition(seconds: float, delay: float = 0.0) -> Transition:
    """The transition nearest to these. Raises Malformed where longer than 620 min, or a delay of over 1.275 s."""
    steps = round(delay * 1000 / DELAY_MS)
    if not 0 <= steps <= 0xFF:
        raise Malformed(f"a delay of {delay} s")
    return Transition(time_octet(seconds), steps)


def time_octet(seconds: float) -> int:
    """The octet in the finest resolution that reaches. Raises Malformed beyond 620 min."""
    for exponent, resolution in enumerate(RESOLUTIONS_MS):
        steps = round(seconds * 1000 / resolution)
        if seconds >= 0 and steps <= MAX_STEPS:
            return exponent << 6 | steps
    raise Malformed(f"a transition of {seconds} s")


def time_of(octet: int) -> float:
    """Seconds. Raises Malformed where the octet says that it is unknown."""
    if octet & 0x3F == UNKNOWN:
        raise Malformed("a transition of unknown time")
    return (octet & 0x3F) * RESOLUTIONS_MS[octet >> 6] / 1000


def _read(octets: Octets) -> Transition | None:
    return Transition(octets.u8(), octets.u8()) if octets.left else None


MaybeTransition: TypeAlias = Annotated[
    Transition | None,
    Codec[Transition | None](pack=lambda t: b"" if t is None else bytes([t.time, t.delay]), read=_read),
]
"""The optional end of a Set: both octets, or neither."""


class Course(Struct, Generic[S], frozen=True):
    """A state of one or more numbers on its way from `start` at `begins` to `target` at `ends` (seconds)."""

    start: S
    target: S
    begins: float
    ends: float

    def at(self, now: float) -> tuple[int, ...]:
        if now >= self.ends:
            return tuple(self.target)
        if now <= self.begins:
            return tuple(self.start)
        part = (now - self.begins) / (self.ends - self.begins)
        return tuple(round(a + (b - a) * part) for a, b in zip(self.start, self.target, strict=True))

    def remaining(self, now: float) -> int:
        """The octet of the time that is left, a delay not counted; UNKNOWN where that is more than an octet says."""
        left = max(0.0, self.ends - max(now, self.begins))
        return time_octet(left) if left <= _LONGEST_S else UNKNOWN

    def moving(self, now: float) -> bool:
        return now < self.ends


def still(*values: int) -> Course[tuple[int, ...]]:
    """A state at rest."""
    return Course(values, values, 0.0, 0.0)


def towards(
    course: Course[tuple[int, ...]], target: tuple[int, ...], how: Transition | None, now: float, default: int = 0
) -> Course[tuple[int, ...]]:
    """The course to a new target from where it is now. `default` is the octet where a Set says nothing."""
    seconds, delay = (time_of(default), 0.0) if how is None else (how.seconds, how.delay_seconds)
    return Course(course.at(now), target, now + delay, now + delay + seconds)
