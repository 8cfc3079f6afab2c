"""The device's half of the memory: what it must keep over power loss, and how each event changes it.

Every function here is pure and small enough for a microcontroller; a `DeviceStore` makes the result durable.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from pairing.errors import StorageFailedError
from pairing.identity import Identity
from pairing.messages import REMEMBERED_COMMANDS, Answer, Endpoint, HubCard, Hubs
from pairing.talk import Entropy
from pairing.text import clean

MAX_WRONG_TRIES = 20
"""Wrong PINs after which the device is dead for new hubs until a physical reset."""
PATIENCE = 60.0
"""Seconds a device asks on before it believes that the hub did not commit a pending binding."""


class Facts(Struct, frozen=True):
    """What a device says about itself: product id, and texts of at most 64 characters."""

    product: str
    name: str = ""
    firmware: str = ""
    serial: str = ""


class Binding(Struct, frozen=True):
    """Whose the device is: the hub, how to prove that to it, and where it was last reached."""

    hub_id: str
    hub_key: bytes
    hub_name: str
    endpoints: tuple[Endpoint, ...]
    credential: bytes
    binding_id: str
    epoch: int
    time: int
    """The hub's clock at the binding, milliseconds since 1970."""

    def __repr__(self) -> str:
        return f"Binding(hub_id={self.hub_id!r}, epoch={self.epoch})"


class DeviceState(Struct, frozen=True):
    """All that must survive power loss. `standby`: another hub of the home, which holds it where its own is gone."""

    identity: Identity
    active: Binding | None = None
    pending: Binding | None = None
    wrong_tries: int = 0
    token_tries: int = 0
    answered: tuple[Answer, ...] = ()
    standby: Binding | None = None

    @property
    def paired(self) -> bool:
        """What the announcement says (`s`)."""
        return self.active is not None

    @property
    def epoch(self) -> int:
        """The highest owner epoch seen; an offer must be above it."""
        return max((binding.epoch for binding in self.known), default=0)

    @property
    def candidates(self) -> tuple[Binding, ...]:
        """The bindings to try a link with, in this order."""
        return tuple(binding for binding in (self.pending, self.active) if binding)

    @property
    def known(self) -> tuple[Binding, ...]:
        """The candidates, and the one for when none of them is reached."""
        return self.candidates if self.standby is None else (*self.candidates, self.standby)

    @property
    def locked(self) -> bool:
        return self.wrong_tries >= MAX_WRONG_TRIES


def new_state(entropy: Entropy) -> DeviceState:
    """A device at its first start."""
    return DeviceState(Identity.generate(entropy))


def bound_elsewhere(state: DeviceState, hub_id: str) -> bool:
    """Whether the device is, or may be, another hub's."""
    return any(binding.hub_id != hub_id for binding in state.candidates)


def count_try(state: DeviceState) -> DeviceState:
    """Before a PIN is judged: a try costs even if power fails or the peer goes away."""
    return replace(state, wrong_tries=state.wrong_tries + 1)


def forget_tries(state: DeviceState) -> DeviceState:
    """After a PIN was right."""
    return replace(state, wrong_tries=0)


def count_token_try(state: DeviceState) -> DeviceState:
    """A hub did not hold the token this device was given; after `MAX_TOKEN_TRIES` of them it is to be forgotten."""
    return replace(state, token_tries=state.token_tries + 1)


def prepare(state: DeviceState, binding: Binding) -> DeviceState:
    """Keep a binding that the hub has not committed yet."""
    return replace(state, pending=binding)


def activate(state: DeviceState) -> DeviceState:
    """The hub has committed the pending binding. Answers given to another hub's commands are forgotten."""
    if state.pending is None:
        return state
    same = state.active is not None and state.active.hub_id == state.pending.hub_id
    answered = state.answered if same else ()
    return replace(state, active=state.pending, pending=None, standby=None, token_tries=0, answered=answered)


def drop_pending(state: DeviceState) -> DeviceState:
    """The hub did not commit."""
    return replace(state, pending=None)


