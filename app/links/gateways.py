"""The gateways among the linked devices: who is behind each, and the windows in which devices may join there.

A gateway speaks for its children by its own proven link. What it calls a child is a name within its own: the hardware
id the hub knows it by begins with the gateway's, so that no gateway can speak of another's child, nor of a device that
has a key.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from app.devices.model import LAN as LINK
from app.devices.model import Device
from app.devices.service import Devices
from pairing.messages import MAX_CHILDREN, AdoptChild, Child, ForgetChild, FromHub, Joining, PermitJoin
from pairing.methods.gateway import Left, Newcomer, News
from pairing.methods.method import MethodFailedError
from pairing.text import clean

# A gateway answers within milliseconds; after a restart of the hub it must first find it.
ANSWER_TIMEOUT = 10.0
LINK_PATIENCE = 20.0
_SEPARATOR = "/"  # in no name of the protocol
_log = structlog.get_logger("doorstep.gateways")


def hardware_of(gateway: str, child: str) -> str:
    """The hardware id of the gateway's (by its own hardware id) child."""
    return f"{gateway}{_SEPARATOR}{child}"


def split(hardware_id: str) -> tuple[str, str | None]:
    """(the linked hardware to reach it by, what that calls it; None: it is linked itself)."""
    linked, separator, child = hardware_id.partition(_SEPARATOR)
    return linked, child if separator else None


class Gateways:
    """`pairing.methods.gateway.Gateways` over the LAN link. `send` hands a message to linked hardware."""

    def __init__(
        self, devices: Devices, send: Callable[[str, FromHub], bool], is_online: Callable[[str], bool]
    ) -> None:
        self._devices = devices
        self._send = send
        self._linked = is_online
        self._behind: dict[str, dict[str, Child]] = {}
        self._windows: dict[str, set[_Window]] = {}

    # what gateways say

    def up(self, hardware_id: str) -> None:
        """Its hello: it will say anew who is behind it, and has open what the hub wants open."""
        if self._gateway(hardware_id) is not None:
            self._behind[hardware_id] = {}
            self._permit(hardware_id)

    def down(self, hardware_id: str) -> None:
        """Its link has ended."""
        self._behind.pop(hardware_id, None)

    def joining(self, hardware_id: str, said: Joining) -> None:
        """It lets devices join for so long more."""
        for window in self._windows.get(hardware_id, ()):
            window.said(said.seconds)

    async def child(self, hardware_id: str, said: Child) -> None:
        """A device is behind it."""
        behind = self._behind.get(hardware_id)
        if behind is None:
            return
        if said.child not in behind and len(behind) >= MAX_CHILDREN:
            _log.warning("more devices behind a gateway than may be", gateway=hardware_id)
            return
        behind[said.child] = said
        device = self.child_of(hardware_id, said.child) or await self._taken_along(hardware_id, said.child)
        if device is None or device.product_id != said.product:
            await self._newcomer(hardware_id, said)
        elif said.online:
            self._devices.online(device.id, LINK, clean(said.fw))
        else:
            self._devices.offline(device.id, LINK)

    async def _taken_along(self, hardware_id: str, child: str) -> Device | None:
        """One that joined while its gateway changed hubs is of another hub's still: it is where its gateway is."""
        device = self._devices.memory.bound(hardware_of(hardware_id, child))
        gateway = self._devices.of_hardware(hardware_id)
        if device is None or gateway is None or device.gateway_id != gateway.id:
            return None
        await self._devices.handing.take_over(device.id)
        return self.child_of(hardware_id, child)

    async def child_left(self, hardware_id: str, child: str) -> None:
        """A device is behind it no more: somebody has reset it by hand, unless the hub let it go."""
        self._behind.get(hardware_id, {}).pop(child, None)
        self._tell(hardware_id, Left(hardware_of(hardware_id, child)))
        if (device := self.child_of(hardware_id, child)) is not None:
            self._devices.offline(device.id, LINK)
            await self._devices.was_reset(device.id)
        else:
            await self._devices.resets.confirmed(hardware_of(hardware_id, child))

    def child_of(self, hardware_id: str, child: str) -> Device | None:
        """The device that this gateway's child is."""
        gateway = self._devices.of_hardware(hardware_id)
        device = self._devices.of_hardware(hardware_of(hardware_id, child))
        return device if gateway is not None and device is not None and device.gateway_id == gateway.id else None

    def is_there(self, hardware_id: str, child: str) -> bool:
        """Whether the gateway, linked now, says that it reaches this child."""
        said = self._behind.get(hardware_id, {}).get(child)
        return said is not None and said.online

    def unfrozen(self, device: Device) -> None:
        """A device is let in again: one that its gateway says is there, is."""
        gateway, child = split(device.hardware_id)
        if child is not None and self.is_there(gateway, child):
            self._devices.online(device.id, LINK)

    # what the hub wants

    def let_go(self, hardware_id: str) -> None:
        """A child has left its home: its gateway forgets it, now or when it next speaks of it."""
        gateway, child = split(hardware_id)
        if child is not None:
            self._behind.get(gateway, {}).pop(child, None)
            if self._send(gateway, ForgetChild(child)):
                self._devices.resets.delivered(hardware_id)

    def adopt(self, child: str) -> None:
        """See the Protocol."""
        gateway, name = split(child)
        if name is not None:
            self._send(gateway, AdoptChild(name))

    @asynccontextmanager
    async def window(self, home: str, gateway: str, seconds: int) -> AsyncIterator[AsyncIterator[News]]:
        """See the Protocol."""
        hardware_id = self._hardware(home, gateway)
        window = _Window(seconds)
        self._windows.setdefault(hardware_id, set()).add(window)
        try:
            self._permit(hardware_id)
            await self._opened(hardware_id, window)
            for child in tuple(self._behind.get(hardware_id, {}).values()):
                if self.child_of(hardware_id, child.child) is None:
                    window.put(_newcomer(hardware_id, child))
            yield window
        finally:
            self._windows[hardware_id].discard(window)
            if not self._windows[hardware_id]:
                del self._windows[hardware_id]
            self._permit(hardware_id)

    async def _opened(self, hardware_id: str, window: "_Window") -> None:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT if self._linked(hardware_id) else LINK_PATIENCE):
                await window.opened.wait()
        except TimeoutError:
            silent = self._linked(hardware_id)
            raise MethodFailedError("gateway_silent" if silent else "gateway_offline") from None

    def _permit(self, hardware_id: str) -> None:
        """Have open what the longest window needs; nothing where there is none."""
        left = (window.left() for window in self._windows.get(hardware_id, ()))
        self._send(hardware_id, PermitJoin(math.ceil(max(left, default=0))))

    def _hardware(self, home: str, gateway: str) -> str:
        live = self._devices.memory.get(gateway)
        if live is None or live.device.home_id != home or self._gateway(live.device.hardware_id) is None:
            raise MethodFailedError("gateway_unfit")
        return live.device.hardware_id

    def _gateway(self, hardware_id: str) -> Device | None:
        device = self._devices.of_hardware(hardware_id)
        product = None if device is None else self._devices.catalogue.get(device.product_id)
        return device if product is not None and product.gateway else None

    async def _newcomer(self, hardware_id: str, said: Child) -> None:
        if self._windows.get(hardware_id):
            self._tell(hardware_id, _newcomer(hardware_id, said))
        elif await self._devices.registry.was_let_go(hardware_of(hardware_id, said.child)):
            # It left its home while the gateway was away. One that joins anew does so in a window.
            self.let_go(hardware_of(hardware_id, said.child))

    def _tell(self, hardware_id: str, news: News) -> None:
        for window in self._windows.get(hardware_id, ()):
            window.put(news)


