"""Scenes: states of a whole element kept under a number and recalled (Mesh Model 1.1, 5.1.3, 5.2.2, 5.3.3)."""

from collections.abc import Callable
from enum import IntEnum
from typing import Annotated, ClassVar, TypeAlias

from ble.errors import Malformed
from ble.mesh.model_id import ModelId
from ble.mesh.models.server import AtRest, Heard
from ble.mesh.models.tid import Tids
from ble.mesh.models.transition import MaybeTransition, Transition
from ble.mesh.octets import Octets
from ble.mesh.wire import U8, U16, Codec, MaybeU8, MaybeU16, U16s, WireMessage, table

SERVER, SETUP, CLIENT = ModelId(0x1203), ModelId(0x1204), ModelId(0x1205)
REGISTER_SIZE = 16
"""Scenes that a register holds (5.1.3.2)."""


class SceneStatusCode(IntEnum):
    """Table 5.19."""

    SUCCESS = 0
    REGISTER_FULL = 1
    NOT_FOUND = 2


def _number(octets: Octets) -> int:
    number = octets.u16()
    if number == 0:
        raise Malformed("scene 0 is none")
    return number


Scene: TypeAlias = Annotated[int, Codec[int](pack=lambda value: value.to_bytes(2, "little"), read=_number)]


class SceneGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8241


class _Recall(WireMessage, frozen=True):
    scene: Scene
    tid: U8
    transition: MaybeTransition = None


class SceneRecall(_Recall, frozen=True):
    OPCODE: ClassVar = 0x8242


class SceneRecallUnacknowledged(_Recall, frozen=True):
    OPCODE: ClassVar = 0x8243


class SceneStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x5E
    status: U8
    scene: U16
    target: MaybeU16 = None
    remaining: MaybeU8 = None


class RegisterGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8244


class RegisterStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8245
    status: U8
    scene: U16
    scenes: U16s


class _Named(WireMessage, frozen=True):
    scene: Scene


class SceneStore(_Named, frozen=True):
    OPCODE: ClassVar = 0x8246


class SceneStoreUnacknowledged(_Named, frozen=True):
    OPCODE: ClassVar = 0x8247


class SceneDelete(_Named, frozen=True):
    OPCODE: ClassVar = 0x829E


class SceneDeleteUnacknowledged(_Named, frozen=True):
    OPCODE: ClassVar = 0x829F


MESSAGES = table((SceneGet, SceneRecall, SceneRecallUnacknowledged, SceneStatus, RegisterGet, RegisterStatus))
SETUP_MESSAGES = table((SceneStore, SceneStoreUnacknowledged, SceneDelete, SceneDeleteUnacknowledged))

Snapshot: TypeAlias = dict[str, tuple[int, ...]]
"""The states that a scene keeps, by a name of the element's own."""


def recall(scene: int, tid: int, how: Transition | None = None, *, acknowledged: bool = True) -> WireMessage:
    """What a client says; the answer to an acknowledged one is a SceneStatus."""
    return (SceneRecall if acknowledged else SceneRecallUnacknowledged)(scene, tid, how)


class SceneServer(AtRest):
    """The register. `take` gives the element's states now; `put` sets out for states that were kept."""

    MODEL: ClassVar = SERVER
    MESSAGES: ClassVar = MESSAGES

    def __init__(
        self, take: Callable[[float], Snapshot], put: Callable[[Snapshot, Transition | None, float], None]
    ) -> None:
        self._take = take
        self._put = put
        self._kept: dict[int, Snapshot] = {}
        self._tids = Tids()
        self._current: tuple[int, Snapshot] | None = None

    def current(self, now: float) -> int:
        """The scene that the states are in; 0 once one of them has been changed by something else (5.1.3.2.1)."""
        if self._current is not None and self._take(now) == self._current[1]:
            return self._current[0]
        return 0

    def handle(self, message: WireMessage, heard: Heard) -> WireMessage | None:
        match message:
            case SceneGet():
                return self.status(heard.now)
            case RegisterGet():
                return self.register(SceneStatusCode.SUCCESS, heard.now)
            case SceneRecall() | SceneRecallUnacknowledged():
                status = self._recall(message, heard)
                return status if isinstance(message, SceneRecall) else None
        return None

    def _recall(self, message: _Recall, heard: Heard) -> SceneStatus:
        kept = self._kept.get(message.scene)
        if kept is None:
            return SceneStatus(SceneStatusCode.NOT_FOUND, self.current(heard.now))
        if not self._tids.repeated(heard.source, heard.destination, message.tid, heard.now):
            self._put(kept, message.transition, heard.now)
            self._current = (message.scene, kept)
        return self._on_the_way(message, heard.now)

    def _on_the_way(self, message: _Recall, now: float) -> SceneStatus:
        how = message.transition
        if self.current(now) == message.scene or how is None or how.seconds == 0:
            return SceneStatus(SceneStatusCode.SUCCESS, message.scene)
        return SceneStatus(SceneStatusCode.SUCCESS, 0, message.scene, how.time)

    def store(self, scene: int, now: float) -> SceneStatusCode:
        if scene not in self._kept and len(self._kept) >= REGISTER_SIZE:
            return SceneStatusCode.REGISTER_FULL
        self._kept[scene] = self._take(now)
        self._current = (scene, self._kept[scene])
        return SceneStatusCode.SUCCESS

    def delete(self, scene: int) -> None:
        self._kept.pop(scene, None)
        if self._current is not None and self._current[0] == scene:
            self._current = None

    def register(self, status: SceneStatusCode, now: float) -> RegisterStatus:
        return RegisterStatus(status, self.current(now), tuple(sorted(self._kept)))

    def status(self, now: float) -> SceneStatus:
        return SceneStatus(SceneStatusCode.SUCCESS, self.current(now))


class SceneSetupServer(AtRest):
    """Stores into and deletes from the register beside it."""

    MODEL: ClassVar = SETUP
    MESSAGES: ClassVar = SETUP_MESSAGES

    def __init__(self, beside: SceneServer) -> None:
        self._beside = beside

    def handle(self, message: WireMessage, heard: Heard) -> WireMessage | None:
        status = SceneStatusCode.SUCCESS
        match message:
            case SceneStore(scene) | SceneStoreUnacknowledged(scene):
                status = self._beside.store(scene, heard.now)
            case SceneDelete(scene) | SceneDeleteUnacknowledged(scene):
                self._beside.delete(scene)
            case _:
                return None
        silent = isinstance(message, SceneStoreUnacknowledged | SceneDeleteUnacknowledged)
        return None if silent else self._beside.register(status, heard.now)
