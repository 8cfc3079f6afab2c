"""Generic Power OnOff (Mesh Model 1.1, 3.2.4 and 3.3.4): what a light does when power comes back."""

from enum import IntEnum
from typing import Annotated, ClassVar

from ble.mesh.model_id import ModelId
from ble.mesh.models.server import AtRest, Heard
from ble.mesh.wire import U8, WireMessage, limited, table

SERVER, SETUP, CLIENT = ModelId(0x1006), ModelId(0x1007), ModelId(0x1008)


class OnPowerUp(IntEnum):
    """What it is after power up (table 3.3)."""

    OFF = 0
    DEFAULT = 1
    RESTORE = 2


class OnPowerUpGet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8211


class OnPowerUpStatus(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8212
    behaviour: U8


class OnPowerUpSet(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8213
    behaviour: Annotated[int, limited(1, OnPowerUp.RESTORE)]


class OnPowerUpSetUnacknowledged(WireMessage, frozen=True):
    OPCODE: ClassVar = 0x8214
    behaviour: Annotated[int, limited(1, OnPowerUp.RESTORE)]


MESSAGES = table((OnPowerUpGet, OnPowerUpStatus))
SETUP_MESSAGES = table((OnPowerUpSet, OnPowerUpSetUnacknowledged))


class PowerOnOffServer(AtRest):
    """Tells the behaviour; the setup server beside it changes it."""

    MODEL: ClassVar = SERVER
    MESSAGES: ClassVar = MESSAGES

    def __init__(self, behaviour: OnPowerUp = OnPowerUp.RESTORE) -> None:
        self.behaviour = behaviour

    def handle(self, message: WireMessage, heard: Heard) -> WireMessage | None:
        return self.status(heard.now) if isinstance(message, OnPowerUpGet) else None

    def status(self, now: float) -> OnPowerUpStatus:
        return OnPowerUpStatus(self.behaviour)


class PowerOnOffSetupServer(AtRest):
    """Changes the behaviour that the server beside it tells."""

    MODEL: ClassVar = SETUP
    MESSAGES: ClassVar = SETUP_MESSAGES

    def __init__(self, beside: PowerOnOffServer) -> None:
        self._beside = beside

    def handle(self, message: WireMessage, heard: Heard) -> WireMessage | None:
        if isinstance(message, OnPowerUpSet | OnPowerUpSetUnacknowledged):
            self._beside.behaviour = OnPowerUp(message.behaviour)
        return self._beside.status(heard.now) if isinstance(message, OnPowerUpSet) else None
