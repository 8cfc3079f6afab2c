"""A Wi-Fi interface the hub can spare to join setup networks with: what a method asks of it, whatever runs it."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct

from pairing.errors import PairingError

Speaks: TypeAlias = Literal["protocomm", "tuya"]

PREFIXES: dict[str, Speaks] = {
    "PROV_": "protocomm",
    "ESP_": "protocomm",
    "Doorstep-": "protocomm",
    "SmartLife-": "tuya",
}
"""How names of setup networks begin, and what is spoken in them."""


class SetupNetwork(Struct, frozen=True):
    """A setup network in reach. `strength` in per cent; `handle` is its radio's own name for it."""

    ssid: str
    strength: int = 0
    open: bool = True
    handle: str = ""


class NoSpareRadioError(PairingError):
    """The hub has no Wi-Fi interface to spare: the detail says why, in a sentence a person can read."""

    code = "no_spare_radio"


class SetupNetworkError(PairingError):
    """A setup network could not be joined, or was lost: `reason` is one of `not_found`, `password`, `no_address`,
    `timeout`, `failed`, `lost`."""

    code = "setup_network_failed"
    retryable = True

    def __init__(self, reason: str, *, step: str = "joining_setup_network") -> None:
        super().__init__(reason, step=step)
        self.reason = reason


class Radio(Protocol):
    """A spare Wi-Fi interface. Raises NoSpareRadioError where it is spare no longer."""

    @property
    def interface(self) -> str: ...

    async def networks(self) -> tuple[SetupNetwork, ...]:
        """Every network in reach now, strongest first, each name once: one scan."""
        ...

    def joined(self, network: SetupNetwork, password: str = "") -> AbstractAsyncContextManager[None]:
        """On the network while the context lasts; nothing of it is left afterwards. Raises SetupNetworkError."""
        ...


Radios: TypeAlias = Callable[[], AbstractAsyncContextManager[Radio]]
"""The hub's spare interface, held while the context lasts. Raises NoSpareRadioError."""


def spoken_in(ssid: str) -> Speaks | None:
    """What a device is spoken to in, by the name of its setup network; None where it is not known to be one."""
    return next((speaks for prefix, speaks in PREFIXES.items() if ssid.startswith(prefix)), None)
