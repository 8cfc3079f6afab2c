"""A bumble host on an adapter of the air: what the hub's radio and the devices have in common."""

import asyncio
import logging
import secrets
from collections.abc import Coroutine
from typing import Any, TypeVar

from bumble.device import Device
from bumble.hci import Address
from bumble.transport.common import StreamPacketSink, StreamPacketSource

from ble.errors import RadioOff

_log = logging.getLogger(__name__)

T = TypeVar("T")


async def heeding(work: Coroutine[Any, Any, T]) -> T:
    """What bumble does, with its result or error. Cancelled just as an answer comes, bumble goes on as if nothing was
    (it waits by asyncio.wait_for, of before Python 3.12); whoever waits here is cancelled all the same.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((task,))
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class _Source(StreamPacketSource):
    """Tells once when the air has gone."""

    def __init__(self, lost: asyncio.Future[None]) -> None:
        super().__init__()
        self._lost = lost

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._lost.done():
            self._lost.set_result(None)
        self.on_transport_lost()


def random_address() -> str:
    """A fresh static address (Core, Vol 6, Part B, 1.3.2.1: the two highest bits are set)."""
    octets = bytes([0xC0 | secrets.randbelow(64), *secrets.token_bytes(5)])
    return ":".join(f"{octet:02X}" for octet in octets)


class Host:
    """`device` is bumble's, powered on. `lost` is done once the air has gone."""

    def __init__(self, device: Any, transport: asyncio.Transport, lost: asyncio.Future[None]) -> None:
        self.device = device
        self.lost = lost
        self._transport = transport

    async def close(self) -> None:
        """As when the power goes: nothing is said to anybody."""
        self._transport.abort()
        await self.lost


async def join(port: int, name: str, address: str, device: type[Device] = Device) -> Host:
    """A host on the air at this port of the loopback interface. Raises RadioOff where there is none."""
    loop = asyncio.get_running_loop()
    lost: asyncio.Future[None] = loop.create_future()
    try:
        transport, source = await loop.create_connection(lambda: _Source(lost), "127.0.0.1", port)
    except OSError as error:
        raise RadioOff("nothing listens where the virtual air should be") from error
    made: Any = device.with_hci(name, Address(address), source, StreamPacketSink(transport))
    made.on("error", lambda error: _log.debug("what bumble does by itself failed: %r", error))
    return Host(made, transport, lost)
