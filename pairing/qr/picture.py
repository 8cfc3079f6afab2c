"""A text as a QR code: for a page, for a screen that shows pixels, for a terminal."""

import io
from typing import Final

import segno

_WHITE_ON_BLACK: Final = "\x1b[97;40m"
_AS_BEFORE: Final = "\x1b[0m"


def _drawn(text: str) -> segno.QRCode:
    return segno.make_qr(text, error="m")


def svg(text: str) -> str:
    """An SVG that scales."""
    out = io.BytesIO()
    _drawn(text).save(out, kind="svg", scale=4, xmldecl=False, omitsize=True)
    return out.getvalue().decode().strip()


def png(text: str, scale: int = 8) -> bytes:
    """A PNG with `scale` pixels a module, its quiet zone included."""
    out = io.BytesIO()
    _drawn(text).save(out, kind="png", scale=scale)
    return out.getvalue()


def terminal(text: str) -> str:
    """Lines of half blocks, dark on light whatever the terminal's own colours are."""
    out = io.StringIO()
    _drawn(text).terminal(out, compact=True)
    return "\n".join(f"{_WHITE_ON_BLACK}{line}{_AS_BEFORE}" for line in out.getvalue().splitlines())
