"""How this dialect tells what went wrong: real status codes, and `{"error": {"code", "message"}}`."""

from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from litestar import MediaType, Request, Response
from litestar.types import Send
from msgspec import Struct

from app.companion.problems import headers_of, problem_of

_log = structlog.get_logger("doorstep.bota")
# By the names of their status codes, for programs that expect no words of ours; what is not here keeps its own.
_CODES: Final = {"unauthenticated": "unauthorized", "refused": "forbidden", "too_many": "rate_limited"}


class Told(Struct, frozen=True):
    """What went wrong; `code` is stable, `message` for people."""

    code: str
    message: str


class Refusal(Struct, frozen=True):
    """The body of every answer that is no 2xx."""

    error: Told


def refusal(error: Exception) -> tuple[int, Refusal]:
    """(status, body). What nobody raised on purpose tells nothing."""
    problem = problem_of(error)
    return problem.status, Refusal(Told(_CODES.get(problem.code, problem.code), problem.detail or problem.title))


def to_response(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's exception handler for these routes."""
    status, body = refusal(error)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("internal error", exc_info=error)
    return Response(msgspec.json.encode(body), status_code=status, media_type=MediaType.JSON, headers=headers_of(error))


async def send_refusal(send: Send, error: Exception) -> None:
    """The same from outside Litestar."""
    status, said = refusal(error)
    body = msgspec.json.encode(said)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *((name.lower().encode(), value.encode()) for name, value in headers_of(error).items()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
