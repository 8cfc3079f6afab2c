"""Keeps one proxy connected: chooses it, sets its filter, and takes another when it goes."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress

from ble.errors import BleError, Disconnected, NotReachable
from ble.mesh.choice import PROXY_SERVICE, Choice
from ble.mesh.driver import Driver
from ble.mesh.exchange import Configured
from ble.mesh.proxy import Reassembly, Whole, segments
from ble.mesh.proxy_filter import FilterType, SetType, Status, additions
from ble.radio import Advertisement, Connection, Radio, uuid16

DATA_IN, DATA_OUT = uuid16(0x2ADD), uuid16(0x2ADE)
FILTER_S = 5.0
"""How long a proxy may take to answer Set Filter Type. Add is not waited for: some do not answer it."""
CONNECT_S = 30.0

logger = logging.getLogger(__name__)


class Link:
    """`run` ends only by being cancelled. `connected` is set while a proxy carries our messages."""

    def __init__(self, radio: Radio, driver: Driver, clock: Callable[[], float]) -> None:
        self.connected = asyncio.Event()
        self.proxy = ""
        """The system's name for the proxy in use."""
        self._radio, self._driver, self._clock = radio, driver, clock
        self._choice = Choice()
        self._news = asyncio.Event()
        self._status: asyncio.Future[None] | None = None
        self._ended: asyncio.Future[BleError] | None = None
        self._avoided: set[int] = set()
        self._node = 0

    async def run(self) -> None:
        stop = self._radio.listen(self._hear)
        try:
            while True:
                await self._serve(await self._chosen())
        finally:
            stop()

    def configured(self, event: Configured) -> None:
        """The proxy has answered."""
        self._node = event.src
        if event.src in self._avoided:
            self._hang_up()
        elif isinstance(event.message, Status) and self._status and not self._status.done():
            self._status.set_result(None)

    def avoid(self, address: int) -> None:
        """Use this node as the proxy no more, and another where there is one."""
        self._avoided.add(address)
        if self._node == address:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._ended is not None:
            _end(self._ended, NotReachable("another proxy is wanted"))

    def add_to_filter(self, addresses: Iterable[int]) -> None:
        """Have the proxy pass these on as well; nothing to do while there is none. Raises NumbersUsedUp."""
        if self._driver.bearer is not None:
            for message in additions(addresses):
                self._driver.stack.configure(message, net_index=self._net_index)
            self._driver.wake()

    @property
    def _net_index(self) -> int:
        return min(self._driver.stack.state.net_keys, default=0)

    def _hear(self, advert: Advertisement) -> None:
        state = self._driver.stack.state
        keys = [key for one in state.net_keys.values() for key in one.receiving]
        addresses = [node.address for node in state.nodes.values()]
        if self._choice.hear(advert, keys, addresses, self._clock()):
            self._news.set()

    async def _chosen(self) -> str:
        while (address := self._choice.best(self._clock())) is None:
            self._news.clear()
            at = self._choice.next_try(self._clock())
            wait = None if at is None else max(at - self._clock(), 0.0)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._news.wait()
        return address

    async def _serve(self, address: str) -> None:
        """Use this proxy for as long as it lasts."""
        try:
            async with self._radio.connect(address, services=(PROXY_SERVICE,), timeout=CONNECT_S) as connection:
                await self._use(connection)
        except BleError as error:
            logger.info("mesh_proxy_lost", extra={"proxy": address, "cause": error.code})
        finally:
            self.connected.clear()
            self._driver.bearer, self.proxy = None, ""
            self._choice.failed(address, self._clock())

    async def _use(self, connection: Connection) -> None:
        self._ended = ended = asyncio.get_running_loop().create_future()
        self._node = 0
        inbound = _Inbound(self._driver, ended, self._clock)

        async def bear(whole: Whole) -> None:
            for part in segments(whole.kind, whole.data, connection.max_write):
                await connection.write(DATA_IN, part, response=False)

        connection.on_disconnect(lambda: _end(ended, Disconnected("the proxy is gone")))
        try:
            await connection.subscribe(DATA_OUT, inbound.feed)
            self._driver.bearer = bear
            await self._set_filter(ended)
            self.proxy = connection.address
            self._choice.served(connection.address)
            self.connected.set()
            raise await ended
        finally:
            inbound.close()

    async def _set_filter(self, ended: asyncio.Future[BleError]) -> None:
        stack = self._driver.stack
        self._status = asyncio.get_running_loop().create_future()
        await self._driver.save()
        stack.configure(SetType(FilterType.ACCEPT), net_index=self._net_index)
        self._driver.wake()
        await asyncio.wait((self._status, ended), timeout=FILTER_S, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            raise ended.result()
        if not self._status.done():
            raise NotReachable("the proxy does not answer")
        # A node that was away, or lost the beacon that was sent when it changed, learns the IV index (3.11.5).
        stack.beacon(self._net_index)
        self.add_to_filter({*stack.state.addresses, *stack.heard_addresses})


class _Inbound:
    """What a proxy notifies, put together; a message that is never finished ends the connection (6.3.2.2)."""

    def __init__(self, driver: Driver, ended: asyncio.Future[BleError], clock: Callable[[], float]) -> None:
        self._driver, self._ended, self._clock = driver, ended, clock
        self._reassembly = Reassembly()
        self._timer: asyncio.TimerHandle | None = None

    def feed(self, part: bytes) -> None:
        try:
            whole = self._reassembly.feed(part, self._clock())
        except BleError as error:
            _end(self._ended, error)
            return
        self.close()
        if self._reassembly.deadline is not None:
            late = NotReachable("the proxy did not finish its message")
            wait = self._reassembly.deadline - self._clock()
            self._timer = asyncio.get_running_loop().call_later(wait, _end, self._ended, late)
        if whole is not None:
            self._driver.heard(whole)

    def close(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None


def _end(ended: asyncio.Future[BleError], error: BleError) -> None:
    if not ended.done():
        ended.set_result(error)
