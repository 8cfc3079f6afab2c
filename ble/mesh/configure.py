"""Procedures on nodes: set one up, reset one, change the network's keys under all of them.

Each is a generator. It yields a Request and is sent the node's answer, or None where there was none in spite of the
retries of whoever carries it; other actions are named where they are yielded. Refusals are raised as ConfigRefused.
"""

from collections.abc import Generator, Mapping, Sequence
from enum import IntEnum
from typing import TypeAlias, TypeVar

from msgspec import Struct

from ble.errors import BleError, Malformed, NotReachable
from ble.mesh.access import Message
from ble.mesh.config.bindings import (
    ModelAppBind,
    ModelAppStatus,
    Publication,
    PublicationSet,
    PublicationStatus,
    SubscriptionAdd,
    SubscriptionDelete,
    SubscriptionStatus,
)
from ble.mesh.config.composition import Composition, Features, unpack
from ble.mesh.config.indexes import KeyPair
from ble.mesh.config.keys import (
    AppKeyAdd,
    AppKeyStatus,
    AppKeyUpdate,
    KeyRefreshPhaseGet,
    KeyRefreshPhaseSet,
    KeyRefreshPhaseStatus,
    NetKeyStatus,
    NetKeyUpdate,
    Transition,
)
from ble.mesh.config.refused import ConfigRefused, check
from ble.mesh.config.settings import (
    CompositionDataGet,
    CompositionDataStatus,
    NetworkTransmitSet,
    NetworkTransmitStatus,
    NodeReset,
    NodeResetStatus,
    RelaySet,
    RelayStatus,
    Retransmit,
)
from ble.mesh.model_id import ModelId
from ble.mesh.models.known import is_bindable
from ble.mesh.wire import WireMessage

T = TypeVar("T")
A = TypeVar("A", bound=WireMessage)

RESET_ATTEMPTS = 3
_NAMING = frozenset(("element", "model", "indexes", "index", "net_key", "app_key"))
"""The fields that say what a message is about, and that its answer repeats."""


class Unanswered(NotReachable):
    """The node did not answer, or went on being there when it was told to leave."""

    code = "node_silent"
    hint = "Check that the device has power and is in reach of another mesh device."


class SomeAway(BleError):
    """A node that is to keep the network did not take its new keys: they are not used before it has."""

    code = "some_away"
    retryable = True


class Request(Struct, frozen=True):
    """Send `message` to the node at `address` under its device key. Answered with an `expects`, or None.

    With `may_vanish` the node may be the proxy itself, and gone with the message: that too is no answer, and no error.
    """

    address: int
    message: WireMessage
    expects: type[WireMessage]
    may_vanish: bool = False

    def answered_by(self, heard: Message) -> bool:
        """Whether what the node said is the answer: it names what the message named, so that no late one is taken."""
        if heard.opcode != self.expects.OPCODE:
            return False
        try:
            answer = self.expects.read(heard.parameters)
        except Malformed:
            return False
        both = set(self.message.__struct_fields__) & set(answer.__struct_fields__) & _NAMING
        return all(getattr(self.message, name) == getattr(answer, name) for name in both)


class LookFor(Struct, frozen=True):
    """Is the node gone: heard by nobody, or advertising as unprovisioned? Answered with a bool."""

    address: int


class Phase(IntEnum):
    """Our own steps in a key refresh (MshPRT 1.1, 3.11.4)."""

    DISTRIBUTE = 1
    USE_NEW = 2
    REVOKE_OLD = 3


class Enter(Struct, frozen=True):
    """Move our own keys to that phase and make it durable, before anything else is sent. Answered with None."""

    phase: Phase


Action: TypeAlias = Request | LookFor | Enter
Answer: TypeAlias = WireMessage | bool | None
Procedure: TypeAlias = Generator[Action, Answer, T]


def ask(address: int, message: WireMessage, expects: type[A]) -> Procedure[A]:
    """The node's answer. Raises Unanswered."""
    answer = yield Request(address, message, expects)
    if not isinstance(answer, expects):
        raise Unanswered(f"{type(message).__name__} to {address:#06x}")
    return answer


# Set-up


class Setup(Struct, frozen=True, kw_only=True):
    """What a node is given. None leaves a setting as it is; `transmit` is for its own, `relay` for others' messages."""

    keys: KeyPair
    app_key: bytes
    transmit: Retransmit | None = Retransmit(2, 1)
    relay: Retransmit | None = None
    publish_to: int | None = None


class Bound(Struct, frozen=True):
    """A model of the element at `address` that can be used now."""

    address: int
    model: ModelId


class Configured(Struct, frozen=True, kw_only=True):
    """A node that is set up. `refused` has the models that would not be bound, and why."""

    composition: Composition
    page: bytes
    bound: tuple[Bound, ...]
    refused: tuple[tuple[Bound, int], ...] = ()


def configure(address: int, setup: Setup) -> Procedure[Configured]:
    """Learn what the node is, give it the application key, bind what we know, and settle how it sends.

    `publish_to` makes the bound models tell that address of their changes. Raises Unanswered, ConfigRefused (for the
    key, or where not one model could be bound), Malformed.
    """
    status = yield from ask(address, CompositionDataGet(0), CompositionDataStatus)
    made = unpack(status.data)
    added = yield from ask(address, AppKeyAdd(setup.keys, setup.app_key), AppKeyStatus)
    check(added.status)
    bound, refused = yield from _bind(address, made, setup)
    if refused and not bound:
        raise ConfigRefused(refused[0][1])
    yield from _settle(address, made, setup)
    return Configured(composition=made, page=status.data, bound=tuple(bound), refused=tuple(refused))