def linked(state: DeviceState, binding: Binding) -> DeviceState:
    """A link with this binding came up: if it was pending, the hub has committed it."""
    return activate(state) if binding == state.pending else state


def refused(state: DeviceState, binding: Binding, reason: str, waited: float) -> DeviceState:
    """The hub proved itself and refused this binding, `waited` seconds after it first did so since power-on.

    "removed" ends any binding at once. A pending one ends with "unknown" and "credential" too, but only after
    `PATIENCE`, since the hub may just be committing it. An active one survives both: a hub restored from an old backup
    must not lose its devices.
    """
    if reason == "removed":
        return _without(state, binding)
    if binding == state.pending and waited >= PATIENCE:
        return drop_pending(state)
    return state


def _without(state: DeviceState, binding: Binding) -> DeviceState:
    if binding == state.pending:
        return drop_pending(state)
    if binding == state.standby:
        return replace(state, standby=None)
    return replace(state, active=None, standby=None, answered=()) if binding == state.active else state


def unbind(state: DeviceState) -> DeviceState:
    """The hub let the device go (message `reset` inside its link)."""
    return replace(state, active=None, pending=None, standby=None, answered=())


def physical_reset(state: DeviceState) -> DeviceState:
    """Somebody pressed the button: everything but the identity is forgotten."""
    return DeviceState(state.identity)


def moved(state: DeviceState, endpoints: tuple[Endpoint, ...]) -> DeviceState:
    """The hub said where it is reached from now on."""
    return replace(state, active=replace(state.active, endpoints=endpoints)) if state.active else state


def held_by(state: DeviceState, told: Hubs) -> DeviceState:
    """The home's hubs say who of them holds the device. What is of an earlier epoch than the device knows says nothing.

    While another pairing is under way, that decides.
    """
    if state.active is None or state.pending is not None or told.epoch < state.epoch:
        return state
    standby = None if told.standby is None else _binding(state.active, told.standby, told.epoch)
    return replace(state, active=_binding(state.active, told.hub, told.epoch), standby=standby)


def _binding(of: Binding, card: HubCard, epoch: int) -> Binding:
    """To another hub of the home, by what proved the device to this one."""
    return replace(
        of, hub_id=card.hub_id, hub_key=card.key, hub_name=clean(card.name), endpoints=card.endpoints, epoch=epoch
    )


def remember(state: DeviceState, answer: Answer) -> DeviceState:
    """Keep an answer before it is sent; the oldest beyond `REMEMBERED_COMMANDS` are forgotten."""
    return replace(state, answered=(*state.answered, answer)[-REMEMBERED_COMMANDS:])


def answer_to(state: DeviceState, command_id: str) -> Answer | None:
    """The answer already given to this command, to be given again instead of doing it twice."""
    return next((answer for answer in state.answered if answer.id == command_id), None)


class DeviceStore(Protocol):
    """Where a device keeps its state. Blocking: call it off the event loop."""

    def load(self) -> DeviceState | None:
        """The state last saved, None at the first start. Raises StorageFailedError."""

    def save(self, state: DeviceState) -> None:
        """Returns when the state would survive power loss. Raises StorageFailedError; the old state is kept then."""


class FileDeviceStore:
    """One JSON file, replaced as a whole. `kind`: the state's type, for a device that keeps more than all do."""

    def __init__(self, path: Path, kind: type[DeviceState] = DeviceState) -> None:
        self._path = path
        self._kind = kind

    def load(self) -> DeviceState | None:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=self._kind)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise StorageFailedError(type(error).__name__) from error

    def save(self, state: DeviceState) -> None:
        temporary = self._path.with_name(self._path.name + ".new")
        try:
            _write_synced(temporary, msgspec.json.encode(state))
            temporary.replace(self._path)
            _sync_folder(self._path.parent)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise StorageFailedError(type(error).__name__) from error


def _write_synced(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    # The rename is durable only once the folder is.
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
