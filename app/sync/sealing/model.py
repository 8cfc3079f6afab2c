"""Home keys and whom they are for; how they stand in a home's log; what can be wrong (PROTOCOL.md 8)."""

from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from app.errors import Conflict, Invalid
from app.sync.sealing import crypto

TO: Final = "to/"
RECOVERY: Final = "recovery"
HUB: Final = "hub/"
PHONE: Final = "phone/"
# 100 and 120 random bits: see `crypto.code_key`.
ADMISSION_LETTERS: Final = 20
RECOVERY_LETTERS: Final = 24
# How a sealed secret's field begins: it is another secret than before, or the same with another key.
MADE: Final = "made "
AGAIN: Final = "again "
_PARTS: Final = 4
HIGHEST_NUMBER: Final = 1 << 40
# Of those before the newest: whoever was away that long is let in again.
KEPT_KEYS: Final = 16

Code = Annotated[str, Meta(min_length=1, max_length=64)]


class HubNotIn(Conflict):
    """This hub cannot open the home's secrets, so it can let nobody in."""

    code = "hub_not_in"
    hint = "Let it in at another hub of the home, or by the recovery code; or ask one that is in."


class HomeNotShared(Conflict):
    """This home has no cloud: its secrets are on this hub alone, and in its backups."""

    code = "home_not_shared"
    hint = "Join a cloud first: `doorstep cloud join`."


class AdmissionCodeWrong(Invalid):
    """That is not the code that hub shows."""

    code = "admission_code_wrong"
    hint = "Read it again off the screen of the hub that waits: `doorstep home keys`, there."


class RecoveryCodeWrong(Invalid):
    """Nothing of this home opens with that recovery code."""

    code = "recovery_code_wrong"
    hint = "Making a new recovery code ends the one before."


class HomeKey(Struct, frozen=True, array_like=True):
    """One key of a home; the current one is the highest."""

    number: int
    id: str
    octets: bytes

    def __repr__(self) -> str:
        return f"HomeKey({self.number}, {self.id})"

    @property
    def place(self) -> tuple[int, str]:
        """What keys are ordered by: two that were made at once have the same number."""
        return self.number, self.id


class Wrapped(Struct, frozen=True, array_like=True):
    """A home key for one recipient, whose key `public` is; `vouch` by the home key itself says that it is.

    `owner`: of a phone and of recovery, for which owner (the person's key); `at`: of a phone, the hub where that was
    asked. `proof`: by the code that let this recipient in; empty: none did.
    """

    public: bytes
    sealed: bytes
    vouch: bytes
    owner: str = ""
    at: str = ""
    proof: bytes = b""


class Recipient(Struct, frozen=True):
    """Whom a key is sealed for: `hub/<id>`, `phone/<id>` or `recovery`."""

    name: str
    public: bytes
    owner: str = ""
    at: str = ""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Wrapped).decode


def wrapped_for(key: HomeKey, home_id: str, to: Recipient, code: bytes | None = None) -> str:
    """`key` for a recipient, as it stands in the log; `code`: the key of the code that lets it in."""
    proof = b"" if code is None else crypto.admission(code, home_id, key.id, key.number, key.octets)
    sealed = crypto.wrap(key.octets, home_id, key.id, to.name, to.public)
    return b64encode(_encode(Wrapped(to.public, sealed, _vouch(key, home_id, to), to.owner, to.at, proof))).decode()


def wrapped_of(text: object) -> Wrapped | None:
    """What stands in the log for a recipient; None for what cannot be."""
    try:
        return _decode(b64decode(text, validate=True)) if isinstance(text, str) else None
    except (ValueError, msgspec.DecodeError):
        return None


def recipients(key: HomeKey, home_id: str, fields: Mapping[str, Any]) -> Iterator[Recipient]:
    """Those for whom `key` is sealed by its entity, as far as the key itself vouches for them."""
    for name, text in fields.items():
        wrapped = wrapped_of(text) if name.startswith(TO) else None
        if wrapped is not None:
            to = Recipient(name.removeprefix(TO), wrapped.public, wrapped.owner, wrapped.at)
            if crypto.same(wrapped.vouch, _vouch(key, home_id, to)):
                yield to


def numbered(fields: Mapping[str, Any]) -> int | None:
    """A home key's number, as its entity has it; None for what can be none."""
    number = fields.get("number")
    return number if isinstance(number, int) and 0 < number < HIGHEST_NUMBER else None


def newest(entities: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Which of a home's keys, as its log has them by id, is the current one."""
    return max(entities, key=lambda it: place_of(it, entities[it]), default=None)


def place_of(key_id: str, fields: Mapping[str, Any]) -> tuple[int, str]:
    """`HomeKey.place` of a home key, as its entity has it."""
    return numbered(fields) or 0, key_id


class Sealed(Struct, frozen=True):
    """A secret as its entity's one field has it: what belongs together is merged together.

    `again`: nobody made it another, it was only sealed with another key. `key` is that one's id.
    """

    again: bool
    key: str
    mac: bytes
    octets: bytes

    def text(self) -> str:
        """The field."""
        return f"{AGAIN if self.again else MADE}{self.key} {self.mac.hex()} {b64encode(self.octets).decode()}"

    def is_of(self, key: HomeKey, home_id: str, place: str, secret: bytes) -> bool:
        """Whether it is that secret, sealed with `key`."""
        return key.id == self.key and crypto.same(self.mac, crypto.mac(key.octets, home_id, place, secret))

    def opened(self, key: HomeKey, home_id: str, place: str) -> bytes:
        """The secret; raises SealBroken."""
        return crypto.open_(key.octets, home_id, place, self.octets)


def sealed_by(key: HomeKey, home_id: str, place: str, secret: bytes, *, again: bool = False) -> Sealed:
    """A secret, sealed with `key`."""
    octets = crypto.seal(key.octets, home_id, place, secret)
    return Sealed(again, key.id, crypto.mac(key.octets, home_id, place, secret), octets)


def sealed_of(text: object) -> Sealed | None:
    """What stands in a field; None for what cannot be."""
    parts = text.split(" ") if isinstance(text, str) else []
    if len(parts) != _PARTS or not f"{parts[0]} ".startswith((MADE, AGAIN)):
        return None
    try:
        return Sealed(f"{parts[0]} " == AGAIN, parts[1], bytes.fromhex(parts[2]), b64decode(parts[3], validate=True))
    except ValueError:
        return None


def _vouch(key: HomeKey, home_id: str, to: Recipient) -> bytes:
    return crypto.vouch(key.octets, home_id, to.name, to.public, to.owner.encode(), to.at.encode())
