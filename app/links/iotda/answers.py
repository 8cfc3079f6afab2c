"""How this protocol's HTTPS side tells what went wrong: `{"error_code", "error_msg"}`, with its codes (chapter 3)."""

from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import Send
from msgspec import Struct

from app.accounts.model import TooManyAttempts
from app.companion.problems import headers_of
from app.devices.model import DeviceFrozen
from app.errors import Invalid, NotFound, TooMany, Unauthenticated, Unavailable
from app.links.iotda.blobs import TooLarge
from app.links.iotda.codec.errors import IotdaError
from app.links.iotda.messages import TooMuchSaid

JSON: Final = "application/json"
_log = structlog.get_logger("doorstep.iotda")


class Told(Struct, frozen=True):
    """The body of a refusal."""

    error_code: str
    error_msg: str


class Unproved(Unauthenticated):
    """The request is unauthorized."""

    code = "iotda_unauthorized"


class TokenInvalid(Unauthenticated):
    """Invalid access token."""

    code = "iotda_token_invalid"


class TooManyValues(Invalid):
    """The request batch properties number has reached the upper limit."""

    code = "iotda_too_many_values"


class ChildUnknown(Invalid):
    """Subdevices in the request does not exist or does not belong to the gateway."""

    code = "iotda_child_unknown"


_BAD: Final = (400, "IOTDA.00006", "Invalid input data.")
_RATE: Final = (403, "IOTDA.021101", "Request reached the maximum rate limit.")
_TOKEN: Final = (403, "IOTDA.00004", "Invalid access token.")
_LARGE: Final = (403, "IOTDA.021105", "The content reported in a single request cannot exceed 1 MB.")
_TOLD: Final[dict[type[Exception], tuple[int, str, str]]] = {
    Unproved: (401, "IOTDA.00002", "The request is unauthorized."),
    TokenInvalid: _TOKEN,
    Unauthenticated: _TOKEN,
    NotFound: _TOKEN,
    DeviceFrozen: _TOKEN,
    TooManyValues: (403, "IOTDA.021103", "The request batch properties number has reached the upper limit, limit 50."),
    TooLarge: (403, "IOTDA.021105", "The content reported in a single request cannot exceed the limit."),
    ChildUnknown: (
        400,
        "IOTDA.021104",
        "Subdevices in the request does not exist or does not belong to the gateway.",
    ),
    Invalid: _BAD,
    IotdaError: _BAD,
    TooManyAttempts: _RATE,
    TooMuchSaid: _RATE,
    TooMany: _RATE,
    Unavailable: (503, "IOTDA.000003", "The service is unavailable."),
}


def told(error: Exception) -> tuple[int, Told]:
    """(status, body) of an error; what nobody raised on purpose tells nothing."""
    if isinstance(error, HTTPException):
        status, code, text = _of_http(error)
    else:
        found = next((_TOLD[base] for base in type(error).__mro__ if base in _TOLD), None)
        status, code, text = found or (500, "IOTDA.000001", "Internal server error.")
    return status, Told(code, text)


def _of_http(error: HTTPException) -> tuple[int, str, str]:
    if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return _LARGE
    return (
        _BAD
        if error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR
        else (500, "IOTDA.000001", "Internal server error.")
    )


def to_response(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's exception handler for these routes."""
    status, body = told(error)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("internal error", exc_info=error)
    headers = headers_of(error) if isinstance(error, TooMany) else {}
    return Response(msgspec.json.encode(body), status_code=status, media_type=JSON, headers=headers)


async def send_refusal(send: Send, error: Exception, request_id: str) -> None:
    """The same from outside Litestar."""
    status, said = told(error)
    body = msgspec.json.encode(said)
    headers = [(b"content-type", JSON.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
