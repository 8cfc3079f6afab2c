"""Links to paired devices that are reached over Bluetooth LE: the hub connects, and speaks what it speaks over TCP.

A device advertises while nobody is connected to it. Who advertises is only claimed; the link proves it. An adapter
holds few connections: more devices than `KEPT` take turns, and one that a command waits for goes before the others.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, Final

import structlog
from msgspec import Struct

from app.links.lan import LanLink
from app.links.turns import Turns
from ble.errors import BleError
from ble.radio import Advertisement, Radio
from pairing.errors import PairingError
from pairing.gatt.profile import LINK as STREAM
from pairing.gatt.profile import SERVICE, announced_by
from pairing.gatt.stream import streams_over

KEPT: Final = 2
"""Connections kept at once: an adapter has four, of which pairing and a mesh network take one each."""
TURN_S: Final = 60.0
"""Seconds a connection is kept where others wait."""
FRESH_S: Final = 10.0
"""Seconds for which a device that was heard is taken to be there."""
CONNECT_WITHIN_S: Final = 30.0
PAUSE_S: Final = (0.5, 30.0)
"""Seconds between two connections to a device: at first, and at most where none comes to anything."""
MAX_ADDRESSES: Final = 4
"""Of who claims to be one device: a liar must not keep us from the true one."""
_log = structlog.get_logger("doorstep.ble")


class _Claim(Struct):
    """Who says at an address to be a device: heard when, and how often it was not."""

    at: float
    lies: int = 0


class _Device:
    """A device of ours, and who claims to be it."""

    def __init__(self) -> None:
        self.claims: dict[str, _Claim] = {}
        self.task: asyncio.Task[None] | None = None

    def heard(self, address: str, now: float) -> None:
        claim = self.claims.pop(address, None) or _Claim(now)
        claim.at = now
        self.claims[address] = claim
        while len(self.claims) > MAX_ADDRESSES:
            # Who was believed least, and of those who was heard longest ago.
            del self.claims[max(self.claims, key=lambda each: (self.claims[each].lies, -self.claims[each].at))]

    def best(self, now: float) -> str | None:
        """Where to try next: of those that are there, who has lied least."""
        there = [address for address, claim in self.claims.items() if now - claim.at <= FRESH_S]
        return min(there, key=lambda address: self.claims[address].lies, default=None)


class BleLinks:
    """`start`, and `stop` at the end. `find` says whose hardware, to be reached so, has an id that begins like this."""

    def __init__(self, radio: Radio, link: LanLink, find: Callable[[str], str | None], *, kept: int = KEPT) -> None:
        self._radio = radio
        self._link = link
        self._find = find
        self._turns = Turns(kept)
        self._devices: dict[str, _Device] = {}
        self._unlisten: Callable[[], None] = lambda: None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._unlisten = self._radio.listen(self._heard)

    async def stop(self) -> None:
        """End every connection."""
        self._loop = None
        self._unlisten()
        tasks = [device.task for device in self._devices.values() if device.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def wanted(self, hardware_id: str) -> None:
        """Something waits for that device, if it is one that is linked so. To be called on any thread."""
        if (loop := self._loop) is not None:
            loop.call_soon_threadsafe(self._hurry, hardware_id)

    def _hurry(self, hardware_id: str) -> None:
        # Also of one that is not heard now, or has just had its turn: it is next once it is.
        if self._find(hardware_id) is not None:
            self._turns.hurry(hardware_id)

    def _heard(self, advertisement: Advertisement) -> None:
        announced = announced_by(advertisement)
        if announced is None or not announced.paired or (found := self._find(announced.mark)) is None:
            return
        device = self._devices.setdefault(found, _Device())
        device.heard(advertisement.address, _now())
        if device.task is None:
            device.task = asyncio.create_task(self._keep(found, device), name=f"bluetooth link {found}")

    async def _keep(self, hardware_id: str, device: _Device) -> None:
        """Connected again and again, as long as it is heard."""
        pause = PAUSE_S[0]
        try:
            while (address := device.best(_now())) is not None:
                async with self._turns.take(hardware_id) as turn:
                    linked = await self._connect(address, turn.over)
                if (claim := device.claims.get(address)) is not None:
                    claim.lies = 0 if linked else claim.lies + 1
                pause = PAUSE_S[0] if linked else min(2 * pause, PAUSE_S[1])
                await asyncio.sleep(pause)
        finally:
            device.task = None
            if device.best(_now()) is None:
                self._devices.pop(hardware_id, None)

    async def _connect(self, address: str, over: asyncio.Event) -> bool:
        """One connection to its end, or that of its turn; whether the device proved itself."""
        try:
            async with AsyncExitStack() as stack:
                connecting = self._radio.connect(address, services=(SERVICE,), timeout=CONNECT_WITHIN_S)
                connection = await stack.enter_async_context(connecting)
                reader, writer = await stack.enter_async_context(streams_over(connection, STREAM))
                return await self._serve(self._link.serve(reader, writer, address), over)
        except (BleError, PairingError) as error:
            _log.info("bluetooth device not reached", address=address, code=error.code)
            return False

    async def _serve(self, link: Coroutine[Any, Any, bool], over: asyncio.Event) -> bool:
        """The link until it ends, or another device shall have its turn."""
        serving, called = asyncio.create_task(link), asyncio.create_task(over.wait())
        try:
            while not serving.done() and not called.done():
                done, _ = await asyncio.wait((serving, called), timeout=TURN_S, return_when=asyncio.FIRST_COMPLETED)
                if not done and self._turns.wanted:
                    break
            return serving.result() if serving.done() else True
        finally:
            for task in (serving, called):
                task.cancel()
            await asyncio.gather(serving, called, return_exceptions=True)


def _now() -> float:
    return asyncio.get_running_loop().time()
