"""What a hub is told to enrol: one text with the cloud's address, what to pin, and the code; as a QR code too."""

import ipaddress
import re
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

from msgspec import Struct

from app.errors import Invalid
from app.qr import SCHEME

MAX_LINK: Final = 600
_PREFIX: Final = f"{SCHEME}:enrol?"
# SHA-256: of the certificate in hex, or of its public key as base64 (app.client.Client).
_PIN: Final = re.compile(r"(sha256/)?([0-9A-Fa-f:]{64,95}|[A-Za-z0-9+/]{43}=)")


class Invited(Struct, frozen=True):
    """Where to enrol. `pin` None: the certificate is verified as any web server's."""

    url: str
    pin: str | None
    code: str


def enrol_link(url: str, pin: str | None, code: str) -> str:
    """The text."""
    return _PREFIX + urlencode({"url": url, "pin": pin or "", "code": code})


def read_link(text: str) -> Invited:
    """What `text` says; raises Invalid."""
    text = text.strip()
    if not text.startswith(_PREFIX) or len(text) > MAX_LINK:
        raise Invalid(f"code: not what a cloud shows, which begins with {_PREFIX}")
    try:
        fields = parse_qs(text.removeprefix(_PREFIX), max_num_fields=8)
    except ValueError as error:
        raise Invalid("code: cannot be read") from error
    url, pin, code = (fields.get(name, [""])[0] for name in ("url", "pin", "code"))
    if not code:
        raise Invalid("code: there is no code in it")
    if pin and not _PIN.fullmatch(pin):
        raise Invalid("code: its pin is none")
    return Invited(_checked(url), pin or None, code)


def _checked(url: str) -> str:
    """An address of a cloud; only on this machine one without TLS. Raises Invalid."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise Invalid("code: its address cannot be read") from error
    if parts.scheme not in ("https", "http") or not host or parts.username or parts.query or parts.fragment:
        raise Invalid("code: its address is none of a cloud")
    if parts.scheme == "http" and not _is_here(host):
        raise Invalid("code: its address is without TLS, which is for trying things out on one machine")
    return url.rstrip("/")


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
