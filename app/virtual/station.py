"""A virtual device's Wi-Fi radio, as far as it is told a network and joins it, or does not."""

from collections.abc import Mapping
from typing import Protocol

from pairing.wifi import WifiNetwork


class JoinRefused(Exception):
    """The network was not joined: `reason` is "wrong_password" or "no_such_network"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Station(Protocol):
    """Where a device joins networks."""

    async def join(self, network: WifiNetwork) -> None:
        """On the network when this returns; raises JoinRefused, after which it is on none."""

    async def leave(self) -> None:
        """On no network."""


class ListedNetworks:
    """The networks there are, with their passwords ("" where open); nothing but the answer is simulated."""

    def __init__(self, networks: Mapping[str, str]) -> None:
        self._networks = dict(networks)

    async def join(self, network: WifiNetwork) -> None:
        if network.ssid not in self._networks:
            raise JoinRefused("no_such_network")
        if self._networks[network.ssid] != network.password:
            raise JoinRefused("wrong_password")

    async def leave(self) -> None:
        pass
