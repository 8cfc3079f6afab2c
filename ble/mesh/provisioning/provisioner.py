"""The provisioner's side, as a talk (MshPRT 1.1, 5.4.4)."""

from typing import TypeVar

from msgspec import Struct

from ble.mesh.crypto import same
from ble.mesh.provisioning import oob, pdus
from ble.mesh.provisioning.choosing import Choice, start
from ble.mesh.provisioning.errors import (
    ConfirmationFailed,
    ConfirmationReflected,
    NotAccepted,
    PduInvalid,
    PduUnexpected,
    PublicKeyReflected,
    RandomReflected,
    RefusedByDevice,
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
    OutputAction,
    Pdu,
    PublicKey,
    Random,
    Start,
)
from ble.mesh.provisioning.talk import (
    PERSON_TIMEOUT_S,
    STEP_TIMEOUT_S,
    Accept,
    Entropy,
    Send,
    Show,
    Talk,
    ask,
    assign,
    receive,
)

ATTENTION_S = 5
P = TypeVar("P", bound=Pdu)


class Provisioned(Struct, frozen=True, kw_only=True):
    """A node, as its provisioning left it. `method` says how far it is known that nobody stood between."""

    device_key: bytes
    unicast: int
    elements: int
    net_key_index: int
    algorithm: int
    method: Method


def provision(
    choice: Choice,
    *,
    entropy: Entropy,
    private_key: bytes | None = None,
    attention: int = ATTENTION_S,
    identify: bool = False,
) -> Talk[Provisioned]:
    """Make a device a node. Raises ProvisioningError; the link is then to be closed, and nothing was handed over.

    `attention` is for how many seconds the device draws attention to itself; with `identify`, one that is known by
    nothing else (No OOB) is taken only where Accept is answered so. One exception to "nothing": where the
    Data was sent and Complete did not come, the device may be a node with the key that Assign made durable.
    """
    invite = Invite(attention)
    yield _send(invite)
    offered = yield from _expect(Capabilities, "capabilities")
    begin = start(offered, choice)
    if identify and begin.method == Method.NO_OOB and not (yield Accept(attention)):
        raise NotAccepted("another device is meant")
    yield _send(begin)
    ours = KeyPair(private_key)
    yield _send(PublicKey(ours.point))
    theirs = yield from _their_point(ours.point, begin, choice)
    secret = ours.exchange(theirs)
    drawn = _size_checked(entropy(RANDOM_SIZES[begin.algorithm]), begin.algorithm)
    auth = yield from _auth_value(begin, choice, entropy)
    heard = Transcript(
        invite=pdus.pack(invite)[1:],
        capabilities=pdus.pack(offered)[1:],
        start=pdus.pack(begin)[1:],
        provisioner_point=ours.point,
        device_point=theirs,
        secret=secret,
        algorithm=begin.algorithm,
        auth=auth,
    )
    session = yield from _confirm(heard, drawn)
    return (yield from _hand_over(session, offered, begin))


def _their_point(ours: bytes, begin: Start, choice: Choice) -> Talk[bytes]:
    if begin.public_key_oob and choice.public_key is not None:
        theirs = choice.public_key
    else:
        theirs = (yield from _expect(PublicKey, "public_key")).point
    if same(theirs[:32], ours[:32]):  # the same X is the same key or its negative: one secret
        raise PublicKeyReflected("the device sent our own public key")
    return theirs


def _auth_value(begin: Start, choice: Choice, entropy: Entropy) -> Talk[bytes]:
    if begin.method == Method.STATIC and choice.static is not None:
        return oob.static_value(choice.static, begin.algorithm)
    if begin.method == Method.OUTPUT:
        output = OutputAction(begin.action)
        text = yield from ask(output, begin.size)
        return oob.auth_value(output, begin.size, text, begin.algorithm)
    if begin.method == Method.INPUT:
        entered = InputAction(begin.action)
        text = oob.draw(entered, begin.size, entropy)
        yield Show(entered, text)
        yield from _expect(InputComplete, "input", PERSON_TIMEOUT_S)
        return oob.auth_value(entered, begin.size, text, begin.algorithm)
    return bytes(RANDOM_SIZES[begin.algorithm])


def _confirm(heard: Transcript, drawn: bytes) -> Talk[Session]:
    ours = heard.confirmation(drawn)
    yield _send(Confirmation(ours))
    theirs = _size_checked((yield from _expect(Confirmation, "confirmation")).value, heard.algorithm)
    if same(theirs, ours):
        raise ConfirmationReflected("the device sent our own confirmation")
    yield _send(Random(drawn))
    their_random = _size_checked((yield from _expect(Random, "random")).value, heard.algorithm)
    if same(their_random, drawn):
        raise RandomReflected("the device sent our own random")
    if not same(heard.confirmation(their_random), theirs):
        raise ConfirmationFailed("the device's confirmation does not verify")
    return heard.session(drawn, their_random)


def _hand_over(session: Session, offered: Capabilities, begin: Start) -> Talk[Provisioned]:
    data = yield from assign(offered.elements, session.device_key)
    yield _send(Data(session.seal(data.pack())))
    yield from _expect(Complete, "complete")
    return Provisioned(
        device_key=session.device_key,
        unicast=data.unicast,
        elements=offered.elements,
        net_key_index=data.net_key_index,
        algorithm=begin.algorithm,
        method=Method(begin.method),
    )


def _send(pdu: Pdu) -> Send:
    return Send(pdus.pack(pdu))


def _expect(kind: type[P], step: str, timeout: float = STEP_TIMEOUT_S) -> Talk[P]:
    pdu = pdus.unpack((yield from receive(step, timeout)))
    if isinstance(pdu, Failed):
        raise RefusedByDevice(pdu.reason)
    if not isinstance(pdu, kind):
        raise PduUnexpected(f"{type(pdu).__name__} while waiting for {kind.__name__}")
    return pdu


def _size_checked(value: bytes, algorithm: int) -> bytes:
    if len(value) != RANDOM_SIZES[algorithm]:
        raise PduInvalid(f"{len(value)} octets with algorithm {algorithm}")
    return value
