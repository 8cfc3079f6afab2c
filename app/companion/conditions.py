"""What a request states about itself: If-Match, Idempotency-Key, page and cursor; and answers that carry an ETag."""

import base64
import binascii
import hashlib
from collections.abc import Callable
from typing import Annotated, Any, Generic, TypeVar, cast

import msgspec
from litestar import Request, Response
from litestar.params import QueryParameter
from msgspec import Struct

from app.caller import Caller
from app.errors import Invalid
from app.policy import Actor
from app.store.once import Once

T = TypeVar("T")

MAX_KEY_LENGTH = 200
PAGE_DEFAULT = 50
PAGE_MOST = 200
# How every list takes them.
Cursor = Annotated[str | None, QueryParameter(max_length=500, description="`next` of the page before")]
Limit = Annotated[
    int | None, QueryParameter(ge=1, le=PAGE_MOST, description=f"items a page; {PAGE_DEFAULT} if left out")
]

NOBODY = Actor(account_id=None)


class Page(Struct, Generic[T], frozen=True):
    """Part of a list; `next` goes into `cursor` for the following part, null at the end."""

    items: list[T]
    next: str | None = None


class ApiRequest(Request[Any, Any, Any]):
    """A request whose body, whatever it is, is JSON or the sender's mistake."""

    async def json(self) -> Any:
        """The body; raises Invalid where Litestar lets through what its decoder throws at bad bytes or deep nesting."""
        try:
            return await super().json()
        except (UnicodeDecodeError, RecursionError) as error:
            raise Invalid("the body is not JSON this hub reads") from error


async def caller_of(request: Request[Any, Any, Any]) -> Caller:
    """The caller of this request. The body is read for the Idempotency-Key's fingerprint."""
    state, headers = request.scope["state"], request.headers
    actor: Actor = state.get("actor") or NOBODY
    once = None
    if (key := headers.get("idempotency-key")) and actor.credential_id and request.method not in ("GET", "HEAD"):
        once = once_of(actor, key, request.method, request.scope["path"], await request.body())
    client = request.scope.get("client")
    return Caller(
        actor=actor,
        once=once,
        if_match=version_of(headers.get("if-match")),
        address=client[0] if client else "",
        request_id=str(state["request_id"]),
    )


def once_of(actor: Actor, key: str, method: str, path: str, body: bytes) -> Once:
    """A repeatable request; its scope is the credential, so keys of different phones never meet."""
    if len(key) > MAX_KEY_LENGTH or not key.isprintable():
        raise Invalid(f"Idempotency-Key: at most {MAX_KEY_LENGTH} printable characters")
    fingerprint = hashlib.sha256(b"\n".join((method.encode(), path.encode(), body))).digest()
    return Once(actor.credential_id or "", key, fingerprint)


def version_of(if_match: str | None) -> int | None:
    """The version an If-Match header names; None for no header or `*`."""
    if if_match is None or if_match.strip() == "*":
        return None
    text = if_match.strip().removeprefix("W/").strip('"')
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Invalid("If-Match: not an ETag of this API")
    return int(text)


def answer(value: T, version: int | None = None, status: int = 200) -> Response[T]:
    """`value` with its ETag."""
    headers = {} if version is None else {"ETag": f'"{version}"'}
    return Response(value, status_code=status, headers=headers)


def limit_of(limit: int | None) -> int:
    """How many items a page has."""
    return max(1, min(limit or PAGE_DEFAULT, PAGE_MOST))


def encode_cursor(*place: str | int) -> str:
    """A place in a list, opaque to clients."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def decode_cursor(cursor: str | None, shape: type[T]) -> T | None:
    """The place a cursor names; raises Invalid for what this API never gave."""
    if cursor is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        place: Any = msgspec.json.decode(raw, type=shape)
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise Invalid("cursor: not one this API gave") from error
    # Beyond 64 bits it is no place in any table, and nothing the database can be asked for.
    if any(isinstance(part, int) and not 0 <= part < 1 << 63 for part in place):
        raise Invalid("cursor: not one this API gave")
    return cast("T", place)


def place_of(cursor: str | None) -> str:
    """The id after which a page begins; empty for the first. For lists in order of one id."""
    place = decode_cursor(cursor, tuple[str])
    return place[0] if place else ""


def page_of(found: list[T], most: int, id_of: Callable[[T], str | int]) -> Page[T]:
    """The page of a list in order of one id or number, of which one item more than `most` was asked for."""
    return Page(found[:most], encode_cursor(id_of(found[most - 1])) if len(found) > most else None)
