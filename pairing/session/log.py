"""What the session needs of whoever keeps it: a durable log, and the registration of a proven device."""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

from msgspec import Struct

from pairing.session.states import SessionState, State, Step

Secrets: TypeAlias = Mapping[str, str]
"""What must not be stored in the clear: "pin", "token" (hex), later "wifi_password", by name."""


class Entry(Struct, frozen=True, kw_only=True):
    """One accepted event: its name, when (ms), the state it led to, and the steps it added. Holds no secret."""

    at: int
    event: str
    state: State
    steps: tuple[Step, ...] = ()


class Stored(Struct, frozen=True, kw_only=True):
    """A session that was open when the hub stopped, with the secrets it was created with."""

    state: SessionState
    secrets: dict[str, str] = {}


class SessionLog(Protocol):
    """Keeps sessions. Each call returns only after what it was given is on disk, and raises where it is not."""

    async def create(self, state: SessionState, secrets: Secrets) -> None:
        """Keep a new session. `secrets` go where secrets belong, bound to the session, and are dropped when it ends."""
        ...

    async def append(self, session_id: str, entry: Entry, state: SessionState) -> None:
        """Replace the session's state and add to its history, in one transaction.

        Awaited before the effects of the entry are carried out and before anybody is told. A terminal `state.state`
        is the last call for a session.
        """
        ...

    async def open_sessions(self) -> Sequence[Stored]:
        """Every session that is not in a terminal state: what a start of the hub finds."""
        ...


class JoinRefusedError(Exception):
    """The registration was refused, for good, and nothing of it was kept. `cause` is a code of `causes.CATALOGUE`."""

    def __init__(self, cause: str, **detail: str) -> None:
        super().__init__(cause)
        self.cause = cause
        self.detail = detail


class Activation(Protocol):
    """What any method hands over for registration; each adds its own (keys, model facts)."""

    @property
    def device_id(self) -> str: ...

    @property
    def trust(self) -> str: ...


class Registrar(Protocol):
    """Takes a proven device into the session's home."""

    async def join(self, session: SessionState, attempt: int, activated: Activation) -> str:
        """Register the device in ONE transaction (device, secrets, audit, outbox, event) and answer its id.

        Must be idempotent per (session.id, attempt), check rights inside the transaction, raise JoinRefusedError
        when it will not, and anything else when it could not. Cancelled, it either has committed or has not: the
        runner then asks `joined`.
        """
        ...

    async def joined(self, session: SessionState, attempt: int) -> str | None:
        """The device id `join` committed for this attempt, or None: nothing of it is on disk and nothing will be."""
        ...
