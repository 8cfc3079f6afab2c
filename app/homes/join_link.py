"""What a phone scans to join: a link that names the hub and holds a code, and its QR code."""

import io

import segno

SCHEME = "doorstep"


def join_link(kind: str, hub_id: str, code: str) -> str:
    """The link, for an `invitation` or a `share`. The phone finds the hub on the LAN by its id, not by an address."""
    return f"{SCHEME}:{kind}?hub={hub_id}&code={code}"


def qr_svg(text: str) -> str:
    """`text` as a QR code, an SVG that scales."""
    out = io.BytesIO()
    segno.make_qr(text, error="m").save(out, kind="svg", scale=4, xmldecl=False, omitsize=True)
    return out.getvalue().decode().strip()
