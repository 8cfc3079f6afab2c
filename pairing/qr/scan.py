"""The one entry: a scanned (or typed) text, whatever its format."""

from pairing.qr import esp, label, matter, tuya, wifi
from pairing.qr.printed import MAX_CODE, Printed, UnreadableCodeError, printable


def parse(text: str) -> Printed:
    """What the code says; raises UnreadableCodeError, UnsupportedVersionError, and where no device could join the
    network it names, UnfitNetworkError."""
    if len(text) > MAX_CODE:
        raise UnreadableCodeError("it is too long")
    text = printable(text.strip(), MAX_CODE, what="the code")
    scheme = text.partition(":")[0].upper()
    if scheme == wifi.SCHEME:
        return wifi.parse(text)
    if scheme == matter.SCHEME:
        return matter.parse_qr(text)
    if scheme.startswith(label.FAMILY):
        return label.parse(text)
    if scheme in tuya.SCHEMES:
        return tuya.parse(text)
    if text.startswith("{"):
        return esp.parse(text)
    if (digits := matter.digits_of(text)) is not None:
        return matter.parse_manual(digits)
    raise UnreadableCodeError("it has no format known here")
