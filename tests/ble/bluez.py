"""A fake org.bluez on a private bus, backed by a bumble central: bleak's own BlueZ code runs on it unmodified.

It answers as bluetoothd 5.66 was recorded to, so a test that passes here speaks of that, not of a guess.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from bumble.gatt import Characteristic
from dbus_fast import Message, MessageFlag, MessageType, Variant
from dbus_fast.aio import MessageBus

from ble.errors import BleError, NotOffered
from ble.radio import Advertisement
from ble.virtual.connection import VirtualConnection
from ble.virtual.radio import VirtualRadio

ADAPTER, HCI0 = "org.bluez.Adapter1", "/org/bluez/hci0"
DEVICE = "org.bluez.Device1"
SERVICE, CHARACTERISTIC, DESCRIPTOR = (f"org.bluez.Gatt{one}1" for one in ("Service", "Characteristic", "Descriptor"))
OBJECTS, PROPERTIES = "org.freedesktop.DBus.ObjectManager", "org.freedesktop.DBus.Properties"
Props = dict[str, Variant]


class Refused(Exception):
    """An error reply: a name under org.bluez.Error, and its text."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name, self.text = name, text


class FakeBluez:
    """bluetoothd with one adapter. What the tests break: `refuse`, `silent`, `stale`, `doubled`, `drop_discovery`."""

    def __init__(self, hci: str, bus_address: str) -> None:
        self._central = VirtualRadio(hci, slots=20)
        self._bus = MessageBus(bus_address=bus_address)
        self.objects: dict[str, dict[str, Props]] = {}
        self.calls: list[str] = []
        self.refuse: defaultdict[str, list[Refused]] = defaultdict(list)
        self.silent = self.doubled = False
        self.stale = self.drop_discovery = 0
        self._scanning: set[str] = set()
        self._held: dict[str, tuple[AsyncExitStack, VirtualConnection]] = {}
        self._notifying: defaultdict[str, set[str]] = defaultdict(set)
        self._busy: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, *, adapter: bool = True) -> None:
        await self._central.open()
        self._central.listen(self._hear)
        await self._bus.connect()
        self._bus.add_message_handler(self._message)
        if adapter:
            self.plug()
        await self._bus.request_name("org.bluez")

    async def stop(self) -> None:
        for path in list(self._held):
            await self._let_go(path)
        self._bus.disconnect()
        await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
        await self._central.close()
        for task in list(self._tasks):
            task.cancel()

    def plug(self, *, powered: bool = True) -> None:
        roles = Variant("as", ["central", "peripheral"])
        address = Variant("s", "00:00:00:00:00:01")
        self._add(HCI0, ADAPTER, {"Address": address, "Powered": Variant("b", powered), "Roles": roles})

    def pull(self) -> None:
        self._scanning.clear()
        for path in sorted(self.objects, reverse=True):
            self._remove(path)

    def forget_devices(self) -> None:
        for path in [one for one in self.objects if one.startswith(HCI0 + "/")]:
            self._remove(path)

    def _add(self, path: str, interface: str, props: Props) -> None:
        self.objects.setdefault(path, {})[interface] = props
        self._signal("/", OBJECTS, "InterfacesAdded", "oa{sa{sv}}", [path, {interface: props}])

    def _remove(self, path: str) -> None:
        self._signal("/", OBJECTS, "InterfacesRemoved", "oas", [path, list(self.objects.pop(path, {}))])

    def _change(self, path: str, interface: str, changed: Props) -> None:
        if path in self.objects:
            self.objects[path][interface].update(changed)
            self._signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", [interface, changed, []])

    def _signal(self, path: str, interface: str, member: str, signature: str, body: list[Any]) -> None:
        if self._bus.connected:
            self._bus.send(Message.new_signal(path, interface, member, signature, body))

    def _hear(self, heard: Advertisement) -> None:
        if self.silent or not self._scanning or HCI0 not in self.objects:
            return
        path = f"{HCI0}/dev_{heard.address.replace(':', '_')}"
        props = _advertised(heard)
        if path in self.objects:
            self._change(path, DEVICE, props)
        else:
            rest = {
                "Adapter": Variant("o", HCI0),
                "Address": Variant("s", heard.address),
                "Paired": Variant("b", False),
            }
            off = dict.fromkeys(("Connected", "Paired", "ServicesResolved"), Variant("b", False))
            self._add(path, DEVICE, {**props, **rest, **off})

    def _message(self, message: Message) -> Message | bool | None:
        if message.message_type != MessageType.METHOD_CALL or message.interface == "org.freedesktop.DBus.Peer":
            return None
        task = asyncio.ensure_future(self._answer(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _answer(self, message: Message) -> None:
        try:
            reply = await self._reply(message)
        except Refused as refused:
            reply = Message.new_error(message, refused.name, refused.text)
        if self._bus.connected and not message.flags & MessageFlag.NO_REPLY_EXPECTED:
            self._bus.send(reply)

    async def _reply(self, message: Message) -> Message:
        member, path = str(message.member), str(message.path)
        self.calls.append(member)
        if self.refuse[member]:
            raise self.refuse[member].pop(0)
        if member == "GetManagedObjects":
            return Message.new_method_return(message, "a{oa{sa{sv}}}", [self.objects])
        if path not in self.objects:
            raise Refused("org.freedesktop.DBus.Error.UnknownObject", "no such object")
        value = await self._METHODS[member](self, path, str(message.sender), message.body)
        return Message.new_method_return(message, *(("ay", [value]) if value is not None else ()))

    async def _nothing(self, _path: str, _sender: str, _body: list[Any]) -> None:
        return None

    async def _start_discovery(self, _path: str, sender: str, _body: list[Any]) -> None:
        if sender in self._scanning:
            raise Refused("org.bluez.Error.InProgress", "Operation already in progress")
        self._scanning.add(sender)

    async def _stop_discovery(self, _path: str, sender: str, _body: list[Any]) -> None:
        if sender not in self._scanning:
            raise Refused("org.bluez.Error.Failed", "No discovery started")
        self._scanning.discard(sender)

    async def _remove_device(self, _path: str, _sender: str, body: list[Any]) -> None:
        if body[0] not in self.objects:
            raise Refused("org.bluez.Error.DoesNotExist", "Does Not Exist")
        self.stale = 0
        await self._let_go(body[0])
        for path in [one for one in self.objects if one.startswith(body[0])]:
            self._remove(path)

    async def _connect(self, path: str, _sender: str, _body: list[Any]) -> None:
        if path in self._held:
            return
        if path in self._busy:
            raise Refused("org.bluez.Error.Failed", "Operation already in progress")
        self._busy.add(path)
        stack = AsyncExitStack()
        address = self.objects[path][DEVICE]["Address"].value
        try:
            connection = await stack.enter_async_context(self._central.connect(address, timeout=5))
        except BleError as error:
            raise Refused("org.bluez.Error.Failed", "le-connection-abort-by-local") from error
        finally:
            self._busy.discard(path)
        self._held[path] = (stack, connection)
        connection.on_disconnect(lambda: self._lost(path))
        self._change(path, DEVICE, {"Connected": Variant("b", True)})
        if self.drop_discovery:
            self.drop_discovery -= 1
            asyncio.get_running_loop().call_soon(self._lost, path)
            return
        self._resolve(path, connection)

    def _resolve(self, path: str, connection: VirtualConnection) -> None:
        for service in [] if self.stale else connection._peer.services:
            at = f"{path}/service{service.handle:04x}"
            of_device = {"Device": Variant("o", path), "Primary": Variant("b", True)}
            self._add(at, SERVICE, {"UUID": _uuid(service), **of_device})
            for one in service.characteristics:
                char = f"{at}/char{one.handle:04x}"
                flags = [n for n in _FLAGS if one.properties & _FLAGS[n]]
                of_service = {"Service": Variant("o", at), "Flags": Variant("as", flags), "MTU": Variant("q", 517)}
                self._add(char, CHARACTERISTIC, {"UUID": _uuid(one), **of_service})
                for each in one.descriptors:
                    of_char = {"UUID": _uuid(each), "Characteristic": Variant("o", char)}
                    self._add(f"{char}/desc{each.handle:04x}", DESCRIPTOR, of_char)
        self._change(path, DEVICE, {"ServicesResolved": Variant("b", True)})

    def _lost(self, path: str) -> None:
        held = self._held.pop(path, None)
        if held is not None:
            asyncio.ensure_future(held[0].aclose()).add_done_callback(self._tasks.discard)
        self._change(path, DEVICE, {"Connected": Variant("b", False), "ServicesResolved": Variant("b", False)})
        for one in [one for one in self.objects if one.startswith(path + "/")]:
            self._notifying.pop(one, None)
            self._remove(one)

    async def _let_go(self, path: str) -> None:
        if path in self._held:
            await self._held[path][0].aclose()

    async def _disconnect(self, path: str, _sender: str, _body: list[Any]) -> None:
        await self._let_go(path)

    def _at(self, path: str) -> tuple[VirtualConnection, Any]:
        held = next((one for at, one in self._held.items() if path.startswith(at)), None)
        if held is None:
            raise Refused("org.bluez.Error.Failed", "Not connected")
        handle = int(path[-4:], 16)
        all_ = [c for s in held[1]._peer.services for c in s.characteristics]
        return held[1], next(one for one in [*all_, *(d for c in all_ for d in c.descriptors)] if one.handle == handle)

    async def _asked(self, connection: VirtualConnection, asking: Awaitable[Any]) -> Any:
        try:
            return await connection._answered(asking)
        except NotOffered as error:
            raise Refused("org.bluez.Error.NotPermitted", "Read not permitted") from error
        except BleError as error:
            raise Refused("org.bluez.Error.Failed", "Not connected") from error

    async def _read(self, path: str, _sender: str, _body: list[Any]) -> bytes:
        connection, one = self._at(path)
        return bytes(await self._asked(connection, one.read_value()))

    async def _write(self, path: str, _sender: str, body: list[Any]) -> None:
        connection, one = self._at(path)
        response = body[1]["type"].value == "request"
        await self._asked(connection, one.write_value(bytes(body[0]), with_response=response))

    async def _start_notify(self, path: str, sender: str, _body: list[Any]) -> None:
        connection, one = self._at(path)
        if not self._notifying[path]:
            await self._asked(connection, one.subscribe(lambda value: self._notified(path, value)))
        self._notifying[path].add(sender)

    def _notified(self, path: str, value: bytes) -> None:
        for _ in range(2 if self.doubled else 1):
            self._change(path, CHARACTERISTIC, {"Value": Variant("ay", bytes(value))})

    async def _stop_notify(self, path: str, sender: str, _body: list[Any]) -> None:
        if sender not in self._notifying[path]:
            raise Refused("org.bluez.Error.Failed", "No notify session started")
        self._notifying[path].discard(sender)

    async def _pair(self, _path: str, _sender: str, _body: list[Any]) -> None:
        raise Refused("org.bluez.Error.AuthenticationFailed", "Authentication Failed")

    _METHODS: dict[str, Callable[..., Awaitable[bytes | None]]] = {  # noqa: RUF012 (the table of methods)
        "SetDiscoveryFilter": _nothing,
        "StartDiscovery": _start_discovery,
        "StopDiscovery": _stop_discovery,
        "RemoveDevice": _remove_device,
        "Connect": _connect,
        "Disconnect": _disconnect,
        "Pair": _pair,
        "ReadValue": _read,
        "WriteValue": _write,
        "StartNotify": _start_notify,
        "StopNotify": _stop_notify,
    }


_Properties = Characteristic.Properties
_FLAGS = {
    "read": _Properties.READ,
    "write": _Properties.WRITE,
    "write-without-response": _Properties.WRITE_WITHOUT_RESPONSE,
    "notify": _Properties.NOTIFY,
    "indicate": _Properties.INDICATE,
}


def _uuid(one: Any) -> Variant:
    uuid = one.uuid if hasattr(one, "uuid") else one.type
    return Variant("s", uuid.to_hex_str("-").lower() if len(uuid.uuid_bytes) == 16 else _long(uuid.uuid_bytes))


def _long(short: bytes) -> str:
    return f"0000{short[::-1].hex()}-0000-1000-8000-00805f9b34fb"


def _advertised(heard: Advertisement) -> Props:
    props = {
        "Alias": Variant("s", heard.name or heard.address.replace(":", "-")),
        "RSSI": Variant("n", heard.rssi),
        "UUIDs": Variant("as", list(heard.services)),
        "ServiceData": Variant("a{sv}", {u: Variant("ay", d) for u, d in heard.service_data.items()}),
        "ManufacturerData": Variant("a{qv}", {k: Variant("ay", d) for k, d in heard.manufacturer_data.items()}),
        "AdvertisingFlags": Variant("ay", b"\x06"),
    }
    return {**props, "Name": Variant("s", heard.name)} if heard.name else props
