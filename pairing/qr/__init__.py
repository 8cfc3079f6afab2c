"""QR codes: what is printed on a device, read to what the next step needs; and what is shown to a camera. Pure."""

from pairing.qr.printed import Printed, UnreadableCodeError
from pairing.qr.scan import parse

__all__ = ["Printed", "UnreadableCodeError", "parse"]
