"""What a hub and its cloud say to each other to know each other (PROTOCOL.md 7): bodies, and what is hashed or signed.

Bodies are maps in MessagePack. Unknown fields are passed over: the other end may be newer.
"""

import hashlib
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from app.accounts.model import Token, TypedCode
from app.accounts.signatures import framed
from app.errors import Invalid
from app.sync.enrolment.model import HubId, HubName, Incarnation, NodeId, Octets32

T = TypeVar("T")

MEDIA_TYPE: Final = "application/msgpack"
NUMBER_DIGITS: Final = 6
_NUMBER: Final = b"Doorstep enrolment number 1"
_SESSION: Final = b"Doorstep hub session 1"

Nonce = Annotated[bytes, Meta(min_length=16, max_length=128)]


class Enrol(Struct, frozen=True):
    """POST /sync/enrol: a hub introduces itself with the code it was told."""

    code: TypedCode
    hub_id: HubId
    name: HubName
    public_key: Octets32
    seal_key: Octets32
    node: NodeId
    incarnation: Incarnation
    nonce: Nonce


class Asked(Struct, frozen=True):
    """Its answer: what to wait by (`enrolment` and `secret`), and who the cloud is."""

    enrolment: Annotated[str, Meta(min_length=1, max_length=64)]
    secret: Token
    cloud_id: HubId
    cloud_name: HubName
    nonce: Nonce


class AskState(Struct, frozen=True):
    """POST /sync/enrol/state."""

    enrolment: Annotated[str, Meta(min_length=1, max_length=64)]
    secret: Token


class State(Struct, frozen=True):
    """Its answer: asked, confirmed, refused, or expired."""

    state: str


class Challenge(Struct, frozen=True):
    """POST /sync/challenges: what a hub is to sign, once, within a minute."""

    nonce: Nonce


class Prove(Struct, frozen=True):
    """POST /sync/sessions: a signature (Ed25519) over `session_text`."""

    hub_id: HubId
    node: NodeId
    incarnation: Incarnation
    nonce: Nonce
    signature: Annotated[bytes, Meta(min_length=64, max_length=64)]


class Opened(Struct, frozen=True):
    """Its answer: a bearer token, and for how many seconds it is good."""

    token: Token
    expires_in: Annotated[int, Meta(ge=1)]


encode: Final = msgspec.msgpack.Encoder().encode


def decode(body: bytes, shape: type[T]) -> T:
    """A body; raises Invalid."""
    try:
        return msgspec.msgpack.decode(body, type=shape)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Invalid(f"the body is not what is expected here: {error}") from error


def short_number(cloud_id: str, said: Enrol, cloud_nonce: bytes) -> str:
    """Six digits that both ends show: another hub, another key of it, or another cloud, and they differ."""
    parts = (cloud_id.encode(), said.hub_id.encode(), said.public_key, said.seal_key, said.nonce, cloud_nonce)
    digest = hashlib.sha256(framed(_NUMBER, *parts)).digest()
    return f"{int.from_bytes(digest[:8], 'big') % 10**NUMBER_DIGITS:0{NUMBER_DIGITS}d}"


def session_text(cloud_id: str, hub_id: str, node: str, incarnation: int, nonce: bytes) -> bytes:
    """What a hub signs to open a session: good at this cloud, for this life of it, once."""
    number = incarnation.to_bytes(8, "big")
    return framed(_SESSION, cloud_id.encode(), hub_id.encode(), node.encode(), number, nonce)
