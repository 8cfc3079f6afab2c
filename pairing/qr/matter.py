"""Matter's setup codes (Core Specification 1.3, 5.1): the QR code, and the manual code of 11 or 21 digits.

They are read for whoever commissions the device: this hub finds out what is meant, and hands it on.
"""

from typing import Final

from msgspec import Struct

from pairing.errors import UnsupportedVersionError
from pairing.qr import verhoeff
from pairing.qr.printed import Printed, UnreadableCodeError

SCHEME: Final = "MT"
METHOD: Final = "matter"

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-."
_VALUE: Final = {c: value for value, c in enumerate(_ALPHABET)}
# Characters a group of one, two and three octets is written in.
_OCTETS: Final = {2: 1, 4: 2, 5: 3}
_PAYLOAD: Final = 11
# In the order they are packed, lowest bits first.
_LAYOUT: Final = (
    ("version", 3),
    ("vendor_id", 16),
    ("product_id", 16),
    ("flow", 2),
    ("discovery", 8),
    ("discriminator", 12),
    ("passcode", 27),
    ("padding", 4),
)
_TRANSPORTS: Final = ((0, "ap"), (1, "ble"), (2, "wired"))
_FLOWS: Final = 3
_MAX_PASSCODE: Final = 99_999_998
# 5.1.7.1: too easily guessed.
_TRIVIAL: Final = frozenset({*(11_111_111 * n for n in range(10)), 12_345_678, 87_654_321})
_SHORT, _LONG = 11, 21


class _Bits(Struct, frozen=True):
    version: int
    vendor_id: int
    product_id: int
    flow: int
    discovery: int
    discriminator: int
    passcode: int
    padding: int


def parse_qr(text: str) -> Printed:
    """`MT:` and what follows; raises UnreadableCodeError, UnsupportedVersionError."""
    prefix, _, body = text.partition(":")
    # Several devices in one code are told apart by asterisks; each of them has a label of its own.
    if prefix != SCHEME or "*" in body:
        raise UnreadableCodeError("it is no Matter code of one device")
    octets = _base38(body)
    if len(octets) < _PAYLOAD:
        raise UnreadableCodeError("it is too short")
    bits = _unpacked(int.from_bytes(octets[:_PAYLOAD], "little"))
    if bits.version:
        raise UnsupportedVersionError("matter")
    if bits.padding or bits.flow >= _FLOWS:
        raise UnreadableCodeError("it sets what is reserved")
    return Printed(
        kind="matter",
        method=METHOD,
        transports=tuple(name for bit, name in _TRANSPORTS if bits.discovery >> bit & 1),
        vendor_id=bits.vendor_id,
        product_id=bits.product_id,
        flow=bits.flow,
        discriminator=bits.discriminator,
        short_discriminator=bits.discriminator >> 8,
        passcode=_passcode(bits.passcode),
    )


def digits_of(text: str) -> str | None:
    """A manual code without the dashes and spaces it is printed with; None where it cannot be one."""
    digits = text.replace("-", "").replace(" ", "")
    return digits if digits.isascii() and digits.isdigit() and len(digits) in (_SHORT, _LONG) else None


def parse_manual(digits: str) -> Printed:
    """11 or 21 digits; raises UnreadableCodeError, UnsupportedVersionError."""
    if not verhoeff.checks(digits):
        raise UnreadableCodeError("its check digit is wrong")
    first, second, third = int(digits[0]), int(digits[1:6]), int(digits[6:10])
    if first > 7:
        raise UnsupportedVersionError("matter")
    long = bool(first >> 2)
    if long is not (len(digits) == _LONG) or second >> 16 or third >> 13:
        raise UnreadableCodeError("its digits do not fit together")
    vendor, product = (int(digits[10:15]), int(digits[15:20])) if long else (None, None)
    if (vendor or 0) >> 16 or (product or 0) >> 16:
        raise UnreadableCodeError("its digits do not fit together")
    return Printed(
        kind="matter",
        method=METHOD,
        vendor_id=vendor,
        product_id=product,
        short_discriminator=(first & 3) << 2 | second >> 14,
        passcode=_passcode(third << 14 | second & 0x3FFF),
    )


def _base38(text: str) -> bytes:
    octets = bytearray()
    for start in range(0, len(text), 5):
        group = text[start : start + 5]
        size = _OCTETS.get(len(group))
        if size is None or any(c not in _VALUE for c in group):
            raise UnreadableCodeError("it is not written in base 38")
        value = sum(_VALUE[c] * 38**place for place, c in enumerate(group))
        if value >> 8 * size:
            raise UnreadableCodeError("it is not written in base 38")
        octets += value.to_bytes(size, "little")
    return bytes(octets)


def _unpacked(value: int) -> _Bits:
    found = {}
    for name, width in _LAYOUT:
        found[name] = value & (1 << width) - 1
        value >>= width
    return _Bits(**found)


def _passcode(value: int) -> int:
    if value > _MAX_PASSCODE or value in _TRIVIAL:
        raise UnreadableCodeError("its passcode is none a device may have")
    return value
