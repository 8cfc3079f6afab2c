"""What a code printed on a device tells, whoever printed it."""

import unicodedata
from typing import Final, Literal

from msgspec import Struct

from pairing.errors import PairingError

MAX_CODE: Final = 512
"""Characters of a code; the longest of the formats in use have about 200."""
MAX_FIELD: Final = 64

Kind = Literal["wifi", "matter", "tuya", "esp", "doorstep"]


class UnreadableCodeError(PairingError):
    """The text is no code of a format that is known here, or one with a fault in it (`detail` says which)."""

    code = "qr_not_understood"


class Printed(Struct, frozen=True, kw_only=True):
    """A code that was read; what it does not tell is empty.

    `method` is how to go on: a pairing method, "any", or "matter", which is a Matter controller's to do. `transports`
    are the ways the device can be reached, in its format's order: "ap", "ble", "wired". `device` is the id it will
    announce, or what its maker tells it by. `pin` and `pop` prove that the label was read. `network` and
    `network_password` are its setup network's. `version` to `passcode` are Matter's; `link` is where only its maker's
    cloud knows the rest.
    """

    kind: Kind
    method: str
    transports: tuple[str, ...] = ()
    device: str = ""
    name: str = ""
    product: str = ""
    pin: str = ""
    pop: str = ""
    username: str = ""
    security: int | None = None
    network: str = ""
    network_password: str = ""
    vendor_id: int | None = None
    product_id: int | None = None
    flow: int | None = None
    discriminator: int | None = None
    short_discriminator: int | None = None
    passcode: int | None = None
    link: str = ""

    def __repr__(self) -> str:
        return f"Printed(kind={self.kind!r}, method={self.method!r})"


def printable(text: str, limit: int = MAX_FIELD, *, what: str = "text") -> str:
    """`text` itself, when it has at most `limit` characters and no control among them; else UnreadableCodeError."""
    if len(text) > limit:
        raise UnreadableCodeError(f"{what} is too long")
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in text):
        raise UnreadableCodeError(f"{what} holds control characters")
    return text
