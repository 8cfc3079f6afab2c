"""How the keys of a home are shown to its owner."""

from typing import Literal

from msgspec import Struct

State = Literal["in", "waiting", "removed"]


class HubKeyView(Struct, frozen=True):
    """A hub of the home: `in` has its secrets, `waiting` is to be let in, `removed` was keyed out."""

    id: str
    name: str
    state: State


class HomeKeysView(Struct, frozen=True):
    """Who has a home's secrets. `state` of the node that answers; `alone`: the home has no cloud, and no keys.

    `code`, at a hub that waits: to be typed at one that is in, where it lets this one in. `number` of the present key.
    `phones`: ids of the owner's phones it is sealed for; `recovery`: there is a recovery code.
    """

    state: Literal["alone", "cloud", "in", "waiting"]
    hub_id: str | None
    code: str | None
    number: int | None
    hubs: list[HubKeyView]
    phones: list[str]
    recovery: bool


class Admission(Struct, frozen=True):
    """A hub that was let in."""

    hub_id: str
    name: str


class RecoveryCode(Struct, frozen=True):
    """It is shown here and never again, and ends the one before. Whoever has it can let a hub of theirs in."""

    code: str


class WrappedKey(Struct, frozen=True):
    """A home key for one phone: PROTOCOL.md 8 says how it opens. `wrapped` in base64."""

    id: str
    number: int
    wrapped: bytes


class SealedSecret(Struct, frozen=True):
    """A secret of the home, sealed with the key of the id `key`, in base64; `place` says what it is of."""

    place: str
    key: str
    sealed: bytes


class SealedSecrets(Struct, frozen=True):
    """A home's secrets, for one phone of its owner."""

    home_id: str
    keys: list[WrappedKey]
    secrets: list[SealedSecret]
