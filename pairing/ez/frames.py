"""What goes in and what comes out: the credentials to send, and the datagrams that spell them."""

import ipaddress
from collections.abc import Iterable, Sequence

from msgspec import Struct

from pairing.errors import PairingError
from pairing.ez.numbers import BSSID_SIZE
from pairing.wifi import WifiNetwork, network_of

BROADCAST = "255.255.255.255"


class UnsendableError(PairingError):
    """The encoding cannot carry this; `detail` names the field."""

    code = "unsendable"


class Datagram(Struct, frozen=True):
    """One datagram: to `address`, `port`, with `length` octets that mean nothing, then `gap` seconds of rest."""

    address: str
    port: int
    length: int
    gap: float


class Credentials(Struct, frozen=True, kw_only=True):
    """What a device is to learn. `sender` is the IPv4 address it may answer to, `mark` which of the ports for answers.

    `key` (16 octets) encrypts where the encoding can, for devices that were built with it.
    """

    network: WifiNetwork
    token: bytes = b""
    sender: str = "0.0.0.0"  # noqa: S104 - "unknown"; nothing is bound to it
    key: bytes = b""
    mark: int = 0

    def __repr__(self) -> str:
        return f"Credentials(network={self.network!r})"

    @property
    def ssid(self) -> bytes:
        return self.network.ssid.encode()

    @property
    def password(self) -> bytes:
        return self.network.password.encode()

    @property
    def bssid(self) -> bytes:
        """Zeros where any radio of the network will do."""
        return bytes.fromhex(self.network.bssid.replace(":", "")) or bytes(BSSID_SIZE)


def checked(credentials: Credentials) -> Credentials:
    """The same, if it is sound. Raises UnsendableError, UnfitNetworkError."""
    network = credentials.network
    network_of(network.ssid, network.password, network.bssid)
    try:
        ipaddress.IPv4Address(credentials.sender)
    except ValueError:
        raise UnsendableError("sender") from None
    return credentials


def broadcasts(lengths: Iterable[int], *, port: int, gap: float) -> list[Datagram]:
    """Datagrams of these lengths to everybody."""
    return [Datagram(BROADCAST, port, length, gap) for length in lengths]


def interleaved(first: Sequence[Datagram], second: Sequence[Datagram]) -> list[Datagram]:
    """Both, each in its order, spread evenly over one another."""
    place = [((i + 0.5) / len(some), lane, i) for lane, some in enumerate((first, second)) for i in range(len(some))]
    return [(first, second)[lane][i] for _, lane, i in sorted(place)]
