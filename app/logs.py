"""Structured logs on standard error: for a person or as JSON lines, with secrets redacted and peer text cleaned.

Everything goes one way: structlog and the standard library's loggers (uvicorn, zeroconf) end in the same processors.
The id of the request a line belongs to is on it: the front layer sets `REQUEST_ID` for everything a request does.
"""

import logging
import re
import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor

REQUEST_ID: Final[ContextVar[str]] = ContextVar("request_id")
REDACTED: Final = "[redacted]"
LONGEST: Final = 2000

_SECRET_KEY = re.compile(
    r"^(authorization|cookie|set-cookie|credential|passw(or)?d|passphrase|pin|psk|secret|token|ticket)s?$"
    r"|(_|^)(access|refresh|invitation|claim|recovery|confirm|setup|pairing)_?(code|token)$"
    r"|_(token|secret|passw(or)?d|passphrase|pin|credential)$|(^|_)(api|access|app|client|device|net|private|secret)_?key$",
    re.IGNORECASE,
)
_ERROR_CODE = re.compile(
    r"[a-z]+(_[a-z]+)*|\d{3}"
)  # `code` is an error's name or a status far more often than a secret
_PATTERNS: Final = (
    # Authorization: Bearer x, Basic x; in headers, messages and tracebacks
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]+", re.IGNORECASE), rf"\1 {REDACTED}"),
    # ?token=x, password=x, "pin": "x", 'code': 'x'
    (
        re.compile(
            r"(?P<key>(?:\b|_)(?:token|passw(?:or)?d|passphrase|secret|pin|psk|credential|ticket|authorization"
            r"|(?:claim|recovery|invitation|confirm)_?code)[\"']?\s*[=:]\s*)(?P<quote>[\"']?)[^\s\"'&,;)}\]]+(?P=quote)",
            re.IGNORECASE,
        ),
        rf"\g<key>\g<quote>{REDACTED}\g<quote>",
    ),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL), REDACTED),
    # Anything as long and mixed as 32 random bytes in base64 (fingerprints and ids are hexadecimal or base32)
    (re.compile(r"(?<![\w/+-])(?=\S*[a-z])(?=\S*[A-Z])(?=\S*\d)[A-Za-z0-9_+-]{40,}={0,2}(?![\w/+-])"), REDACTED),
)
_CONTROL = {code: " " for code in (*range(32), *range(127, 160), 0x2028, 0x2029) if code not in (9, 10)}


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at that moment: it may have been replaced since logging was set up."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        self.stream = sys.stderr
        super().emit(record)


def configure(level: str = "info", style: Literal["auto", "console", "json"] = "auto") -> None:
    """Set up this process's logging; calling it again replaces what was set. `auto` is `console` on a terminal."""
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _with_request_id,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        guard,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    render: Processor = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    handler = _StandardError()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    _quieten(level)


def _with_request_id(_: Any, __: str, event: EventDict) -> EventDict:
    if request_id := REQUEST_ID.get(""):
        event.setdefault("request_id", request_id)
    return event


def _quieten(level: str) -> None:
    """Libraries that tell every step at debug, addresses and statements included, tell only what goes wrong."""
    for name in ("aiosqlite", "httpcore2", "httpx2", "asyncio", "websockets"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):  # its own handlers would print everything twice
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != "uvicorn.access"  # the access line is ours: with the request id, without the query
        logger.setLevel(logging.NOTSET if level == "debug" else logging.WARNING)  # its start and end are told by ours


def guard(_: Any, __: str, event: EventDict) -> EventDict:
    """The processor that keeps secrets out and control characters harmless, in every value at every depth."""
    return {key: _guarded(key, value) for key, value in event.items()}


def _guarded(key: str, value: object) -> object:
    if _SECRET_KEY.search(key):
        return REDACTED if value not in (None, "") else value
    if key == "code" and not _ERROR_CODE.fullmatch(str(value)):
        return REDACTED
    if isinstance(value, str):
        return redacted(value, keep_lines=key == "exception")
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    if isinstance(value, dict):
        return {str(name): _guarded(str(name), inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_guarded("", inner) for inner in value]
    if value is None or isinstance(value, bool | int | float) or key.startswith("_"):
        return value
    return redacted(str(value))


def redacted(text: str, *, keep_lines: bool = False) -> str:
    """`text` fit for a log: secrets by pattern replaced, control characters as blanks, at most `LONGEST` characters."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    text = text.translate(_CONTROL)
    if keep_lines:
        return text if len(text) <= 4 * LONGEST else "..." + text[-4 * LONGEST :]
    text = text.replace("\n", " ").replace("\t", " ")
    return text if len(text) <= LONGEST else text[:LONGEST] + "..."


Logger = Callable[..., structlog.stdlib.BoundLogger]
get: Logger = structlog.stdlib.get_logger
