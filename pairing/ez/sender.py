"""Sends datagrams by the clock, on every interface at once. The only one here with sockets."""

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from typing import Protocol, TypeAlias

from msgspec import Struct

from pairing.ez.frames import Datagram
from pairing.methods.method import MethodFailedError

HARD_STOP = 120.0
"""Seconds after which nothing is sent any more, whatever the caller forgets."""
LAG_MOST = 0.25
"""Seconds the schedule may be behind and still catch up: more, sent in one burst, would only be noise."""
TURN_AFTER = 16
"""Datagrams that are late in a row before others get their turn of the loop."""
RETRY_AFTER = 5.0
"""Seconds until an interface that failed is tried again."""

_ZEROS = memoryview(bytes(2048))
_FULL = (errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM)
"""The frame is lost as on any air; the schedule goes on."""


class Attempt(Struct, frozen=True):
    """One encoding's datagrams, to be sent in their rhythm."""

    encoding: str
    datagrams: Sequence[Datagram]


class Progress(Struct, frozen=True):
    """Attempt number `attempt`, counted from 1, begins on this interface."""

    interface: str
    attempt: int
    encoding: str
    seconds_left: float


class Clock(Protocol):
    """Monotonic time."""

    def now(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class Outlet(Protocol):
    """Where datagrams leave one interface. Never blocks."""

    def send(self, datagram: Datagram) -> None:
        """Raises OSError."""

    def close(self) -> None: ...


OnProgress: TypeAlias = Callable[[Progress], Awaitable[None]]
OpenOutlet: TypeAlias = Callable[[str], Outlet]
Plans: TypeAlias = Mapping[str, Sequence[Attempt]]
"""By the IPv4 address of an interface: the attempts to make there, one after the other, again and again."""


class _LoopClock:
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class UdpOutlet:
    """A socket bound to an interface's address: broadcasts and groups leave there, default route or not."""

    def __init__(self, interface: str) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            self._socket.bind((interface, 0))
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(interface))
        except OSError:
            self._socket.close()
            raise

    def send(self, datagram: Datagram) -> None:
        self._socket.sendto(_ZEROS[: datagram.length], (datagram.address, datagram.port))

    def close(self) -> None:
        self._socket.close()


async def send(
    plans: Plans,
    *,
    on_progress: OnProgress,
    seconds: float = HARD_STOP,
    clock: Clock | None = None,
    open_outlet: OpenOutlet = UdpOutlet,
) -> None:
    """Make the attempts on every interface until `seconds` are over, at most `HARD_STOP`.

    An interface that fails is tried again while another one works. Raises MethodFailedError (`network_unavailable`)
    when none does. Whatever happens, cancellation too, no socket stays open.
    """
    clock = clock or _LoopClock()
    sending = _Sending(clock, clock.now() + min(seconds, HARD_STOP), on_progress, open_outlet, set(plans))
    if not plans:
        raise MethodFailedError("network_unavailable", reason="no interface")
    try:
        async with asyncio.TaskGroup() as group:
            for interface, attempts in plans.items():
                group.create_task(sending.run(interface, attempts))
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


class _Sending:
    def __init__(
        self, clock: Clock, end: float, on_progress: OnProgress, open_outlet: OpenOutlet, working: set[str]
    ) -> None:
        self._clock = clock
        self._end = end
        self._on_progress = on_progress
        self._open = open_outlet
        self._working = working

    @property
    def _left(self) -> float:
        return self._end - self._clock.now()

    async def run(self, interface: str, attempts: Sequence[Attempt]) -> None:
        """Send on this interface until the end; raises when it is the last one and fails."""
        numbers = count(1)
        while self._left > 0:
            try:
                await self._send(interface, attempts, numbers)
            except OSError as error:
                self._working.discard(interface)
                if not self._working:
                    reason = errno.errorcode.get(error.errno or 0, type(error).__name__)
                    raise MethodFailedError("network_unavailable", reason=reason) from error
                await self._clock.sleep(min(RETRY_AFTER, max(self._left, 0)))

    async def _send(self, interface: str, attempts: Sequence[Attempt], numbers: "count[int]") -> None:
        outlet = self._open(interface)
        try:
            for number in numbers:
                attempt = attempts[(number - 1) % len(attempts)]
                await self._on_progress(Progress(interface, number, attempt.encoding, self._left))
                if not await self._attempt(outlet, interface, attempt):
                    return
        finally:
            outlet.close()

    async def _attempt(self, outlet: Outlet, interface: str, attempt: Attempt) -> bool:
        """Whether there is time left after it. Each datagram has its own moment, so that lateness does not add up."""
        due, late = self._clock.now(), 0
        for datagram in attempt.datagrams:
            now = self._clock.now()
            if now >= self._end:
                return False
            if now - due > LAG_MOST:
                due = now
            self._put(outlet, interface, datagram)
            due += datagram.gap
            late = 0 if due > now else late + 1
            if due > now or late % TURN_AFTER == 0:
                await self._clock.sleep(max(due - self._clock.now(), 0))
        return self._left > 0

    def _put(self, outlet: Outlet, interface: str, datagram: Datagram) -> None:
        try:
            outlet.send(datagram)
        except OSError as error:
            if error.errno not in _FULL:
                raise
        else:
            self._working.add(interface)
