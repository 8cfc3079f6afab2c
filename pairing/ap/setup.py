"""What can be asked of a device in its setup network, whatever it speaks there."""

from enum import StrEnum
from typing import Protocol, TypeAlias

from msgspec import Struct

from pairing.wifi import WifiNetwork


class SeenNetwork(Struct, frozen=True):
    """A Wi-Fi network the device sees. `rssi` in dBm; `channel` 0 where it does not say."""

    ssid: str
    bssid: str = ""
    channel: int = 0
    rssi: int = 0
    open: bool = False


class Reason(StrEnum):
    """Why a device could not join a Wi-Fi network."""

    AUTH = "auth"
    NOT_FOUND = "not_found"


class Connecting(Struct, frozen=True):
    """It is trying, or has not begun, or cannot say."""


class Connected(Struct, frozen=True):
    """It has joined; `ip` is its address there, "" where it does not say."""

    ip: str = ""


class Failed(Struct, frozen=True):
    """It has tried and given up."""

    reason: Reason


Status: TypeAlias = Connecting | Connected | Failed


class Setup(Protocol):
    """A device in its setup network. Each call raises PairingError; ProofFailedError is a wrong proof of possession.

    `reports`: whether it ever says what became of it.
    """

    @property
    def reports(self) -> bool: ...

    async def scan(self) -> tuple[SeenNetwork, ...]:
        """The networks the device sees, strongest first; none where it cannot say."""
        ...

    async def send(self, network: WifiNetwork, token: bytes) -> bool:
        """Have it join the network. Whether it has taken the token: what it cannot take it never sees."""
        ...

    async def status(self) -> Status:
        """What has become of it."""
        ...
