"""Errors of every layer as the command tells them: one cause, one next step, one exit code."""

import contextlib
from collections.abc import Iterator

from app.admin_client import AdminRefused, NoHub
from app.client import ApiError, HubUnreachable, PinMismatch
from app.commands.exits import Exit
from app.commands.terminal import CommandError
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
from app.serving import AddressUnusable
from app.settings import SettingsError
from app.store.errors import BackupUnusable, FolderUnusable, PassphraseWrong, StoreBusy, StoreDamaged, StoreTooNew

_BY_TYPE: tuple[tuple[type[DoorstepError], Exit], ...] = (
    (HubUnreachable, Exit.UNREACHABLE),
    (NoHub, Exit.UNREACHABLE),
    (PinMismatch, Exit.REFUSED),
    (StoreBusy, Exit.CONFLICT),
    (StoreTooNew, Exit.CONFLICT),
    (AddressUnusable, Exit.CONFLICT),
    (FolderUnusable, Exit.USAGE),
    (StoreDamaged, Exit.UNSOUND),
    (PassphraseWrong, Exit.REFUSED),
    (BackupUnusable, Exit.UNSOUND),
    (Unauthenticated, Exit.REFUSED),
    (Refused, Exit.REFUSED),
    (NotFound, Exit.NOT_FOUND),
    (Gone, Exit.NOT_FOUND),
    (Invalid, Exit.USAGE),
    (Conflict, Exit.CONFLICT),
    (VersionMismatch, Exit.CONFLICT),
    (KeyReused, Exit.CONFLICT),
    (TooMany, Exit.LATER),
    (Unavailable, Exit.LATER),
)
_BY_STATUS = {
    400: Exit.USAGE,
    401: Exit.REFUSED,
    403: Exit.REFUSED,
    404: Exit.NOT_FOUND,
    409: Exit.CONFLICT,
    410: Exit.NOT_FOUND,
    412: Exit.CONFLICT,
    422: Exit.CONFLICT,
    429: Exit.LATER,
    503: Exit.LATER,
}
_BY_CODE = {kind.code: code for kind, code in _BY_TYPE}


def exit_of(error: DoorstepError) -> Exit:
    """The exit code an error ends the command with."""
    if isinstance(error, ApiError):
        return _BY_STATUS.get(error.status, Exit.FAILED)
    if isinstance(error, AdminRefused):
        return next((_BY_CODE[kind] for kind in error.kinds if kind in _BY_CODE), Exit.FAILED)
    return next((code for kind, code in _BY_TYPE if isinstance(error, kind)), Exit.FAILED)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Inside, an error of any layer ends the command with its cause, its next step and its exit code."""
    try:
        yield
    except SettingsError as error:
        raise CommandError(str(error), exit=Exit.USAGE, code=error.code) from error
    except DoorstepError as error:
        raise CommandError(str(error), exit=exit_of(error), code=error.code, hint=error.hint) from error
