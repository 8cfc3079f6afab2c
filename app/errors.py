"""What can go wrong, by category; a noun names its own cases as subclasses beside its model.

Every error carries a stable `code`, whether trying again can help (`retryable`), and a `hint`: the next step for the
person. A face translates categories to its own status codes in one module; nothing here knows HTTP.
"""

from collections.abc import Iterator
from typing import ClassVar


class DoorstepError(Exception):
    """Root of everything Doorstep raises on purpose."""

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False
    hint: ClassVar[str] = ""

    def __init__(self, detail: str = "", **facts: object) -> None:
        """`detail` is shown to the person, so it never holds a secret; `facts` are machine-readable extras."""
        super().__init__(detail or (type(self).__doc__ or "").partition("\n")[0])
        self.facts = facts


class Unauthenticated(DoorstepError):
    """The credential is missing, wrong, expired or revoked."""

    code = "unauthenticated"
    hint = "Sign in again."


class Refused(DoorstepError):
    """You may see this but not do that with it."""

    code = "refused"
    hint = "Ask the owner or an admin of the home."


class ClockUntrusted(Refused):
    """The hub does not know the time yet, so access that ends at a time is refused."""

    code = "clock_untrusted"
    retryable = True
    hint = "Open the app on the owner's phone in the same network: it sets the hub's clock."


class NotFound(DoorstepError):
    """There is no such thing, or it is not yours to see."""

    code = "not_found"


class Invalid(DoorstepError):
    """The request does not fit what this asks for."""

    code = "invalid"
    hint = "Compare the request with the API's description at /api/docs."


class Conflict(DoorstepError):
    """The request does not fit the state things are in."""

    code = "conflict"


class VersionMismatch(DoorstepError):
    """It has changed since you read it."""

    code = "version_mismatch"
    hint = "Read it again and repeat your change on what it is now."


class KeyReused(DoorstepError):
    """This Idempotency-Key was used for a different request."""

    code = "idempotency_key_reused"
    hint = "Make a new key for each new request."


class Gone(DoorstepError):
    """It was here and has ended."""

    code = "gone"


class TooMany(DoorstepError):
    """A limit was reached; `facts['retry_after']`, where known, is in seconds."""

    code = "too_many"
    retryable = True
    hint = "Wait a moment and try again."


class Unavailable(DoorstepError):
    """The hub cannot do this right now."""

    code = "unavailable"
    retryable = True
    hint = "Try again; if it stays so, run `doorstep doctor` on the hub."


def catalogue(root: type[DoorstepError] = DoorstepError) -> Iterator[type[DoorstepError]]:
    """Every error there is, for the API's documentation."""
    yield root
    for kind in root.__subclasses__():
        yield from catalogue(kind)
