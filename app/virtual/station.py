"""A virtual device's Wi-Fi radio, as far as it is told a network and joins it, or does not.

The radio may be one of a simulated air, another process that relays frames: a UNIX socket that takes JSON lines,
`{"join": {"ssid": ..., "password": ...}}`, answered by `{"joined": true}` or `{"refused": "wrong_password"}`. The
device is on the network for as long as it keeps the connection.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from pairing.pump import close
from pairing.wifi import WifiNetwork

ANSWER_TIMEOUT: Final = 30.0
"""Seconds an access point has to let a station in."""
MAX_LINE: Final = 4096


class JoinRefused(Exception):
    """The network was not joined: `reason` is "wrong_password", "no_such_network" or "no_answer"."""

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


class _Answer(Struct):
    joined: bool = False
    refused: str = "no_answer"


class AirStation:
    """A station of the air behind the socket at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: asyncio.StreamWriter | None = None

    async def join(self, network: WifiNetwork) -> None:
        await self.leave()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                answer = await self._ask({"join": {"ssid": network.ssid, "password": network.password}})
        except (OSError, TimeoutError, ValueError):  # nobody there, silence, or no words of an access point
            answer = _Answer()
        if not answer.joined:
            await self.leave()
            raise JoinRefused(answer.refused)

    async def leave(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            await close(writer)

    async def _ask(self, question: object) -> _Answer:
        reader, self._writer = await asyncio.open_unix_connection(self._path, limit=MAX_LINE)
        self._writer.write(msgspec.json.encode(question) + b"\n")
        return msgspec.json.decode(await reader.readline(), type=_Answer)
