"""Devices that do not behave: an honest talk whose PDUs are changed on their way out."""

from collections.abc import Callable
from enum import StrEnum

from ble.mesh.provisioning.pdus import POINT_SIZE
from ble.mesh.provisioning.talk import Answer, Receive, Send, T, Talk

_PUBLIC_KEY, _CONFIRMATION, _RANDOM = 3, 5, 6


class Fault(StrEnum):
    """What such a device does."""

    REFLECTS_PUBLIC_KEY = "reflects_public_key"
    NEGATES_PUBLIC_KEY = "negates_public_key"
    KEY_OFF_CURVE = "key_off_curve"
    REFLECTS_CONFIRMATION = "reflects_confirmation"
    WRONG_CONFIRMATION = "wrong_confirmation"
    REFLECTS_RANDOM = "reflects_random"
    WRONG_RANDOM = "wrong_random"
    UNEXPECTED_PDU = "unexpected_pdu"


_P256 = 2**256 - 2**224 + 2**192 + 2**96 - 1


def _negated(pdu: bytes) -> bytes:
    y = int.from_bytes(pdu[33:], "big")
    return pdu[:33] + (_P256 - y).to_bytes(32, "big")


def _flipped(pdu: bytes) -> bytes:
    return pdu[:-1] + bytes([pdu[-1] ^ 1])


# The type a fault is about, and what becomes of (what would be sent, the last PDU of that type that was received).
_CHANGES: dict[Fault, tuple[int, Callable[[bytes, bytes], bytes]]] = {
    Fault.REFLECTS_PUBLIC_KEY: (_PUBLIC_KEY, lambda _, theirs: theirs),
    Fault.NEGATES_PUBLIC_KEY: (_PUBLIC_KEY, lambda _, theirs: _negated(theirs)),
    Fault.KEY_OFF_CURVE: (_PUBLIC_KEY, lambda ours, _: ours[:-POINT_SIZE] + bytes([1]) * POINT_SIZE),
    Fault.REFLECTS_CONFIRMATION: (_CONFIRMATION, lambda _, theirs: theirs),
    Fault.WRONG_CONFIRMATION: (_CONFIRMATION, lambda ours, _: _flipped(ours)),
    Fault.REFLECTS_RANDOM: (_RANDOM, lambda _, theirs: theirs),
    Fault.WRONG_RANDOM: (_RANDOM, lambda ours, _: _flipped(ours)),
    Fault.UNEXPECTED_PDU: (_CONFIRMATION, lambda *_: bytes([8])),
}


def misbehave(honest: Talk[T], fault: Fault) -> Talk[T]:
    """The talk, with that fault."""
    kind, change = _CHANGES[fault]
    theirs = b""
    answer: Answer = None
    while True:
        try:
            action = honest.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result
        if isinstance(action, Send) and action.pdu[0] == kind:
            action = Send(change(action.pdu, theirs))
        answer = yield action
        if isinstance(action, Receive) and isinstance(answer, bytes) and answer[:1] == bytes([kind]):
            theirs = answer
