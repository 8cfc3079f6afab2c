"""What a provisioning talk yields, and what it is sent back.

A talk knows no link, clock, store or person. A shell (`ble.mesh.pb_gatt`, or a test) carries each action out; what goes
wrong there is thrown into the talk as a BleError.
"""

from collections.abc import Callable, Generator
from typing import TypeAlias, TypeVar

from msgspec import Struct

from ble.mesh.provisioning.data import ProvisioningData
from ble.mesh.provisioning.pdus import InputAction, OutputAction

T = TypeVar("T")

Entropy: TypeAlias = Callable[[int], bytes]
"""Gives that many unpredictable octets (`secrets.token_bytes`; fixed ones in a test of vectors)."""

OobAction: TypeAlias = OutputAction | InputAction

STEP_TIMEOUT_S = 60.0
"""The provisioning protocol's own timeout between two PDUs (MshPRT 1.1, 5.3.3)."""

PERSON_TIMEOUT_S = 120.0
"""How long a person may take at the device, while the protocol's own timeout rests."""


class Send(Struct, frozen=True):
    """Send this provisioning PDU. Answered with None."""

    pdu: bytes


class Receive(Struct, frozen=True):
    """Wait `timeout` seconds for the next PDU. Answered with its octets; ProvisioningTimedOut is thrown."""

    timeout: float
    step: str


class Show(Struct, frozen=True):
    """Let a person see this: a count of blinks or pushes, a number, or text. Answered with None, at once."""

    action: OobAction
    value: str


class Ask(Struct, frozen=True):
    """Ask the person for what the peer shows: at most `size` digits or letters. Answered with the text."""

    action: OobAction
    size: int


class Accept(Struct, frozen=True):
    """Is this the device that is meant? It draws attention for `seconds`. Answered with a bool."""

    seconds: int


class Assign(Struct, frozen=True):
    """Choose the node's addresses and make its device key durable. Answered with the ProvisioningData, after that."""

    elements: int
    device_key: bytes


Action: TypeAlias = Send | Receive | Show | Ask | Accept | Assign
Answer: TypeAlias = bytes | str | bool | ProvisioningData | None
Talk: TypeAlias = Generator[Action, Answer, T]


def receive(step: str, timeout: float = STEP_TIMEOUT_S) -> Talk[bytes]:
    """One PDU of the peer."""
    pdu = yield Receive(timeout, step)
    if not isinstance(pdu, bytes):
        raise TypeError("a Receive is answered with octets")
    return pdu


def ask(action: OobAction, size: int) -> Talk[str]:
    """What a person read at the peer, or is told to enter."""
    text = yield Ask(action, size)
    if not isinstance(text, str):
        raise TypeError("an Ask is answered with text")
    return text


def assign(elements: int, device_key: bytes) -> Talk[ProvisioningData]:
    """The data for a node whose key is durable by now."""
    data = yield Assign(elements, device_key)
    if not isinstance(data, ProvisioningData):
        raise TypeError("an Assign is answered with the provisioning data")
    return data
