"""`DS1:`, the label of Doorstep's own devices (PROTOCOL.md, "The label"): `DS1:I=d-...;P=PIN;M=product;T=ble,wired`."""

import re
from typing import Final

from pairing.errors import UnsupportedVersionError
from pairing.qr.printed import Printed, UnreadableCodeError
from pairing.session.states import ANY

FAMILY: Final = "DS"
SCHEME: Final = "DS1"

TRANSPORTS: Final = ("ap", "ble", "ez", "qr", "wired")

_FIELDS: Final = {
    "I": re.compile(r"d-[a-z2-7]{24}"),
    # Whatever can be printed in ASCII, but a space or what ends a field.
    "P": re.compile(r"[!-:<-~]{1,64}"),
    "M": re.compile(r"[A-Za-z0-9_.:-]{1,64}"),
    "T": re.compile(rf"({'|'.join(TRANSPORTS)})(,({'|'.join(TRANSPORTS)})){{0,4}}"),
}
# A method that is not called what the label calls the way.
_METHODS: Final = {"qr": "qr_shown"}
_NAME: Final = re.compile(r"[A-Z]")
_MAX_FIELDS: Final = 16


def parse(text: str) -> Printed:
    """A device of ours; raises UnreadableCodeError, UnsupportedVersionError for a label of another version."""
    scheme, _, rest = text.partition(":")
    if scheme != SCHEME:
        if scheme.startswith(FAMILY) and scheme[len(FAMILY) :].isdigit():
            raise UnsupportedVersionError("label")
        raise UnreadableCodeError("it is no label")
    fields = _fields(rest)
    if "I" not in fields:
        raise UnreadableCodeError("the label names no device")
    transports = tuple(filter(None, fields.get("T", "").split(",")))
    return Printed(
        kind="doorstep",
        method=_METHODS.get(transports[0], transports[0]) if len(transports) == 1 else ANY,
        transports=transports,
        device=fields["I"],
        pin=fields.get("P", ""),
        product=fields.get("M", ""),
    )


def write(device_id: str, *, pin: str = "", product: str = "", transports: tuple[str, ...] = ()) -> str:
    """The label of a device; raises UnreadableCodeError when that cannot be printed."""
    fields = {"I": device_id, "P": pin, "M": product, "T": ",".join(transports)}
    told = [f"{name}={value}" for name, value in fields.items() if value]
    text = f"{SCHEME}:{';'.join(told)}"
    parse(text)
    return text


def _fields(text: str) -> dict[str, str]:
    """Those of this version checked; others are for readers to come."""
    parts = text.split(";")
    if len(parts) > _MAX_FIELDS or not text.isascii():
        raise UnreadableCodeError("it is no label")
    found: dict[str, str] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals or not _NAME.fullmatch(name) or name in found:
            raise UnreadableCodeError("a field of the label is none")
        if name in _FIELDS and not _FIELDS[name].fullmatch(value):
            raise UnreadableCodeError(f"{name} of the label is none")
        found[name] = value
    return found
