"""Generic OnOff (Mesh Model 1.1, 3.2.1 and 3.3.1)."""

from typing import ClassVar

from ble.errors import Malformed
from ble.mesh.model_id import ModelId
from ble.mesh.models.server import Heard
from ble.mesh.models.tid import Tids
from ble.mesh.models.transition import Course, MaybeTransition, Transition, still, towards
from ble.mesh.wire import U8, Flag, MaybeU8, WireMessage, table

SERVER, CLIENT = ModelId(0x1000), ModelId(0x1001)


class OnOffGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8201


class OnOffSet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8202
    on: Flag
    tid: U8
    transition: MaybeTransition = None


class OnOffSetUnacknowledged(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8203
    on: Flag
    tid: U8
    transition: MaybeTransition = None


class OnOffStatus(WireMessage, frozen=True):
    """`target` and `remaining` are there while a transition is under way."""

    OPCODE: ClassVar = 0x8204
    on: Flag
    target: MaybeU8 = None
    remaining: MaybeU8 = None


MESSAGES = table((OnOffGet, OnOffSet, OnOffSetUnacknowledged, OnOffStatus))


def set_on(on: bool, tid: int, how: Transition | None = None, *, acknowledged: bool = True) -> WireMessage:
    """What a client says; the answer to an acknowledged one is an OnOffStatus."""
    return (OnOffSet if acknowledged else OnOffSetUnacknowledged)(int(on), tid, how)


class OnOffServer:
    """A switch. `course` is of 0 or 1; it is on for the whole of a transition to or from on (3.1.1)."""

    MODEL: ClassVar = SERVER
    MESSAGES: ClassVar = MESSAGES

    def __init__(self, on: bool = False) -> None:
        self.course: Course[tuple[int, ...]] = still(int(on))
        self._tids = Tids()

    def on(self, now: float) -> bool:
        return any(self.course.start + self.course.target) if self.course.moving(now) else self.course.target == (1,)

    def handle(self, message: WireMessage, heard: Heard) -> WireMessage | None:
        if isinstance(message, OnOffSet | OnOffSetUnacknowledged):
            self._set(message, heard)
        elif not isinstance(message, OnOffGet):
            return None
        return None if isinstance(message, OnOffSetUnacknowledged) else self.status(heard.now)

    def _set(self, message: OnOffSet | OnOffSetUnacknowledged, heard: Heard) -> None:
        if self._tids.repeated(heard.source, heard.destination, message.tid, heard.now):
            return
        present = (int(self.on(heard.now)),)
        course = towards(self.course, (message.on,), message.transition, heard.now)
        self.course = Course(present, course.target, course.begins, course.ends)

    def status(self, now: float) -> OnOffStatus:
        if not self.course.moving(now):
            return OnOffStatus(int(self.on(now)))
        return OnOffStatus(int(self.on(now)), self.course.target[0], self.course.remaining(now))

    def moving(self, now: float) -> bool:
        return self.course.moving(now)


def reported(status: OnOffStatus) -> bool:
    """Whether it is on, or will be. Raises Malformed where the status holds a prohibited target."""
    final = status.on if status.target is None else status.target
    if final > 1:
        raise Malformed("a target that is neither on nor off")
    return final == 1
