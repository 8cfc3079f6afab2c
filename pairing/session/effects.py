"""What a session makes the runner do, once the state that asks for it is on disk. No effect carries a secret."""

from msgspec import Struct


class Effect(Struct, frozen=True):
    """Something for the runner to do, after the state that asks for it is on disk."""


class StartSearch(Effect, frozen=True):
    methods: tuple[str, ...]


class StopSearch(Effect, frozen=True):
    methods: tuple[str, ...]


class Await(Effect, frozen=True):
    """Say `Due` for this method after so many milliseconds."""

    method: str
    after_ms: int


class Settle(Effect, frozen=True):
    """Say `Settled` after this many milliseconds."""

    after_ms: int


class StartAttempt(Effect, frozen=True):
    attempt: int


class StopAttempt(Effect, frozen=True):
    attempt: int


class SupplyPin(Effect, frozen=True):
    """Hand the PIN the person gave to the waiting attempt."""

    attempt: int


class Answer(Effect, frozen=True):
    """Hand the person's verdict on the code to the waiting attempt."""

    attempt: int
    accepted: bool


class Join(Effect, frozen=True):
    """Run the registration of this attempt's device; its outcome comes back as Registered or NotRegistered."""

    attempt: int


class Refuse(Effect, frozen=True):
    """Tell the attempt that its device is not registered."""

    attempt: int
    cause: str


class CheckJoined(Effect, frozen=True):
    """Ask whether the registration this attempt was in had been committed before the hub stopped."""

    attempt: int
