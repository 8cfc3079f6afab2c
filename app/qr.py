"""What a phone scans: a link that names the hub and holds a code, and its QR code."""

from typing import Literal

from pairing.qr.picture import svg

__all__ = ["link", "svg"]

SCHEME = "doorstep"
Kind = Literal["claim", "invitation", "share", "sign-in"]


def link(kind: Kind, hub_id: str, code: str) -> str:
    """The link. No address is in it: the phone finds the hub by its id on the LAN."""
    return f"{SCHEME}:{kind}?hub={hub_id}&code={code}"
