"""What every model server is: messages in, an answer out, and states that it publishes when they have changed."""

from typing import ClassVar, Protocol

from msgspec import Struct

from ble.mesh.model_id import ModelId
from ble.mesh.wire import Table, WireMessage


class Heard(Struct, frozen=True):
    """How a message came: when (seconds, monotonic), from whom, to which address."""

    now: float
    source: int
    destination: int


class Server(Protocol):
    """One model of one element. A server knows no keys and no addresses; the node does the access checks."""

    MODEL: ClassVar[ModelId]
    MESSAGES: ClassVar[Table]

    def handle(self, message: WireMessage, heard: Heard) -> WireMessage | None:
        """The answer, or None where there is none. Raises Malformed where the message holds a prohibited value."""
        ...

    def status(self, now: float) -> WireMessage | None:
        """What it publishes; None where it publishes nothing by itself."""
        ...

    def moving(self, now: float) -> bool:
        """Whether a transition is under way."""
        ...


class AtRest:
    """The part of a server that has no transitions, and publishes nothing by itself unless it says otherwise."""

    def status(self, now: float) -> WireMessage | None:
        return None

    def moving(self, now: float) -> bool:
        return False
