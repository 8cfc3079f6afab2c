"""Every message of the Configuration models, by opcode."""

from ble.mesh.access import Message
from ble.mesh.config import bindings, keys, sar, settings
from ble.mesh.wire import Table, WireMessage
from ble.mesh.wire import read as read_by

MESSAGES: Table = {**keys.MESSAGES, **bindings.MESSAGES, **settings.MESSAGES, **sar.MESSAGES}


def read(message: Message) -> WireMessage | None:
    """The message by its class; None where it is no configuration message. Raises Malformed."""
    return read_by(message, MESSAGES)
