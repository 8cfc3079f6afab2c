"""What a handler of something a device says is given, and what it gives back."""

from collections.abc import Callable
from typing import Any, TypeAlias

from msgspec import Struct

from app.devices.model import Device
from app.store.tx import Tx

# What is to be done of it, inside the transaction that makes it durable; answers go out after the commit.
Act: TypeAlias = Callable[[Tx], None]


class Spoken(Struct, frozen=True):
    """Who said it: the device that is connected, and the one it speaks of. `received_at` in ms."""

    speaker: Device
    device: Device
    received_at: int
    event_id: str = ""


# An event's handler, by (service, event type).
Handler: TypeAlias = Callable[[Spoken, Any], Act]
Handlers: TypeAlias = dict[tuple[str, str], Handler]


def nothing(tx: Tx) -> None:
    """There is nothing to do."""
