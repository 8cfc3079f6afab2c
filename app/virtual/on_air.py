"""A virtual device that is paired and linked over Bluetooth LE: our own GATT service on a virtual radio."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final

from msgspec.structs import replace

from ble.errors import Disconnected, RadioOff
from ble.virtual.peripheral import Characteristic, Peripheral, Service
from pairing.gatt import profile
from pairing.gatt.device import GattDevice, Inside

MAX_NAME: Final = 26
"""Octets that are left of a scan response."""


class OnAir:
    """On the air behind the port `air` while `open` lasts."""

    def __init__(self, air: int) -> None:
        self._air = air

    @asynccontextmanager
    async def open(self, inside: Inside, name: str) -> AsyncIterator["_OnAir"]:
        """Heard once it announces. Raises RadioOff where there is no such air."""
        there = _OnAir(inside, name)
        try:
            await there.peripheral.join(self._air)
            yield there
        finally:
            await there.close()


class _OnAir:
    """The device's service, for one hub at a time."""

    def __init__(self, inside: Inside, name: str) -> None:
        self._name = short(name)
        self._data = b""
        self._connected = self._closed = False
        self._announcing: set[asyncio.Task[None]] = set()
        self._link = inside.link
        inside = replace(inside, link=self._linked)
        self._device = GattDevice(inside, self._notify, lambda: self.peripheral.max_notify)
        self.peripheral = Peripheral(
            [Service(profile.SERVICE, self._characteristics())], connected=self._came, disconnected=self._went
        )

    @property
    def address(self) -> str:
        return self.peripheral.address

    @property
    def lost(self) -> asyncio.Future[None]:
        """Done once the air has gone."""
        return self.peripheral.lost

    async def announce(self, data: bytes) -> None:
        """Say this service data from now on; while a hub is connected nobody is told."""
        self._data = data
        if not self._connected:
            await self.peripheral.advertise(service_data={profile.SERVICE: data}, name=self._name)

    async def close(self) -> None:
        """Off the air."""
        self._closed = True
        for task in self._announcing:
            task.cancel()
        await asyncio.gather(*self._announcing, return_exceptions=True)
        await self._device.close()
        await self.peripheral.close()

    async def _linked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A link that is over leaves the hub nothing to wait for."""
        await self._link(reader, writer)
        await self.peripheral.hang_up()

    def _characteristics(self) -> list[Characteristic]:
        who = Characteristic(uuid=profile.WHO, read=partial(self._device.read, profile.WHO))
        made = [who]
        for stream in (profile.ACTIVATION, profile.LINK):
            made.append(Characteristic(uuid=stream.to_device, write=partial(self._device.write, stream.to_device)))
            told = partial(self._device.subscribed, stream.from_device)
            made.append(Characteristic(uuid=stream.from_device, notify=True, subscribed=told))
        return made

    async def _notify(self, characteristic: str, value: bytes) -> None:
        if not self._connected:
            raise Disconnected
        await self.peripheral.notify(characteristic, value)

    def _came(self) -> None:
        self._connected = True

    def _went(self) -> None:
        self._connected = False
        self._device.disconnected()
        if not self._closed:
            task = asyncio.ensure_future(self._announce_again())
            self._announcing.add(task)
            task.add_done_callback(self._announcing.discard)

    async def _announce_again(self) -> None:
        """What it says may have changed while nobody was told."""
        with suppress(RadioOff):
            await self.announce(self._data)


def short(name: str) -> str:
    """As much of a name as fits into an advertisement."""
    return name.encode()[:MAX_NAME].decode(errors="ignore")
