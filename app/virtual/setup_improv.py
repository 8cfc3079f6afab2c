"""A virtual device that is told its network by Improv, over a virtual Bluetooth radio (`app.virtual.setup`)."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from app.virtual.on_air import short
from ble.adverts import IMPROV
from ble.errors import Disconnected
from ble.virtual.peripheral import Characteristic, Peripheral, Service
from pairing.ap.setup import SeenNetwork
from pairing.gatt import profile
from pairing.improv import messages
from pairing.improv.device import ImprovDevice, Inside, Notified
from pairing.improv.messages import Info
from pairing.wifi import Provisioned

LINGER_S = 5.0
_STATED = (messages.STATE, messages.ERROR, messages.CAPABILITIES, messages.RESULT)


class ImprovMode:
    """In setup mode it is on the air behind the port `air`. `networks`: what it sees.

    `authorized` False: it takes a network only after `press`. `identified` is set when it has shown itself.
    """

    def __init__(self, air: int, info: Info, *, networks: Sequence[SeenNetwork] = (), authorized: bool = True) -> None:
        self._air = air
        self._info = info
        self._networks = tuple(networks)
        self._authorized = authorized
        self._mode: _Told | None = None
        self.identified = asyncio.Event()

    @asynccontextmanager
    async def open(self) -> AsyncIterator["_Told"]:
        """Raises RadioOff where there is no such air."""
        told = _Told(self._info, self._networks, self.identified.set, authorized=self._authorized)
        self._mode = told
        try:
            await told.peripheral.join(self._air)
            await told.advertise()
            yield told
        finally:
            self._mode = None
            await told.peripheral.close()

    async def press(self) -> None:
        """Somebody presses its button."""
        if self._mode is not None:
            await self._mode.authorize()


class _Told:
    """Setup mode while it lasts: Improv's device half on a peripheral."""

    def __init__(
        self, info: Info, networks: Sequence[SeenNetwork], identify: Callable[[], None], *, authorized: bool
    ) -> None:
        self._letter: asyncio.Queue[Provisioned] = asyncio.Queue()
        self._name = short(info.name)
        inside = Inside(lambda: networks, self._letter.put_nowait, identify)
        self._device = ImprovDevice(info, inside, authorized=authorized)
        stated = [self._stated(uuid) for uuid in _STATED]
        command = Characteristic(uuid=messages.COMMAND, write=self._written)
        token = Characteristic(uuid=profile.TOKEN, write=self._device.take_token)
        services = [Service(messages.SERVICE, [*stated, command]), Service(profile.SERVICE, [token])]
        self._alone = asyncio.Event()
        self._alone.set()
        self.peripheral = Peripheral(services, connected=self._alone.clear, disconnected=self._left)

    async def advertise(self) -> None:
        """What it is, and whether it takes a network."""
        data = {IMPROV: self._device.service_data}
        await self.peripheral.advertise(services=[messages.SERVICE], service_data=data, name=self._name)

    async def next(self) -> Provisioned:
        return await self._letter.get()

    async def outcome(self, refused: str | None) -> None:
        if refused is not None:
            await self._notify(self._device.not_joined())
            return
        await self._notify(self._device.joined())
        with suppress(TimeoutError):  # whoever told it hears of it before it goes off the air
            async with asyncio.timeout(LINGER_S):
                await self._alone.wait()

    async def authorize(self) -> None:
        await self._notify(self._device.authorize())
        await self.advertise()

    def _left(self) -> None:
        self._device.forget_client()
        self._alone.set()

    def _stated(self, uuid: str) -> Characteristic:
        return Characteristic(uuid=uuid, read=lambda: self._device.read(uuid), notify=uuid != messages.CAPABILITIES)

    async def _written(self, part: bytes) -> None:
        await self._notify(self._device.write(part))

    async def _notify(self, values: list[Notified]) -> None:
        for characteristic, value in values:
            for part in messages.parts(value, self.peripheral.max_notify):
                try:
                    await self.peripheral.notify(characteristic, part)
                except Disconnected:
                    return  # nobody is there to be told; the state can be read
