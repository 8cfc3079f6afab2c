"""Generic Level (Mesh Model 1.1, 3.2.2 and 3.3.2): -32768 to 32767."""

from typing import Annotated, ClassVar, TypeAlias

from ble.mesh.model_id import ModelId
from ble.mesh.models.server import Heard
from ble.mesh.models.tid import Tids
from ble.mesh.models.transition import Course, MaybeTransition, Transition, still, time_of, towards
from ble.mesh.octets import Octets
from ble.mesh.wire import I16, I32, U8, Codec, MaybeU8, WireMessage, table

SERVER, CLIENT = ModelId(0x1002), ModelId(0x1003)
LOWEST, HIGHEST = -0x8000, 0x7FFF


def _read(octets: Octets) -> int | None:
    return octets.i16() if octets.left else None


MaybeI16: TypeAlias = Annotated[
    int | None,
    Codec[int | None](pack=lambda v: b"" if v is None else v.to_bytes(2, "little", signed=True), read=_read),
]


class LevelGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8205


class _Set(WireMessage, frozen=True):
    level: I16
    tid: U8
    transition: MaybeTransition = None


class LevelSet(_Set, frozen=True):
    OPCODE: ClassVar = 0x8206


class LevelSetUnacknowledged(_Set, frozen=True):
    OPCODE: ClassVar = 0x8207


class LevelStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8208
    level: I16
    target: MaybeI16 = None
    remaining: MaybeU8 = None


class _Delta(WireMessage, frozen=True):
    delta: I32
    tid: U8
    transition: MaybeTransition = None


class DeltaSet(_Delta, frozen=True):
    OPCODE: ClassVar = 0x8209


class DeltaSetUnacknowledged(_Delta, frozen=True):
    OPCODE: ClassVar = 0x820A


class MoveSet(_Set, frozen=True):
    """`level` is the change for each transition time: it moves until it is stopped or at the end (3.3.2.2.4)."""

    OPCODE: ClassVar = 0x820B


class MoveSetUnacknowledged(_Set, frozen=True):
    OPCODE: ClassVar = 0x820C


MESSAGES = table(
    (
        LevelGet,
        LevelSet,
        LevelSetUnacknowledged,
        LevelStatus,
        DeltaSet,
        DeltaSetUnacknowledged,
        MoveSet,
        MoveSetUnacknowledged,
    )
)


def set_level(level: int, tid: int, how: Transition | None = None, *, acknowledged: bool = True) -> WireMessage:
    """What a client says; the answer to an acknowledged one is a LevelStatus."""
    return (LevelSet if acknowledged else LevelSetUnacknowledged)(level, tid, how)


class LevelServer:
    """A level. A Delta counts from where its transaction began, so that a repeat with more replaces it."""

    MODEL: ClassVar = SERVER
    MESSAGES: ClassVar = MESSAGES

    def __init__(self, level: int = 0) -> None:
        self.course: Course[tuple[int, ...]] = still(level)
        self._tids = Tids()
        self._delta_from = level

    def level(self, now: float) -> int:
        return self.course.at(now)[0]

    def handle(self, message: WireMessage, heard: Heard) -> WireMessage | None:
        if isinstance(message, _Delta):
            self._delta(message, heard)
        elif isinstance(message, _Set):
            if not self._tids.repeated(heard.source, heard.destination, message.tid, heard.now):
                self._set(message, heard.now)
        elif not isinstance(message, LevelGet):
            return None
        silent = isinstance(message, LevelSetUnacknowledged | DeltaSetUnacknowledged | MoveSetUnacknowledged)
        return None if silent else self.status(heard.now)

    def _set(self, message: _Set, now: float) -> None:
        if isinstance(message, MoveSet | MoveSetUnacknowledged):
            self._move(message, now)
        else:
            self.course = towards(self.course, (message.level,), message.transition, now)

    def _move(self, message: _Set, now: float) -> None:
        present, how = self.level(now), message.transition
        step = time_of(how.time) if how else 0.0
        if message.level == 0 or step == 0:
            self.course = still(present)
            return
        end = HIGHEST if message.level > 0 else LOWEST
        begins = now + (how.delay_seconds if how else 0.0)
        self.course = Course((present,), (end,), begins, begins + step * (end - present) / message.level)

    def _delta(self, message: _Delta, heard: Heard) -> None:
        if not self._tids.repeated(heard.source, heard.destination, message.tid, heard.now):
            self._delta_from = self.level(heard.now)
        target = min(HIGHEST, max(LOWEST, self._delta_from + message.delta))
        self.course = towards(self.course, (target,), message.transition, heard.now)

    def status(self, now: float) -> LevelStatus:
        if not self.course.moving(now):
            return LevelStatus(self.level(now))
        return LevelStatus(self.level(now), self.course.target[0], self.course.remaining(now))

    def moving(self, now: float) -> bool:
        return self.course.moving(now)
