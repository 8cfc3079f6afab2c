"""What a phone scans: a link that names the hub and holds a code, and its QR code."""

import io
from typing import Literal

import segno

SCHEME = "doorstep"
Kind = Literal["claim", "invitation", "share", "sign-in"]


def link(kind: Kind, hub_id: str, code: str) -> str:
    """The link. No address is in it: the phone finds the hub by its id on the LAN."""
    return f"{SCHEME}:{kind}?hub={hub_id}&code={code}"


def svg(text: str) -> str:
    """`text` as a QR code, an SVG that scales."""
    out = io.BytesIO()
    segno.make_qr(text, error="m").save(out, kind="svg", scale=4, xmldecl=False, omitsize=True)
    return out.getvalue().decode().strip()
