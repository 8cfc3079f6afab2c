"""A device on the virtual air: a GATT table given as data and handlers, served over HCI on the loopback.

table = (Service(uuid16(0x180F), (Characteristic(uuid16(0x2A19), ("read", "notify"), read=lambda: b"\\x64"),)),)
async with serve(air.hci, "F0:00:00:00:00:01", table, Advert(name="lamp")) as device:
    await device.notify(uuid16(0x2A19), b"\\x63")
    await asyncio.Event().wait()
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from bumble import att, gatt
from bumble.core import UUID
from bumble.device import AdvertisingType, Device
from bumble.device import Connection as BumbleConnection
from bumble.gatt import CharacteristicValue
from bumble.hci import Address
from bumble.transport import open_transport
from msgspec import Struct

from ble.virtual.advertised import Advert, encoded

_ADVERTISING_MS = 20


class Characteristic(Struct, frozen=True, kw_only=True):
    """`properties`: of read, write, write-without-response, notify, indicate. Handlers run on the loop.

    `descriptors` are values by UUID. Either handler may raise `refusal(code)`, which the peer sees as an ATT error.
    """

    uuid: str
    properties: tuple[str, ...]
    read: Callable[[], bytes] | None = None
    write: Callable[[bytes], None] | None = None
    descriptors: dict[str, bytes] = {}


class Service(Struct, frozen=True):
    """One primary service."""

    uuid: str
    characteristics: tuple[Characteristic, ...]


def refusal(code: int) -> Exception:
    """What a handler raises to answer with an ATT error (Bluetooth Core, Vol 3, Part F, 3.4.1.1)."""
    return att.ATT_Error(att.ErrorCode(code))


class VirtualDevice:
    """A device that is powered on and advertises. Made by `serve`."""

    def __init__(self, device: Device, made: dict[str, gatt.Characteristic[bytes]]) -> None:
        self._device = device
        self._made = made

    async def notify(self, characteristic: str, value: bytes) -> None:
        """To every peer that subscribed; an indication where that is what the peer asked for."""
        await self._device.notify_subscribers(self._made[characteristic], value)
        await self._device.indicate_subscribers(self._made[characteristic], value)

    async def advertise(self, advert: Advert) -> None:
        """From now on this, in place of what it advertised so far."""
        await self._device.stop_advertising()  # fault: what is advertised keeps its old data until it starts anew
        data, response = encoded(advert)
        kind = AdvertisingType.UNDIRECTED_CONNECTABLE_SCANNABLE if advert.connectable else AdvertisingType.UNDIRECTED
        await self._device.start_advertising(
            kind,
            auto_restart=True,
            advertising_data=data,
            scan_response_data=response,
            advertising_interval_min=_ADVERTISING_MS,
            advertising_interval_max=_ADVERTISING_MS,
        )

    async def disconnect(self) -> None:
        """End every connection from this side."""
        for connection in list(self._device.connections.values()):
            await connection.disconnect()


@asynccontextmanager
async def serve(hci: str, address: str, services: Sequence[Service], advert: Advert) -> AsyncIterator[VirtualDevice]:
    """A device at `address` (random static) with these services, on the air that `hci` names, until the block ends."""
    async with await open_transport(hci) as (source, sink):
        device = Device.with_hci(advert.name, Address(address), source, sink)
        made: dict[str, gatt.Characteristic[bytes]] = {}
        for service in services:
            device.add_service(_service(service, made))
        await device.power_on()
        served = VirtualDevice(device, made)
        await served.advertise(advert)
        yield served
        await device.power_off()


def _service(service: Service, made: dict[str, gatt.Characteristic[bytes]]) -> gatt.Service:
    characteristics = [_characteristic(one) for one in service.characteristics]
    made.update(zip((one.uuid for one in service.characteristics), characteristics, strict=True))
    return gatt.Service(UUID(service.uuid), characteristics)


def _characteristic(one: Characteristic) -> gatt.Characteristic[bytes]:
    properties = gatt.Characteristic.Properties(0)
    for name in one.properties:
        properties |= gatt.Characteristic.Properties[name.upper().replace("-", "_")]
    permissions = gatt.Characteristic.Permissions.READABLE | gatt.Characteristic.Permissions.WRITEABLE
    descriptors = [
        gatt.Descriptor(UUID(uuid), gatt.Descriptor.Permissions.READABLE, value)
        for uuid, value in one.descriptors.items()
    ]
    return gatt.Characteristic(UUID(one.uuid), properties, permissions, _value(one), descriptors)


def _value(one: Characteristic) -> CharacteristicValue[bytes]:
    """Fault: without a read or write function the peer is never answered; it gets the ATT error here."""

    def read(_connection: BumbleConnection) -> bytes:
        if one.read is None:
            raise refusal(att.ErrorCode.READ_NOT_PERMITTED)
        return one.read()

    def write(_connection: BumbleConnection, value: bytes) -> None:
        if one.write is None:
            raise refusal(att.ErrorCode.WRITE_NOT_PERMITTED)
        one.write(value)

    return CharacteristicValue(read=read, write=write)
