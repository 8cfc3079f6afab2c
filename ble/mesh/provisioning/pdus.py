"""The provisioning PDUs (MshPRT 1.1, 5.4.1): a type octet, then fields whose numbers are big-endian."""

from collections.abc import Callable
from enum import IntEnum, IntFlag
from typing import TypeAlias

from msgspec import Struct

from ble.mesh.provisioning.errors import PduInvalid, PduUnknown

CMAC, HMAC = 0, 1
"""The algorithms: BTM_ECDH_P256_CMAC_AES128_AES_CCM and BTM_ECDH_P256_HMAC_SHA256_AES_CCM."""

POINT_SIZE = 64
RANDOM_SIZES = {CMAC: 16, HMAC: 32}


class Method(IntEnum):
    """How the peers prove to each other that nobody stands between them (table 5.28)."""

    NO_OOB = 0
    STATIC = 1
    OUTPUT = 2
    INPUT = 3


class OutputAction(IntEnum):
    """What the device can do that a person counts or reads: bit numbers (table 5.22)."""

    BLINK = 0
    BEEP = 1
    VIBRATE = 2
    NUMERIC = 3
    ALPHANUMERIC = 4


class InputAction(IntEnum):
    """What a person can do to the device: bit numbers (table 5.24)."""

    PUSH = 0
    TWIST = 1
    NUMERIC = 2
    ALPHANUMERIC = 3


class OobType(IntFlag):
    """Bits of the capabilities' OOB type (table 5.20)."""

    STATIC = 1
    ONLY_AUTHENTICATED = 2


class Invite(Struct, frozen=True, tag=0):
    """Begin, and let the device draw attention for that many seconds."""

    attention: int = 0


class Capabilities(Struct, frozen=True, kw_only=True, tag=1):
    """What the device offers. `algorithms` and the actions are bit masks; `elements` is at least 1."""

    elements: int
    algorithms: int = 1 << CMAC
    public_key_oob: bool = False
    oob_type: int = 0
    output_size: int = 0
    output_actions: int = 0
    input_size: int = 0
    input_actions: int = 0


class Start(Struct, frozen=True, tag=2):
    """What the provisioner chose. `action` and `size` are 0 but for output and input OOB."""

    algorithm: int
    public_key_oob: bool
    method: int
    action: int = 0
    size: int = 0


class PublicKey(Struct, frozen=True, tag=3):
    """X and Y of a point of P-256."""

    point: bytes


class InputComplete(Struct, frozen=True, tag=4):
    """The person has finished the input at the device."""


class Confirmation(Struct, frozen=True, tag=5):
    """16 octets with algorithm CMAC, 32 with HMAC."""

    value: bytes


class Random(Struct, frozen=True, tag=6):
    """16 octets with algorithm CMAC, 32 with HMAC."""

    value: bytes


class Data(Struct, frozen=True, tag=7):
    """The provisioning data under the session key: 25 octets and a MIC of 8."""

    sealed: bytes


class Complete(Struct, frozen=True, tag=8):
    """The device is a node now."""


class Failed(Struct, frozen=True, tag=9):
    """The device gives up."""

    reason: int


Pdu: TypeAlias = (
    Invite | Capabilities | Start | PublicKey | InputComplete | Confirmation | Random | Data | Complete | Failed
)

_CAPABILITIES_SIZE = 11
_SEALED_SIZE = 33


def pack(pdu: Pdu) -> bytes:
    """The PDU's octets, its type first."""
    kind = pdu.__struct_config__.tag
    if not isinstance(kind, int):
        raise TypeError("every PDU has a type")
    return bytes([kind]) + _body(pdu)


def _body(pdu: Pdu) -> bytes:
    match pdu:
        case Invite(attention):
            return bytes([attention])
        case Capabilities():
            return _pack_capabilities(pdu)
        case Start(algorithm, oob, method, action, size):
            return bytes([algorithm, oob, method, action, size])
        case PublicKey(value) | Confirmation(value) | Random(value) | Data(value):
            return value
        case Failed(reason):
            return bytes([reason])
    return b""


def _pack_capabilities(pdu: Capabilities) -> bytes:
    return b"".join(
        (
            bytes([pdu.elements]),
            pdu.algorithms.to_bytes(2, "big"),
            bytes([pdu.public_key_oob, pdu.oob_type, pdu.output_size]),
            pdu.output_actions.to_bytes(2, "big"),
            bytes([pdu.input_size]),
            pdu.input_actions.to_bytes(2, "big"),
        )
    )


def unpack(octets: bytes) -> Pdu:
    """Raises PduUnknown where the type is reserved, PduInvalid where the rest is not of that type."""
    if not octets:
        raise PduInvalid("an empty PDU")
    kind, body = octets[0], octets[1:]
    if kind not in _READERS:
        raise PduUnknown(f"type {kind:#04x}")
    sizes, read = _READERS[kind]
    if len(body) not in sizes:
        raise PduInvalid(f"type {kind:#04x} with {len(body)} octets")
    return read(body)


def _capabilities(body: bytes) -> Capabilities:
    if body[0] == 0 or body[3] > 1:
        raise PduInvalid("capabilities with a prohibited value")
    return Capabilities(
        elements=body[0],
        algorithms=int.from_bytes(body[1:3], "big"),
        public_key_oob=bool(body[3]),
        oob_type=body[4],
        output_size=body[5],
        output_actions=int.from_bytes(body[6:8], "big"),
        input_size=body[8],
        input_actions=int.from_bytes(body[9:11], "big"),
    )


def _start(body: bytes) -> Start:
    algorithm, oob, method, action, size = body
    if algorithm > HMAC or oob > 1 or method > Method.INPUT:
        raise PduInvalid("a start with a prohibited value")
    if method in (Method.OUTPUT, Method.INPUT):
        if action > (OutputAction.ALPHANUMERIC if method == Method.OUTPUT else InputAction.ALPHANUMERIC):
            raise PduInvalid("a start with an action that is reserved")
        if not 1 <= size <= 8:
            raise PduInvalid("a start with a prohibited size")
    elif action or size:
        raise PduInvalid("a start with an action where its method has none")
    return Start(algorithm, bool(oob), method, action, size)


_READERS: dict[int, tuple[tuple[int, ...], Callable[[bytes], Pdu]]] = {
    0: ((1,), lambda body: Invite(body[0])),
    1: ((_CAPABILITIES_SIZE,), _capabilities),
    2: ((5,), _start),
    3: ((POINT_SIZE,), PublicKey),
    4: ((0,), lambda _: InputComplete()),
    5: (tuple(RANDOM_SIZES.values()), Confirmation),
    6: (tuple(RANDOM_SIZES.values()), Random),
    7: ((_SEALED_SIZE,), Data),
    8: ((0,), lambda _: Complete()),
    9: ((1,), lambda body: Failed(body[0])),
}
