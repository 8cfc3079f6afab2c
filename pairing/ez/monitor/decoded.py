"""What a listener ends with."""

from typing import Protocol

from msgspec import Struct

from pairing.wifi import UnfitNetworkError, WifiNetwork, network_of


class Decoded(Struct, frozen=True, kw_only=True):
    """Credentials, and what the device needs to answer. Checks on the air are short: joining is the proof.

    `sender` is an IPv4 address, `mark` ESP-TOUCH v2's choice of answer port, `nonce` what
    AirKiss is answered with.
    """

    encoding: str
    network: WifiNetwork
    token: bytes = b""
    sender: str = ""
    mark: int = 0
    nonce: int = 0

    def __repr__(self) -> str:
        return f"Decoded(encoding={self.encoding!r}, network={self.network!r})"


class Decoder(Protocol):
    """Of one encoding or lane."""

    @property
    def locked(self) -> bool:
        """A preamble was heard: a device that hops from channel to channel stays on this one."""

    def hear(self, destination: bytes, length: int, now: float) -> Decoded | None:
        """A frame to this group or broadcast MAC address, `now` seconds on a monotonic clock. Raises nothing."""


def decoded(
    encoding: str,
    ssid: bytes,
    password: bytes,
    *,
    bssid: bytes = b"",
    token: bytes = b"",
    sender: str = "",
    mark: int = 0,
    nonce: int = 0,
) -> Decoded | None:
    """What these octets say; None where no network can be called so."""
    try:
        network = network_of(ssid.decode(), password.decode(), bssid.hex(":") if any(bssid) else "")
    except (UnicodeDecodeError, UnfitNetworkError):
        return None
    return Decoded(encoding=encoding, network=network, token=token, sender=sender, mark=mark, nonce=nonce)
