"""A zeroconf instance on this machine's interfaces: what browsing and announcing stand on."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from zeroconf import NotRunningException, Zeroconf
from zeroconf.asyncio import AsyncZeroconf

from pairing.ear import Sources, put_ear
from pairing.interfaces import Interfaces, addresses, is_loopback
from pairing.methods.method import MethodFailedError
from pairing.uncancelled import to_the_end


class Multicast:
    """A zeroconf instance that runs, heard through an `Ear`."""

    def __init__(self, running: AsyncZeroconf, interfaces: Interfaces) -> None:
        self.running = running
        self._interfaces = interfaces
        self.sources = Sources()
        self._put_ears()

    @property
    def zeroconf(self) -> Zeroconf:
        return self.running.zeroconf

    async def refresh(self) -> None:
        """Look at the interfaces anew."""
        try:
            await self.running.async_update_interfaces(_chosen(self._interfaces))
        except (OSError, RuntimeError) as error:
            raise _unavailable(error) from error
        self._put_ears()

    def _put_ears(self) -> None:
        for reader in self.zeroconf.engine.readers:
            put_ear(reader.transport, self.sources)


@asynccontextmanager
async def on_multicast(interfaces: Interfaces) -> AsyncIterator[Multicast]:
    """An instance of its own for every use: nothing stale in its cache, and nothing left when it is closed."""
    try:
        running = AsyncZeroconf(interfaces=_chosen(interfaces))
    except (OSError, RuntimeError) as error:
        raise _unavailable(error) from error
    # Cancelled in its own start, zeroconf cannot be closed any more: so the start is seen through beside.
    starting = asyncio.create_task(running.zeroconf.async_wait_for_start())
    try:
        try:
            await asyncio.shield(starting)
        except NotRunningException as error:
            raise _unavailable(error) from error
        yield Multicast(running, interfaces)
    finally:
        # Half closed, sockets are left.
        await to_the_end(_close(running, starting))


async def _close(running: AsyncZeroconf, starting: asyncio.Task[None]) -> None:
    await asyncio.gather(starting, return_exceptions=True)
    await running.async_close()


def _unavailable(error: Exception) -> MethodFailedError:
    return MethodFailedError("network_unavailable", reason=type(error).__name__)


def _chosen(interfaces: Interfaces) -> list[str | int]:
    """As zeroconf takes them: IPv4 addresses, and interfaces that have IPv6. Raises OSError where there are none.

    Its own choice of all takes loopback's IPv6, which has no multicast, and every address of an interface beside it.
    """
    if interfaces is not None:
        for address in interfaces:
            _check_ours(address)
        return list(interfaces)
    own = sorted(addresses(), key=lambda each: (each.index, each.address))
    chosen: dict[str | int, None] = {}
    for each in own:
        if ":" not in each.address:
            chosen[each.address] = None
        elif not is_loopback(each.address):
            chosen[each.index] = None
    if not chosen:
        raise OSError(errno.ENETUNREACH, "no interface has an address")
    return list(chosen)


def _check_ours(address: str) -> None:
    """Raises OSError for an IPv4 address this machine has not: zeroconf would leave a socket behind."""
    if ":" not in address:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
