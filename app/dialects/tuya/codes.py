"""What can go wrong, in the numbers and words of this API (specs/tuya/api.json, `errors`)."""

from http import HTTPStatus
from typing import Final, NamedTuple

from litestar.exceptions import HTTPException

from app.control.model import TooManyCommands
from app.devices.product.values import ValueUnfit
from app.errors import Conflict, DoorstepError, Invalid, NotFound, Refused, TooMany, Unauthenticated, Unavailable


class Said(NamedTuple):
    """A code and its text."""

    code: int
    msg: str


SYSTEM_ERROR: Final = Said(500, "system error, please contact the admin")
GRANT_INVALID: Final = Said(1003, "grant type invalid")
SIGN_INVALID: Final = Said(1004, "sign invalid")
CLIENT_INVALID: Final = Said(1005, "clientId invalid")
# For expired and unknown ones alike: one client renews its token only if it reads these two words.
TOKEN_INVALID: Final = Said(1010, "token invalid")
TIME_INVALID: Final = Said(1013, "request time is invalid")
EMPTY_PARAM: Final = Said(1100, "param is empty")
RANGE_INVALID: Final = Said(1101, "params range invalid")
TYPE_INCORRECT: Final = Said(1104, "type is incorrect")
HEADER_MISSING: Final = Said(1105, "missing the header")
DENIED: Final = Said(1106, "permission deny")
PATH_INVALID: Final = Said(1108, "uri path invalid")
PARAM_ILLEGAL: Final = Said(1109, "param is illegal, please check it")
BUSY: Final = Said(1111, "system is busy, please retry later")
REPEATED: Final = Said(1113, "do not repeat the operation in a short time")
TOO_FREQUENT: Final = Said(1199, "your requests are too frequent")
OFFLINE: Final = Said(2001, "device is offline")
NOT_SUPPORTED: Final = Said(2003, "function not support")
VALUE_UNFIT: Final = Said(2008, "command or value not support")
LOGIN_WRONG: Final = Said(2401, "username or password is wrong")


class TuyaError(DoorstepError):
    """A refusal in this API's own words."""

    code = "tuya"

    def __init__(self, said: Said) -> None:
        super().__init__(said.msg)
        self.said = said


# What somebody may not know of and what does not exist look the same, as they do there.
_OF: Final[dict[type[DoorstepError], Said]] = {
    ValueUnfit: VALUE_UNFIT,
    TooManyCommands: TOO_FREQUENT,
    Unauthenticated: TOKEN_INVALID,
    Refused: DENIED,
    NotFound: DENIED,
    Invalid: PARAM_ILLEGAL,
    Conflict: REPEATED,
    TooMany: TOO_FREQUENT,
    Unavailable: BUSY,
}


def said_of(error: Exception) -> Said:
    """How `error` is told; what nobody raised on purpose tells nothing."""
    if isinstance(error, TuyaError):
        return error.said
    if isinstance(error, HTTPException):
        return _of_http(error.status_code)
    return next((_OF[base] for base in type(error).__mro__ if base in _OF), SYSTEM_ERROR)


def _of_http(status: int) -> Said:
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
        return PATH_INVALID
    return PARAM_ILLEGAL if status < HTTPStatus.INTERNAL_SERVER_ERROR else SYSTEM_ERROR
