"""How a virtual device comes by its network: it is told one in some way, joins it, and keeps it."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

from msgspec import Struct
from msgspec.structs import replace

from app.virtual.memory import Memory
from app.virtual.notices import Notices
from app.virtual.station import JoinRefused, Station
from pairing.messages import Wifi
from pairing.wifi import Provisioned, WifiNetwork, network_of


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


@runtime_checkable
class WithButton(Setup, Protocol):
    """A way of being told that may ask for a button to be pressed first."""

    async def press(self) -> None:
        """Somebody presses it."""


class Trial(Struct, frozen=True):
    """A network that a hub has ordered: kept only if the hub says so before `until` (of the loop's clock)."""

    change: str
    network: WifiNetwork
    until: float


class WifiSetup:
    """`join` returns with the device on its network: the one it tries, the one it kept, or one it is told now."""

    def __init__(self, setup: Setup, station: Station, memory: Memory, notices: Notices) -> None:
        self._setup = setup
        self._station = station
        self._memory = memory
        self._notices = notices
        self._ordered: Trial | None = None
        self._trying: Trial | None = None
        self._news = asyncio.Event()

    async def join(self) -> None:
        """Raises StorageFailedError, OSError."""
        if self._ordered is not None:
            self._trying, self._ordered = self._ordered, None
            if await self._joined(Provisioned(self._trying.network)) is None:
                return
            self._roll_back()
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

    async def _keep(self, provisioned: Provisioned, change: str = "") -> None:
        network, token = provisioned.network, provisioned.token
        await self._memory.change(lambda state: replace(state, network=network, token=token, change=change))

    async def leave(self) -> None:
        """Off the network."""
        await self._station.leave()

    async def elsewhere(self) -> None:
        """Until the device is to be on another network than it is on, or on none: told to, timed out, reset."""
        forgotten = asyncio.create_task(self._memory.until(lambda state: state.network is None))
        try:
            while not forgotten.done() and self._ordered is None and self._left() != 0:
                self._news.clear()
                news = asyncio.create_task(self._news.wait())
                try:
                    await asyncio.wait({forgotten, news}, timeout=self._left(), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    news.cancel()
        finally:
            forgotten.cancel()
            await asyncio.gather(forgotten, return_exceptions=True)
        if self._left() == 0 or forgotten.done():
            self._roll_back()

    # what the hub orders

    def said(self) -> tuple[str | None, str | None, bool]:
        """Of the network it is on, as `Hello` has it: name, order, on trial."""
        if self._trying is not None:
            return self._trying.network.ssid, self._trying.change, True
        network = self._memory.state.network
        return (None if network is None else network.ssid), self._memory.state.change or None, False

    def check(self, order: Wifi) -> WifiNetwork:
        """The network ordered. Raises UnfitNetworkError."""
        return network_of(order.ssid, order.password, order.bssid)

    def on_it(self, change: str) -> bool:
        """Whether the device is on the network of this order already."""
        return change in (self._memory.state.change, self._trying.change if self._trying else "")

    def order(self, order: Wifi) -> None:
        """Try that network from now on."""
        until = asyncio.get_running_loop().time() + order.rollback
        self._ordered = Trial(order.change, self.check(order), until)
        self._news.set()

    async def keep(self, change: str) -> None:
        """The hub has seen it there: the network on trial is the device's from now on. Raises StorageFailedError."""
        trial = self._trying
        if trial is not None and trial.change == change:
            await self._keep(Provisioned(trial.network), change)
            self._trying = None
            self._news.set()
            self._notices.tell("wifi_kept", ssid=trial.network.ssid)

    def _left(self) -> float | None:
        """Seconds until a trial is over; None without one."""
        return None if self._trying is None else max(0.0, self._trying.until - asyncio.get_running_loop().time())

    def _roll_back(self) -> None:
        if self._trying is not None:
            self._notices.tell("wifi_rolled_back", ssid=self._trying.network.ssid)
            self._trying = None

    async def _joined(self, provisioned: Provisioned) -> str | None:
        try:
            await self._station.join(provisioned.network)
        except JoinRefused as error:
            self._notices.tell("not_joined", ssid=provisioned.network.ssid, reason=error.reason)
            return error.reason
        self._notices.tell("joined", ssid=provisioned.network.ssid)
        return None
