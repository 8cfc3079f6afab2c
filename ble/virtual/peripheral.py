"""A virtual device's side of Bluetooth: services given as data and handlers, and what it advertises.

    lamp = Peripheral([Service(LAMP, [Characteristic(SWITCH, write=switch, read=is_on, notify=True)])])
    await lamp.join(air_port)
    await lamp.advertise(services=[LAMP], name="lamp")
    ...
    await lamp.notify(SWITCH, b"\\x01")

Handlers are called on the loop. One that raises NotOffered refuses; any other error is logged, and answered too.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from bumble import att, core, gatt
from bumble.core import UUID
from bumble.device import AdvertisingType
from bumble.transport.common import TransportLostError
from msgspec import Struct

from ble.errors import NotOffered, RadioOff
from ble.virtual.host import Host, heeding, join, random_address
from ble.virtual.payload import adverts_of

_log = logging.getLogger(__name__)
_INTERVAL_MS = 30.0

T = TypeVar("T")

Read = Callable[[], bytes | Awaitable[bytes]]
Write = Callable[[bytes], Awaitable[None] | None]


class Characteristic(Struct, kw_only=True):
    """What may be done is what there is a handler for. `write` serves writes with and without response.

    `notify` lets peers subscribe (`indicate`: with acknowledgement); `subscribed` is then told of each that does.
    """

    uuid: str
    read: Read | None = None
    write: Write | None = None
    notify: bool = False
    indicate: bool = False
    subscribed: Callable[[], None] | None = None
    descriptors: Mapping[str, bytes] = {}


class Service(Struct):
    """Its characteristics in the order that they shall have."""

    uuid: str
    characteristics: Sequence[Characteristic]


class Peripheral:
    """One device. `connected` and `disconnected` are told, on the loop, of peers that come and go."""

    def __init__(
        self,
        services: Sequence[Service],
        *,
        address: str = "",
        connected: Callable[[], None] = lambda: None,
        disconnected: Callable[[], None] = lambda: None,
    ) -> None:
        self.address = address or random_address()
        self._services = services
        self._told = (connected, disconnected)
        self._host: Host | None = None
        self._attributes: dict[str, Any] = {}
        self._peers: list[Any] = []

    async def join(self, port: int) -> None:
        """Onto the air at this port, silent at first. Raises RadioOff."""
        self._host = await join(port, "device", self.address)
        device = self._host.device
        device.on("connection", self._connected)
        for service in self._services:
            characteristics = [self._made(each) for each in service.characteristics]
            device.add_service(gatt.Service(UUID(service.uuid), characteristics))
        await heeding(device.power_on())

    async def close(self) -> None:
        """As when its power goes."""
        if self._host is not None:
            await self._host.close()
            self._host = None

    @property
    def lost(self) -> asyncio.Future[None]:
        """Done once the air has gone."""
        assert self._host is not None
        return self._host.lost

    @property
    def max_notify(self) -> int:
        """The octets that one notification holds (ATT_MTU - 3) for the peer with the smallest."""
        return min((peer.att_mtu for peer in self._peers), default=23) - 3

    async def advertise(
        self,
        *,
        services: Sequence[str] = (),
        service_data: Mapping[str, bytes] | None = None,
        manufacturer_data: Mapping[int, bytes] | None = None,
        name: str = "",
        connectable: bool = True,
    ) -> None:
        """Say this from now on, until a peer is connected and again after it. The name goes into the scan response.

        Raises ValueError for what does not fit into 31 octets, RadioOff where the air has gone.
        """
        if self._host is None:
            raise RadioOff("it is off the air")
        said, answered = adverts_of(services, service_data or {}, manufacturer_data or {}, name)
        # Fault 9, a set advertised again with its old data: start_advertising stops what was before.
        try:
            await heeding(
                self._host.device.start_advertising(
                    advertising_type=AdvertisingType.UNDIRECTED_CONNECTABLE_SCANNABLE
                    if connectable
                    else AdvertisingType.UNDIRECTED,
                    advertising_data=said,
                    scan_response_data=answered,
                    auto_restart=connectable,
                    advertising_interval_min=_INTERVAL_MS,
                    advertising_interval_max=_INTERVAL_MS,
                )
            )
        except TransportLostError as error:
            raise RadioOff("the virtual air has gone") from error

    async def silence(self) -> None:
        assert self._host is not None
        await heeding(self._host.device.stop_advertising())

    async def notify(self, uuid: str, value: bytes) -> None:
        """To all that have subscribed; an indication where the characteristic has those."""
        assert self._host is not None
        attribute = self._attributes[uuid]
        if attribute.properties & gatt.Characteristic.Properties.INDICATE:
            await heeding(self._host.device.indicate_subscribers(attribute, value))
        else:
            # Nothing is waited for; in a task of its own it would come after what is said next.
            await self._host.device.notify_subscribers(attribute, value)

    async def hang_up(self) -> None:
        """End the connections to all peers."""
        for peer in list(self._peers):
            with suppress(core.BaseBumbleError, TransportLostError):  # it has gone already
                await heeding(peer.disconnect())

    def _connected(self, peer: Any) -> None:
        self._peers.append(peer)

        def gone(_reason: int) -> None:
            self._peers.remove(peer)
            self._told[1]()

        peer.on("disconnection", gone)
        peer.on("error", lambda error: _log.debug("what bumble does by itself failed: %r", error))
        self._told[0]()

    def _made(self, wanted: Characteristic) -> Any:
        properties = gatt.Characteristic.Properties(0)
        permissions = gatt.Characteristic.Permissions.READABLE  # to refuse it ourselves: fault 8
        if wanted.read is not None:
            properties |= gatt.Characteristic.Properties.READ
        if wanted.write is not None:
            properties |= gatt.Characteristic.Properties.WRITE | gatt.Characteristic.Properties.WRITE_WITHOUT_RESPONSE
            permissions |= gatt.Characteristic.Permissions.WRITEABLE
        if wanted.notify:
            properties |= gatt.Characteristic.Properties.NOTIFY
        if wanted.indicate:
            properties |= gatt.Characteristic.Properties.INDICATE
        value = gatt.CharacteristicValue(read=_reader(wanted.read), write=_writer(wanted.write))
        descriptors = [
            gatt.Descriptor(UUID(uuid), att.Attribute.Permissions.READABLE, text)
            for uuid, text in wanted.descriptors.items()
        ]
        made: Any = gatt.Characteristic(UUID(wanted.uuid), properties, permissions, value, descriptors)
        if (told := wanted.subscribed) is not None:
            made.on("subscription", lambda _peer, notifies, indicates: told() if notifies or indicates else None)
        self._attributes[wanted.uuid] = made
        return made


def _reader(handler: Read | None) -> Callable[[Any], Awaitable[bytes]]:
    """Fault 8, no answer at all where there is no reader: answer that reading is not permitted."""

    async def read(_peer: Any) -> bytes:
        if handler is None:
            raise att.ATT_Error(att.ErrorCode.READ_NOT_PERMITTED)
        return await _answer(handler, att.ErrorCode.READ_NOT_PERMITTED)

    return read


def _writer(handler: Write | None) -> Callable[[Any, bytes], Awaitable[None]] | None:
    if handler is None:
        return None

    async def write(_peer: Any, value: bytes) -> None:
        await _answer(lambda: handler(value), att.ErrorCode.WRITE_NOT_PERMITTED)

    return write


async def _answer(handler: Callable[[], T | Awaitable[T]], refused: att.ErrorCode) -> T:
    """What it gives. An error of any kind is answered: a peer without an answer waits for 30 s."""
    try:
        given = handler()
        return await given if inspect.isawaitable(given) else given
    except NotOffered as error:
        raise att.ATT_Error(refused) from error
    except Exception as error:
        _log.exception("a device's handler failed")
        raise att.ATT_Error(att.ErrorCode.UNLIKELY_ERROR) from error
