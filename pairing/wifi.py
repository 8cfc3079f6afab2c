"""A Wi-Fi network as it is handed to devices, and what may be in it (IEEE 802.11-2020, 9.4.2.2; WPA passphrases)."""

import re
from typing import Final

from msgspec import Struct

from pairing.errors import PairingError

MAX_SSID_BYTES: Final = 32
MIN_PASSWORD_BYTES: Final = 8
MAX_PASSWORD_BYTES: Final = 63

_BSSID = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


class UnfitNetworkError(PairingError):
    """No device could join a network so described: `code` says what is wrong with it."""


class SsidLengthError(UnfitNetworkError):
    """A network's name has 1 to 32 octets in UTF-8."""

    code = "ssid_length"


class PasswordLengthError(UnfitNetworkError):
    """A password has 8 to 63 octets in UTF-8, or none where the network is open."""

    code = "wifi_password_length"


class BadBssidError(UnfitNetworkError):
    """A BSSID is six octets in hex, with colons between them."""

    code = "bad_bssid"


class WifiNetwork(Struct, frozen=True):
    """`password` "" is an open network; `bssid`, lower-case with colons, is "" where any radio of it will do."""

    ssid: str
    password: str = ""
    bssid: str = ""

    def __repr__(self) -> str:
        return f"WifiNetwork(ssid={self.ssid!r}, bssid={self.bssid!r})"


class Provisioned(Struct, frozen=True):
    """What a device has been told, by whatever way: the network to join, and the session's token (may be empty)."""

    network: WifiNetwork
    token: bytes = b""

    def __repr__(self) -> str:
        return f"Provisioned(network={self.network!r})"


def network_of(ssid: str, password: str = "", bssid: str = "") -> WifiNetwork:
    """The network so described, byte for byte; raises UnfitNetworkError before anything is sent."""
    if not 0 < _octets(ssid) <= MAX_SSID_BYTES:
        raise SsidLengthError
    if password and not MIN_PASSWORD_BYTES <= _octets(password) <= MAX_PASSWORD_BYTES:
        raise PasswordLengthError
    bssid = bssid.lower().replace("-", ":")
    if bssid and not _BSSID.fullmatch(bssid):
        raise BadBssidError
    return WifiNetwork(ssid, password, bssid)


def _octets(text: str) -> int:
    """In UTF-8; none for what has no UTF-8, as half a surrogate pair."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return 0
