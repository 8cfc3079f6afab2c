"""The links Tuya's devices have on their label: `https://smartapp.tuya.com/s/p?p=PRODUCT&uuid=UUID&v=2.0`.

A shorter kind (`https://m.smart321.com/LETTERS`) says nothing by itself: its maker's cloud knows the device. Either way
the device is brought in through its setup network.
"""

from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

from pairing.qr.printed import Printed, UnreadableCodeError, printable

SCHEMES: Final = frozenset({"HTTP", "HTTPS"})
_DOMAINS: Final = ("tuya.com", "tuyaus.com", "tuyaeu.com", "tuyacn.com", "smart321.com")
_MAX_FIELDS: Final = 16
_NAME: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def parse(text: str) -> Printed:
    """A device of Tuya's; raises UnreadableCodeError for any other link."""
    link, fields = _split(text)
    host = link.hostname or ""
    if not any(host == domain or host.endswith("." + domain) for domain in _DOMAINS):
        raise UnreadableCodeError("it is a link to somewhere else")
    device = _named(fields, "uuid")
    if not device and not link.path.strip("/"):
        raise UnreadableCodeError("the link names no device")
    return Printed(
        kind="tuya",
        method="ap",
        transports=("ap",),
        device=device,
        product=_named(fields, "p"),
        link="" if device else text,
    )


def _split(text: str) -> tuple[SplitResult, dict[str, str]]:
    try:
        link = urlsplit(text)
        return link, dict(parse_qsl(link.query, max_num_fields=_MAX_FIELDS))
    except ValueError as error:
        raise UnreadableCodeError("it is no link") from error


def _named(fields: dict[str, str], name: str) -> str:
    value = printable(fields.get(name, ""), what=name)
    if not _NAME.issuperset(value):
        raise UnreadableCodeError(f"{name} is none")
    return value
