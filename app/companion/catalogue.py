"""Every error this face can tell, for people and programs to look up."""

from functools import cache

from msgspec import Struct

from app.companion.problems import FACE, status_of
from app.errors import catalogue


class ErrorKind(Struct, frozen=True):
    """One kind of error: its stable `code`, the HTTP status it comes with, and what to do next."""

    code: str
    title: str
    status: int
    retryable: bool
    hint: str


@cache
def error_kinds() -> list[ErrorKind]:
    """All of them, in order of code; what other parts of the program raise elsewhere is not among them."""
    kinds = {
        kind.code: ErrorKind(
            kind.code, (kind.__doc__ or "").partition("\n")[0], status_of(kind), kind.retryable, kind.hint
        )
        for kind in catalogue()
        if kind.__module__.startswith("app.")
    }
    for status, (code, title) in FACE.items():
        kinds.setdefault(code, ErrorKind(code, title, status, retryable=False, hint=""))
    return [kinds[code] for code in sorted(kinds)]
