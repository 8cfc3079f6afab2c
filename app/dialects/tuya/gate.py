"""In front of the routes: reads a request whole, has it proved, and answers in this API's words."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from litestar import Request as Received
from litestar import Response
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from app.dialects.tuya import codes
from app.dialects.tuya.codes import TuyaError
from app.dialects.tuya.envelope import JSON, failed, send_answer
from app.dialects.tuya.model import PREFIXES, Asked
from app.dialects.tuya.proving import Proving
from app.dialects.tuya.signing import Request
from app.errors import DoorstepError
from app.policy import Actor

METHODS: Final = frozenset({"GET", "POST", "PUT", "DELETE"})
# Each list of a query is at most 20 ids of 36 characters; the rest are numbers and words.
MAX_QUERY_FIELDS: Final = 64


class TuyaFace:
    """`app.companion.layers.Face`: whose a request claims to be, and refusals made outside the routes."""

    prefix = PREFIXES

    def __init__(self, proving: Proving) -> None:
        self._proving = proving

    def actor_of(self, scope: Scope) -> Actor | None:
        """By the token alone, which limits count by; nothing is done before the request is proved."""
        return self._proving.claimed(headers_of(scope))

    async def refuse(self, send: Send, error: Exception, request_id: str) -> None:
        """Answer with what went wrong."""
        await send_answer(send, failed(error, request_id))

    def to_response(self, request: Received[Any, Any, Any], error: Exception) -> Response[bytes]:
        """The same inside Litestar."""
        return Response(failed(error, request.scope["state"]["request_id"]), status_code=200, media_type=JSON)


class TuyaGate:
    """ASGI. Lets through what is not this API's; `scope["state"]["asked"]` says what was proved of the rest."""

    def __init__(self, app: ASGIApp, proving: Proving, body_bytes: int) -> None:
        self._app = app
        self._proving = proving
        self._most = body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != ScopeType.HTTP or not scope["path"].startswith(PREFIXES):
            await self._app(scope, receive, send)
            return
        await self._answer(scope, receive, send)

    async def _answer(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        try:
            body = await self._proved(scope, receive)
        except DoorstepError as error:
            head_only = scope["method"] == "HEAD"
            await send_answer(send, failed(error, scope["state"]["request_id"]), head_only=head_only)
            return
        await self._app(scope, _once(body), send)

    async def _proved(self, scope: HTTPScope, receive: Receive) -> bytes:
        if scope["method"] not in METHODS:
            raise TuyaError(codes.PATH_INVALID)
        headers, path, state = headers_of(scope), scope["path"], scope["state"]
        self._proving.check_head(path, headers, state["speaker"])
        body = await self._body(headers, receive)
        request = Request(scope["method"], target_of(scope), headers, body)
        state["actor"] = actor = await self._proving.prove(path, request)
        client = scope.get("client")
        address = client[0] if client else ""
        state["asked"] = Asked(actor, query_of(scope), body, address, state["request_id"])
        return body

    async def _body(self, headers: Mapping[str, str], receive: Receive) -> bytes:
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length[:20]) > self._most:
            raise TuyaError(codes.PARAM_ILLEGAL)
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise TuyaError(codes.PARAM_ILLEGAL)
            body += message.get("body", b"")
            if len(body) > self._most:
                raise TuyaError(codes.PARAM_ILLEGAL)
            if not message.get("more_body"):
                return bytes(body)


def headers_of(scope: Scope) -> dict[str, str]:
    """Headers by their names in lower case; of one that is there twice, the last."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def target_of(scope: Scope) -> str:
    """Path and query as they were sent, a trailing slash and all."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    return (path + b"?" + query if query else path).decode("latin-1")


def query_of(scope: Scope) -> dict[str, str]:
    """The fields of a query; raises TuyaError."""
    try:
        text = scope["query_string"].decode()
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS, errors="strict")
    except ValueError as error:
        raise TuyaError(codes.PARAM_ILLEGAL) from error
    return dict(pairs)


def _once(body: bytes) -> Receive:
    """What the routes receive: the body that was proved, in one piece."""

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