def _bind(address: int, made: Composition, setup: Setup) -> Procedure[tuple[list[Bound], list[tuple[Bound, int]]]]:
    bound, refused = [], []
    wanted = [
        Bound(address + index, model)
        for index, element in enumerate(made.elements)
        for model in element.models
        if is_bindable(model)
    ]
    for one in wanted:
        message = ModelAppBind(one.address, setup.keys.app, one.model)
        status = (yield from ask(address, message, ModelAppStatus)).status
        if status:
            refused.append((one, status))
            continue
        bound.append(one)
        if setup.publish_to is not None:
            yield from publish(address, one, setup.publish_to, Publication(app_key=setup.keys.app))
    return bound, refused


def publish(address: int, one: Bound, to: int, publication: Publication) -> Procedure[bool]:
    """Whether the model tells `to` of its changes now: not every model can."""
    message = PublicationSet(one.address, to, publication, one.model)
    return not (yield from ask(address, message, PublicationStatus)).status


def _settle(address: int, made: Composition, setup: Setup) -> Procedure[None]:
    if setup.transmit is not None:
        yield from ask(address, NetworkTransmitSet(setup.transmit), NetworkTransmitStatus)
    if setup.relay is not None and made.features & Features.RELAY:
        yield from ask(address, RelaySet(1, setup.relay), RelayStatus)


def join_group(address: int, one: Bound, group: int) -> Procedure[None]:
    """Have a model listen to a group. Raises Unanswered, ConfigRefused."""
    answer = yield from ask(address, SubscriptionAdd(one.address, group, one.model), SubscriptionStatus)
    check(answer.status)


def leave_group(address: int, one: Bound, group: int) -> Procedure[None]:
    """The opposite."""
    answer = yield from ask(address, SubscriptionDelete(one.address, group, one.model), SubscriptionStatus)
    check(answer.status)


# Removal


def reset(address: int, attempts: int = RESET_ATTEMPTS) -> Procedure[bool]:
    """Make a node forget the network. Whether it said so itself; raises Unanswered where it is still there.

    Most wipe their keys before they could answer, so that silence and being gone is success as well.
    """
    for _ in range(attempts):
        answer = yield Request(address, NodeReset(), NodeResetStatus, may_vanish=True)
        if isinstance(answer, NodeResetStatus):
            return True
        gone = yield LookFor(address)
        if gone is True:
            return False
    raise Unanswered(f"{address:#06x} was told to forget the network, and is still there")


# Key refresh


class Refreshed(Struct, frozen=True, kw_only=True):
    """Who has the new keys. `left_out` do not, and are out of the network; `late` have them and follow the beacons."""

    done: tuple[int, ...]
    left_out: tuple[int, ...]
    late: tuple[int, ...]


def refresh(
    net_index: int, net_key: bytes, app_keys: Mapping[int, bytes], nodes: Sequence[int], *, patient: bool = False
) -> Procedure[Refreshed]:
    """Change the network key, and the application keys bound to it, under these nodes (3.11.4).

    A node that is to be shut out is not among `nodes`; one that does not answer in phase 1 is shut out too, or with
    `patient` raises SomeAway before any node uses the new keys. It may be begun again with the same keys.
    """
    yield Enter(Phase.DISTRIBUTE)
    held: list[int] = []
    left_out: list[int] = []
    silent = 0
    for address in nodes:
        has_all = yield from _distribute(address, net_index, net_key, app_keys)
        (held if has_all else left_out).append(address)
        silent += has_all is None
    if silent and patient:
        raise SomeAway(f"{silent} nodes")
    late: list[int] = []
    for transition, phase in ((Transition.USE_NEW, Phase.USE_NEW), (Transition.REVOKE_OLD, Phase.REVOKE_OLD)):
        for address in held:
            moved = yield Request(address, KeyRefreshPhaseSet(net_index, transition), KeyRefreshPhaseStatus)
            if not (isinstance(moved, KeyRefreshPhaseStatus) and moved.status == 0) and address not in late:
                late.append(address)
        yield Enter(phase)
    done = tuple(address for address in held if address not in late)
    return Refreshed(done=done, left_out=tuple(left_out), late=tuple(late))


def _distribute(address: int, net_index: int, net_key: bytes, app_keys: Mapping[int, bytes]) -> Procedure[bool | None]:
    """Whether a node has the new keys; None where it does not answer."""
    answer = yield Request(address, NetKeyUpdate(net_index, net_key), NetKeyStatus)
    if not isinstance(answer, NetKeyStatus):
        return None
    if answer.status:
        # One that was told to use them by a refresh that did not come to its end has all, and takes no key again.
        phase = yield Request(address, KeyRefreshPhaseGet(net_index), KeyRefreshPhaseStatus)
        return isinstance(phase, KeyRefreshPhaseStatus) and phase.status == 0 and phase.phase == Phase.USE_NEW
    for app_index, app_key in app_keys.items():
        updated = yield Request(address, AppKeyUpdate(KeyPair(net_index, app_index), app_key), AppKeyStatus)
        if not isinstance(updated, AppKeyStatus):
            return None
    return True
