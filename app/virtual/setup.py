"""How a virtual device comes by its network: it is told one in some way, joins it, and keeps it."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec.structs import replace

from app.virtual.memory import Memory
from app.virtual.notices import Notices
from app.virtual.station import JoinRefused, Station
from pairing.wifi import Provisioned


class Told(Protocol):
    """Setup mode while it lasts."""

    async def next(self) -> Provisioned:
        """What the device is told, when it is."""

    async def outcome(self, refused: str | None) -> None:
        """What came of it: None, on the network; else the reason of `JoinRefused`. Told to the peer where it asks."""


class Setup(Protocol):
    """A way of being told: EZ, AP, a code held before the camera. Opened whenever the device has no network."""

    def open(self) -> AbstractAsyncContextManager[Told]:
        """In setup mode while the context lasts. Raises OSError."""


class WifiSetup:
    """`join` returns with the device on its network: the one it kept, or one it is told now and keeps."""

    def __init__(self, setup: Setup, station: Station, memory: Memory, notices: Notices) -> None:
        self._setup = setup
        self._station = station
        self._memory = memory
        self._notices = notices

    async def join(self) -> None:
        """Join the kept network, or be told one. Raises StorageFailedError, OSError."""
        kept = self._memory.state.network
        if kept is not None and await self._joined(Provisioned(kept)) is None:
            return
        async with self._setup.open() as told:
            self._notices.tell("setup")
            while True:
                provisioned = await told.next()
                self._notices.tell("provisioned", ssid=provisioned.network.ssid)
                refused = await self._joined(provisioned)
                if refused is None:
                    await self._keep(provisioned)
                await told.outcome(refused)
                if refused is None:
                    return

    async def _keep(self, provisioned: Provisioned) -> None:
        network, token = provisioned.network, provisioned.token
        await self._memory.change(lambda state: replace(state, network=network, token=token))

    async def leave(self) -> None:
        """Off the network."""
        await self._station.leave()

    async def _joined(self, provisioned: Provisioned) -> str | None:
        try:
            await self._station.join(provisioned.network)
        except JoinRefused as error:
            self._notices.tell("not_joined", ssid=provisioned.network.ssid, reason=error.reason)
            return error.reason
        self._notices.tell("joined", ssid=provisioned.network.ssid)
        return None
