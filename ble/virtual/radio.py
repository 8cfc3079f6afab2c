"""The hub's radio on a virtual air: a `ble.radio.Radio` that needs no adapter."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from bumble import core, hci

from ble.errors import NotOffered, NotReachable, RadioOff
from ble.listeners import Listeners
from ble.radio import CONNECT_TIMEOUT_S, Advertisement, RadioState
from ble.slots import Slots
from ble.virtual.connection import CALL_TIMEOUT_S, VirtualConnection
from ble.virtual.host import Host, heeding, join, random_address
from ble.virtual.payload import heard

_log = logging.getLogger(__name__)

SLOTS = 5
RETRY_S = 1.0
MAX_KNOWN = 1024
"""Devices remembered; anybody can invent addresses."""

_OFF = RadioState(False, "no_adapter", "The virtual Bluetooth this hub was told to use is not there.")


class VirtualRadio:
    """On the air at this port. `open` joins it; where there is none, or it ends, `state` says so, and every `retry`
    seconds it is looked for again.
    """

    def __init__(
        self, port: int, *, slots: int = SLOTS, call_timeout: float = CALL_TIMEOUT_S, retry: float = RETRY_S
    ) -> None:
        self._port = port
        self._call_timeout = call_timeout
        self._retry = retry
        self._slots = Slots(slots)
        self._state = _OFF
        self._states = Listeners[RadioState]()
        self._adverts = Listeners[Advertisement]()
        self._host: Host | None = None
        self._task: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()
        self._heard: dict[str, Any] = {}
        self._connections: set[VirtualConnection] = set()

    @property
    def state(self) -> RadioState:
        return self._state

    def on_state(self, told: Callable[[RadioState], None]) -> Callable[[], None]:
        return self._states.add(told)

    def listen(self, heard: Callable[[Advertisement], None]) -> Callable[[], None]:
        return self._adverts.add(heard)

    @property
    def in_use(self) -> int:
        return len(self._connections)

    async def open(self) -> None:
        tried = asyncio.Event()
        self._task = asyncio.create_task(self._run(tried), name="virtual radio")
        await tried.wait()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        for connection in list(self._connections):
            await connection.close()
        await self._leave()

    async def _run(self, tried: asyncio.Event) -> None:
        """On the air as long as there is one, and on the next that comes to its port."""
        while True:
            try:
                async with asyncio.timeout(self._call_timeout):
                    lost = await heeding(self._join())
            except (RadioOff, core.BaseBumbleError, TimeoutError) as error:
                _log.debug("the virtual air cannot be joined: %r", error)
                await self._leave()
            else:
                tried.set()
                await asyncio.shield(lost)
                await self._leave()
            tried.set()
            await asyncio.sleep(self._retry)

    async def _join(self) -> asyncio.Future[None]:
        """Listening from now on, until the future is done."""
        self._host = await join(self._port, "hub", random_address())
        lost = self._host.lost
        lost.add_done_callback(lambda _: self._is(_OFF))
        device = self._host.device
        device.on("advertisement", self._hear)
        await device.power_on()
        await device.start_scanning(filter_duplicates=False)
        if not lost.done():
            self._is(RadioState(True))
        return lost

    async def _leave(self) -> None:
        host, self._host = self._host, None
        self._heard.clear()
        if host is not None:
            await host.close()

    @asynccontextmanager
    async def connect(
        self,
        address: str,
        *,
        services: Sequence[str] = (),
        timeout: float = CONNECT_TIMEOUT_S,  # noqa: ASYNC109 - the Protocol's
    ) -> AsyncIterator[VirtualConnection]:
        ends = asyncio.get_running_loop().time() + timeout
        async with self._slots.hold(address, ends):
            connection = await self._connected(address, ends)
            self._connections.add(connection)
            try:
                await connection.discover()
                if missing := [each for each in services if not connection.characteristics(each)]:
                    raise NotOffered(f"no service {missing[0]}")
                yield connection
            finally:
                self._connections.discard(connection)
                with suppress(core.BaseBumbleError):
                    await connection.close()

    async def _connected(self, address: str, ends: float) -> VirtualConnection:
        async with asyncio.timeout_at(ends) as limit, self._connecting:  # an adapter tries one at a time
            if not self._state.usable or self._host is None:
                raise RadioOff(self._state.sentence)
            if (target := self._heard.get(address)) is None:
                raise NotReachable("the device is not heard")
            left = ends - asyncio.get_running_loop().time()
            limit.reschedule(ends + 5.0)  # bumble keeps `left` itself, and tells the adapter to stop trying
            try:
                link = await _linked(self._host.device, target, left)
            except core.BaseBumbleError as error:
                raise NotReachable("the device does not answer") from error
            return VirtualConnection(address, link, self._call_timeout)

    def _hear(self, advert: Any) -> None:
        address = str(advert.address)
        self._heard.pop(address, None)
        self._heard[address] = advert.address
        while len(self._heard) > MAX_KNOWN:
            del self._heard[next(iter(self._heard))]
        self._adverts.tell(heard(address, advert.rssi, _structures(advert)))

    def _is(self, state: RadioState) -> None:
        if state != self._state:
            self._state = state
            self._states.tell(state)


async def _linked(device: Any, target: Any, seconds: float) -> Any:
    """bumble's connection. One that nobody waits for any more is called off, or ended: the device would be held by it,
    and not heard again.
    """
    connecting = asyncio.ensure_future(device.connect(target, timeout=seconds))
    try:
        await asyncio.wait((connecting,))
        return connecting.result()
    except asyncio.CancelledError:
        with suppress(core.BaseBumbleError):  # where it has just come about
            await device.send_sync_command(hci.HCI_LE_Create_Connection_Cancel_Command())
        with suppress(core.BaseBumbleError):
            await (await connecting).disconnect()
        raise


def _structures(advert: Any) -> list[tuple[int, bytes]]:
    return [(int(kind), bytes(data)) for kind, data in advert.data.ad_structures]
