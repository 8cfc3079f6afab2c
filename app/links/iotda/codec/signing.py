"""How a device shows that it has its secret (2.4, 3.3.1). Pure."""

import hmac
import re
from typing import Final, TypeAlias

from msgspec import Struct

from app.links.iotda.codec.errors import MalformedError
from app.links.iotda.codec.times import parse_hour

MAX_CLIENT_ID: Final = 256
MAX_DEVICE_ID: Final = 128
PASSWORD_LENGTH: Final = 64
HOUR_MS: Final = 3_600_000
# The document does not say how far clocks may be apart. A stamp names an hour: one hour to either side lets a device be
# up to an hour wrong, and no recorded password lives longer than three.
TOLERANCE_HOURS: Final = 1
DEVICE_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
_CLIENT_ID = re.compile(r"([A-Za-z0-9_-]{1,128})_0_([01])_([0-9]{10})\Z")

CheckMode: TypeAlias = int


class ClientId(Struct, frozen=True):
    """`{device_id}_0_{mode}_{stamp}`. `mode` 1 has the platform compare the stamp with its own time, 0 not."""

    device_id: str
    mode: CheckMode
    stamp: str

    def __str__(self) -> str:
        return f"{self.device_id}_0_{self.mode}_{self.stamp}"


def parse_client_id(text: str) -> ClientId:
    """Raises MalformedError. Read from the right: a device id has underscores of its own."""
    found = _CLIENT_ID.match(text) if len(text) <= MAX_CLIENT_ID else None
    if found is None or parse_hour(found[3]) is None:
        raise MalformedError("not a client id: {device_id}_0_{0 or 1}_{YYYYMMDDHH}")
    return ClientId(found[1], int(found[2]), found[3])


def password(secret: bytes, stamp: str) -> str:
    """HMAC-SHA256 of the secret under the stamp, in hexadecimal."""
    return hmac.digest(stamp.encode(), secret, "sha256").hex()


def proves(shown: bytes, secrets: tuple[bytes, ...], stamp: str) -> bool:
    """Whether `shown` is the password of one of `secrets`; takes as long whichever it is, and for none.

    Hexadecimal in capitals is taken as well: the document does not say.
    """
    wanted = [password(secret, stamp).encode() for secret in secrets]
    lowered = shown.lower()
    found = [hmac.compare_digest(lowered, each) for each in wanted]
    return any(found)


def in_time(stamp: str, now_ms: int) -> bool:
    """Whether the stamp's hour is within the tolerance of the platform's."""
    begins = parse_hour(stamp)
    return begins is not None and abs(begins // HOUR_MS - now_ms // HOUR_MS) <= TOLERANCE_HOURS
