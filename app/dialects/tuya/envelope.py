"""What every answer is wrapped in, with status 200 whatever it says (specs/tuya/notes.md, 2)."""

import time
from typing import Any, Final

import msgspec
import structlog
from litestar.types import Send
from msgspec import Struct

from app.dialects.tuya.codes import SYSTEM_ERROR, said_of

JSON: Final = "application/json"
_log = structlog.get_logger("doorstep.tuya")
_encode = msgspec.json.Encoder().encode


class Success(Struct, frozen=True):
    """`t` in ms, `tid` the request's id."""

    result: Any
    t: int
    tid: str
    success: bool = True


class Failure(Struct, frozen=True):
    """The same, for what went wrong."""

    code: int
    msg: str
    t: int
    tid: str
    success: bool = False


def now_ms() -> int:
    """Clients count the life of a token from an answer's time, by their own clock: the machine's, not the home's."""
    return time.time_ns() // 1_000_000


def succeeded(result: Any, tid: str) -> bytes:
    """The answer that carries `result`."""
    return _encode(Success(result, now_ms(), tid))


def failed(error: Exception, tid: str) -> bytes:
    """The answer that tells of `error`."""
    said = said_of(error)
    if said is SYSTEM_ERROR:
        _log.error("internal error", exc_info=error, request_id=tid)
    return _encode(Failure(said.code, said.msg, now_ms(), tid))


async def send_answer(send: Send, body: bytes, *, head_only: bool = False) -> None:
    """Send `body` from outside Litestar."""
    headers = [(b"content-type", JSON.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head_only else body, "more_body": False})
