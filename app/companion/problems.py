"""Errors as this face tells them: problem+json (RFC 9457) with `code`, `hint`, `step` and `retryable`."""

from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import Send
from msgspec import Struct

from app.errors import (
    Conflict,
    DoorstepError,
    Gone,
    Invalid,
    KeyReused,
    NotFound,
    Refused,
    TooMany,
    Unauthenticated,
    Unavailable,
    VersionMismatch,
)

CONTENT_TYPE = "application/problem+json"

_STATUS: dict[type[DoorstepError], int] = {
    Unauthenticated: 401,
    Refused: 403,
    NotFound: 404,
    Invalid: 400,
    Conflict: 409,
    VersionMismatch: 412,
    KeyReused: 422,
    Gone: 410,
    TooMany: 429,
    Unavailable: 503,
    DoorstepError: 500,
}

# What HTTP itself can refuse, before a route is reached: (code, title) by status.
FACE: dict[int, tuple[str, str]] = {
    HTTPStatus.METHOD_NOT_ALLOWED: ("method_not_allowed", "This path does not know this method."),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("content_too_large", "The request is larger than this hub takes."),
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: ("unsupported_media_type", "Send JSON."),
    HTTPStatus.INTERNAL_SERVER_ERROR: ("internal", "The hub made a mistake."),
}

_log = structlog.get_logger("doorstep.api")


class Problem(Struct, frozen=True, omit_defaults=True):
    """What went wrong (`code`, stable), for whom it is to read (`title`, `detail`), and what to do next (`hint`).

    `step` is the part of a longer act it happened in; `retryable` says whether the same request can succeed later.
    """

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    hint: str = ""
    step: str = ""
    retryable: bool = False
    request_id: str = ""
    facts: dict[str, Any] = {}


def status_of(kind: type[DoorstepError]) -> int:
    """The HTTP status of an error: that of the nearest category it belongs to."""
    return next(_STATUS[base] for base in kind.__mro__ if base in _STATUS)


def problem_of(error: Exception, request_id: str = "") -> Problem:
    """The problem to answer with. What Doorstep did not raise on purpose tells nothing but the request's id."""
    if isinstance(error, DoorstepError):
        status = status_of(type(error))
        return Problem(
            type=f"/api/errors/{error.code}",
            title=(type(error).__doc__ or "").partition("\n")[0],
            status=status,
            code=error.code,
            detail=str(error),
            hint=error.hint,
            step=str(error.facts.get("step", "")),
            retryable=error.retryable,
            request_id=request_id,
            facts={k: v for k, v in error.facts.items() if k not in {"step", "retry_after"}},
        )
    if isinstance(error, HTTPException):
        return problem_of(unfit, request_id) if (unfit := _body_unfit(error)) else _of_http(error, request_id)
    code, title = FACE[HTTPStatus.INTERNAL_SERVER_ERROR]
    return Problem(f"/api/errors/{code}", title, 500, code, request_id=request_id)


def _body_unfit(error: HTTPException) -> Invalid | None:
    """Litestar takes an unfit field of a body for a fault of the dependency that happens to have its name."""
    cause, where = error.__cause__, "`$.data."
    if not isinstance(cause, msgspec.ValidationError) or error.status_code != HTTPStatus.INTERNAL_SERVER_ERROR:
        return None
    message, _, path = str(cause).partition(" - at ")
    if not path.startswith(where):
        return None
    return Invalid(fields=[{"message": message, "key": path.removeprefix(where).rstrip("`"), "source": "body"}])


def _of_http(error: HTTPException, request_id: str) -> Problem:
    status = error.status_code
    if status == HTTPStatus.NOT_FOUND:
        return problem_of(NotFound(), request_id)
    if status == HTTPStatus.BAD_REQUEST:
        facts = {"fields": error.extra} if isinstance(error, ValidationException) and error.extra else {}
        return problem_of(Invalid(str(error.detail), **facts), request_id)
    code, title = FACE.get(status, FACE[HTTPStatus.INTERNAL_SERVER_ERROR])
    return Problem(f"/api/errors/{code}", title, status, code, detail=str(error.detail), request_id=request_id)


def headers_of(error: Exception) -> dict[str, str]:
    """Headers that belong to an error: the challenge, the wait, the verbs a path knows."""
    if isinstance(error, Unauthenticated):
        return {"WWW-Authenticate": 'Bearer realm="doorstep"'}
    if isinstance(error, DoorstepError) and "retry_after" in error.facts:
        return {"Retry-After": str(error.facts["retry_after"])}
    if isinstance(error, HTTPException) and error.headers:
        # Litestar names the methods of a path in no order.
        return {k: ", ".join(sorted(v.split(", "))) if k.lower() == "allow" else v for k, v in error.headers.items()}
    return {}


def to_response(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's exception handler for everything."""
    request_id = str(request.scope.get("state", {}).get("request_id", ""))
    problem = problem_of(error, request_id)
    if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("internal error", exc_info=error, request_id=request_id)
    return Response(
        msgspec.json.encode(problem), status_code=problem.status, media_type=CONTENT_TYPE, headers=headers_of(error)
    )


async def send_problem(send: Send, error: Exception, request_id: str) -> None:
    """The same answer from outside Litestar: the layers and the fast lane."""
    problem = problem_of(error, request_id)
    body = msgspec.json.encode(problem)
    headers = [
        (b"content-type", CONTENT_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        *((k.lower().encode(), v.encode()) for k, v in headers_of(error).items()),
    ]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
