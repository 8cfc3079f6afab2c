"""The device's side, as a talk (MshPRT 1.1, 5.4.4): what a virtual node runs until it is a node."""

from typing import TypeVar

from msgspec import Struct

from ble.mesh.crypto import same
from ble.mesh.provisioning import data, oob, pdus
from ble.mesh.provisioning.data import ProvisioningData
from ble.mesh.provisioning.errors import (
    ConfirmationFailed,
    ConfirmationReflected,
    PduInvalid,
    PduUnexpected,
    ProvisioningError,
    ProvisioningTimedOut,
    PublicKeyReflected,
    RandomReflected,
)
from ble.mesh.provisioning.keys import KeyPair, Session, Transcript
from ble.mesh.provisioning.pdus import (
    RANDOM_SIZES,
    Capabilities,
    Complete,
    Confirmation,
    Data,
    Failed,
    InputAction,
    InputComplete,
    Invite,
    Method,
    OobType,
    OutputAction,
    Pdu,
    PublicKey,
    Random,
    Start,
)
from ble.mesh.provisioning.talk import PERSON_TIMEOUT_S, STEP_TIMEOUT_S, Entropy, Send, Show, Talk, ask, receive

P = TypeVar("P", bound=Pdu)


class Device(Struct, frozen=True, kw_only=True):
    """An unprovisioned device: what it offers, and its secrets. With `private_key` its point is known out of band."""

    capabilities: Capabilities
    static: bytes | None = None
    private_key: bytes | None = None


class Joined(Struct, frozen=True, kw_only=True):
    """What the device knows once it is a node."""

    device_key: bytes
    data: ProvisioningData
    attention: int


def join(device: Device, *, entropy: Entropy, private_key: bytes | None = None) -> Talk[Joined]:
    """Become a node. Raises ProvisioningError, after its octet was sent in a Failed PDU.

    `private_key` is the ephemeral one, for vectors; fresh where None.
    """
    try:
        return (yield from _join(device, entropy, private_key))
    except ProvisioningTimedOut:
        raise
    except ProvisioningError as error:
        yield _send(Failed(error.octet))
        raise


def _join(device: Device, entropy: Entropy, private_key: bytes | None) -> Talk[Joined]:
    invite = yield from _expect(Invite, "invite")
    yield _send(device.capabilities)
    begin = yield from _expect(Start, "start")
    _check_start(begin, device)
    theirs = (yield from _expect(PublicKey, "public_key")).point
    ours = KeyPair(device.private_key if begin.public_key_oob else private_key)
    if same(theirs[:32], ours.point[:32]):
        raise PublicKeyReflected("the provisioner sent our own public key")
    secret = ours.exchange(theirs)
    if not begin.public_key_oob:
        yield _send(PublicKey(ours.point))
    drawn = entropy(RANDOM_SIZES[begin.algorithm])
    auth = yield from _auth_value(begin, device, entropy)
    heard = Transcript(
        invite=pdus.pack(invite)[1:],
        capabilities=pdus.pack(device.capabilities)[1:],
        start=pdus.pack(begin)[1:],
        provisioner_point=theirs,
        device_point=ours.point,
        secret=secret,
        algorithm=begin.algorithm,
        auth=auth,
    )
    session = yield from _confirm(heard, drawn)
    sealed = (yield from _expect(Data, "data")).sealed
    given = data.unpack(session.open(sealed), device.capabilities.elements)
    yield _send(Complete())
    return Joined(device_key=session.device_key, data=given, attention=invite.attention)


def _check_start(begin: Start, device: Device) -> None:
    """Whether what was chosen was offered (5.4.2.2)."""
    offered = device.capabilities
    method_offered = {
        Method.NO_OOB: not offered.oob_type & OobType.ONLY_AUTHENTICATED,
        Method.STATIC: bool(offered.oob_type & OobType.STATIC) and device.static is not None,
        Method.OUTPUT: offered.output_actions >> begin.action & 1 and begin.size <= offered.output_size,
        Method.INPUT: offered.input_actions >> begin.action & 1 and begin.size <= offered.input_size,
    }
    if not offered.algorithms >> begin.algorithm & 1:
        raise PduInvalid("an algorithm that was not offered")
    if begin.public_key_oob and not (offered.public_key_oob and device.private_key is not None):
        raise PduInvalid("a public key that was not offered")
    if not method_offered[Method(begin.method)]:
        raise PduInvalid("a method that was not offered")


def _auth_value(begin: Start, device: Device, entropy: Entropy) -> Talk[bytes]:
    if begin.method == Method.STATIC and device.static is not None:
        return oob.static_value(device.static, begin.algorithm)
    if begin.method == Method.OUTPUT:
        output = OutputAction(begin.action)
        text = oob.draw(output, begin.size, entropy)
        yield Show(output, text)
        return oob.auth_value(output, begin.size, text, begin.algorithm)
    if begin.method == Method.INPUT:
        entered = InputAction(begin.action)
        text = yield from ask(entered, begin.size)
        yield _send(InputComplete())
        return oob.auth_value(entered, begin.size, text, begin.algorithm)
    return bytes(RANDOM_SIZES[begin.algorithm])


def _confirm(heard: Transcript, drawn: bytes) -> Talk[Session]:
    theirs = (yield from _expect(Confirmation, "confirmation", PERSON_TIMEOUT_S)).value
    ours = heard.confirmation(drawn)
    if same(theirs, ours):
        raise ConfirmationReflected("the provisioner sent our own confirmation")
    yield _send(Confirmation(ours))
    their_random = (yield from _expect(Random, "random")).value
    if same(their_random, drawn):
        raise RandomReflected("the provisioner sent our own random")
    if len(their_random) != len(drawn) or not same(heard.confirmation(their_random), theirs):
        raise ConfirmationFailed("the provisioner's confirmation does not verify")
    yield _send(Random(drawn))
    return heard.session(their_random, drawn)


def _send(pdu: Pdu) -> Send:
    return Send(pdus.pack(pdu))


def _expect(kind: type[P], step: str, timeout: float = STEP_TIMEOUT_S) -> Talk[P]:
    pdu = pdus.unpack((yield from receive(step, timeout)))
    if not isinstance(pdu, kind):
        raise PduUnexpected(f"{type(pdu).__name__} while waiting for {kind.__name__}")
    return pdu