class _Window:
    """One session's: its time runs from when the gateway says that it is open."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._ends: float | None = None
        self._news: asyncio.Queue[News | None] = asyncio.Queue(2 * MAX_CHILDREN)
        self.opened = asyncio.Event()

    def left(self) -> float:
        """Seconds that it is still to be open."""
        if self._ends is None:
            return self._seconds
        return max(0.0, self._ends - asyncio.get_running_loop().time())

    def said(self, seconds: int) -> None:
        """The gateway says that it is open for so long; 0 before it was open is about another window."""
        if seconds and self._ends is None:
            self._ends = asyncio.get_running_loop().time() + self._seconds
            self.opened.set()
        elif not seconds and self._ends is not None:
            self.put(None)

    def put(self, news: News | None) -> None:
        """Tell the session; a gateway that says more than a session can take is not listened to."""
        if not self._news.full():
            self._news.put_nowait(news)

    def __aiter__(self) -> "_Window":
        return self

    async def __anext__(self) -> News:
        try:
            async with asyncio.timeout_at(self._ends):
                news = await self._news.get()
        except TimeoutError:
            raise StopAsyncIteration from None
        if news is None:
            raise StopAsyncIteration
        return news


def _newcomer(hardware_id: str, said: Child) -> Newcomer:
    return Newcomer(hardware_of(hardware_id, said.child), said.product, clean(said.name), clean(said.fw))
