"""`WIFI:` codes, as phones and routers print them: T (security), S (name), P (password), H (hidden).

A backslash takes the meaning from the character after it, whichever that is. Quotes are characters like others: who
writes them for a name that could be taken for hex is not told from a name that has them.
"""

from typing import Final

from pairing.qr.printed import MAX_CODE, Printed, UnreadableCodeError
from pairing.wifi import WifiNetwork, network_of

SCHEME: Final = "WIFI"
_SPECIAL: Final = frozenset('\\;,:"')
_OPEN: Final = frozenset({"", "NOPASS"})
# What has one password for everybody; WEP is no longer joined by anything sold, and EAP has more to it than a password.
_SHARED: Final = frozenset({"WPA", "WPA2", "WPA3", "WPA/WPA2", "WPA2/WPA3", "WPA2-PSK", "WPA-PSK", "SAE"})


def parse(text: str) -> Printed:
    """A setup network; raises UnreadableCodeError, UnfitNetworkError."""
    network = parse_network(text)
    return Printed(
        kind="wifi",
        method="ap",
        transports=("ap",),
        network=network.ssid,
        network_password=network.password,
    )


def parse_network(text: str) -> WifiNetwork:
    """The network such a code names, be it a device's or a home's; raises UnreadableCodeError, UnfitNetworkError."""
    scheme, _, rest = text.partition(":")
    if len(text) > MAX_CODE or any("\ud800" <= c <= "\udfff" for c in text):
        raise UnreadableCodeError("it is too long, or no text")
    if scheme.upper() != SCHEME:
        raise UnreadableCodeError("it is no Wi-Fi code")
    fields = _fields(rest)
    security = fields.get("T", "").upper()
    if security not in _OPEN | _SHARED:
        raise UnreadableCodeError("its security is none that a device is handed")
    password = "" if security == "NOPASS" else fields.get("P", "")
    return network_of(fields.get("S", ""), password)


def write(network: WifiNetwork) -> str:
    """The code of a network."""
    security = "WPA" if network.password else "nopass"
    password = f"P:{_escaped(network.password)};" if network.password else ""
    return f"{SCHEME}:T:{security};S:{_escaped(network.ssid)};{password};"


def _escaped(text: str) -> str:
    return "".join(f"\\{c}" if c in _SPECIAL else c for c in text)


def _fields(text: str) -> dict[str, str]:
    """Up to the empty field that ends it; the first of a name counts."""
    found: dict[str, str] = {}
    for field in _split(text):
        if not field:
            break
        name, colon, value = field.partition(":")
        if not colon:
            raise UnreadableCodeError("a field has no name")
        found.setdefault(name.upper(), _unescaped(value))
    return found


def _split(text: str) -> list[str]:
    """At each semicolon that has its meaning still."""
    fields, start, escaped = [], 0, False
    for at, c in enumerate(text):
        if c == ";" and not escaped:
            fields.append(text[start:at])
            start = at + 1
        escaped = c == "\\" and not escaped
    return [*fields, text[start:]]


def _unescaped(value: str) -> str:
    kept, escaped = [], False
    for c in value:
        if c == "\\" and not escaped:
            escaped = True
        else:
            kept.append(c)
            escaped = False
    if escaped:
        raise UnreadableCodeError("it ends in a backslash")
    return "".join(kept)
