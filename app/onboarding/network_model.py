"""Wi-Fi networks a home knows, and what can be wrong about one."""

from typing import Annotated

from msgspec import Meta, Struct

from app.clock import Time, to_time
from app.errors import Invalid
from pairing.errors import PairingError
from pairing.wifi import (
    BadBssidError,
    PasswordLengthError,
    SsidLengthError,
    UnfitNetworkError,
    WifiNetwork,
    network_of,
)

# Wider than what fits, so that what does not is told by its own code.
Ssid = Annotated[str, Meta(max_length=256, description="1 to 32 octets in UTF-8")]
WifiPassword = Annotated[str, Meta(max_length=256, description='8 to 63 octets in UTF-8, or "" for an open network')]
Bssid = Annotated[
    str, Meta(max_length=32, description="of the 2.4 GHz radio, where it matters which; six octets in hex")
]


class SsidLength(Invalid):
    """A Wi-Fi network's name has 1 to 32 octets in UTF-8."""

    code = SsidLengthError.code
    hint = "Type the name as the router shows it."


class WifiPasswordLength(Invalid):
    """A Wi-Fi password has 8 to 63 octets in UTF-8, or none where the network is open."""

    code = PasswordLengthError.code
    hint = "Type the password as the router shows it."


class BadBssid(Invalid):
    """A BSSID is six octets in hex, with colons between them."""

    code = BadBssidError.code


class WifiNetworkUnknown(Invalid):
    """The home knows no Wi-Fi network of this name."""

    code = "unknown_wifi_network"
    hint = 'Give its password as well ("" for an open one); GET .../networks lists those that are known.'


class Network(Struct, frozen=True):
    """A Wi-Fi network of a home; its password, where it is `secured`, stands in the vault."""

    id: str
    home_id: str
    ssid: str
    bssid: str
    secured: bool
    created_at: int
    used_at: int | None


class NetworkView(Struct, frozen=True):
    """A Wi-Fi network a home knows. Its password is told to devices only; `used_at`: when one last joined with it."""

    id: str
    home_id: str
    ssid: str
    bssid: str
    secured: bool
    created_at: Time
    used_at: Time | None


def view_of(network: Network) -> NetworkView:
    """What the home's admins are shown."""
    return NetworkView(
        id=network.id,
        home_id=network.home_id,
        ssid=network.ssid,
        bssid=network.bssid,
        secured=network.secured,
        created_at=to_time(network.created_at),
        used_at=None if network.used_at is None else to_time(network.used_at),
    )


def checked(ssid: str, password: str = "", bssid: str = "") -> WifiNetwork:
    """The network, before it is stored or sent anywhere; raises SsidLength, WifiPasswordLength, BadBssid."""
    try:
        return network_of(ssid, password, bssid)
    except UnfitNetworkError as error:
        raise unfit(error) from error


def unfit(error: PairingError) -> Invalid:
    """What is wrong with a network, in this face's words."""
    return next((kind for kind in (SsidLength, WifiPasswordLength, BadBssid) if kind.code == error.code), Invalid)()
