"""Row keys of logs: a cursor that says where a page ended. Pure.

As theirs look: base64 of HASH_TIME_TYPE_N with TIME counted down from the largest long, so that the newest sorts first.
Ours hold the place in the log as N, which alone is read again.
"""

import base64
import binascii
from typing import Final

from app.dialects.tuya import codes
from app.dialects.tuya.codes import TuyaError

LONG_MAX: Final = (1 << 63) - 1
MAX_KEY: Final = 200


def row_key(device_id: str, at: int, event: int, place: int, *, encoded: bool = True) -> str:
    """The key of an entry; the paid edition's are not encoded."""
    plain = f"{device_id.replace('-', '')[-24:]}_{LONG_MAX - at}_{event}_{place}"
    return base64.b64encode(plain.encode()).decode() if encoded else plain


def place_of(key: str) -> int | None:
    """The place a key names, in either form; None for an empty one. Raises TuyaError for what is no key."""
    if not key:
        return None
    if len(key) > MAX_KEY:
        raise TuyaError(codes.PARAM_ILLEGAL)
    plain = key
    if "_" not in key:
        try:
            plain = base64.b64decode(key + "=" * (-len(key) % 4), validate=True).decode("ascii")
        except (binascii.Error, ValueError) as error:
            raise TuyaError(codes.PARAM_ILLEGAL) from error
    place = plain.rpartition("_")[2]
    if not (place.isascii() and place.isdigit() and len(place) < 19):
        raise TuyaError(codes.PARAM_ILLEGAL)
    return int(place)
