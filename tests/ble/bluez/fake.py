"""org.bluez itself: one adapter, the devices it hears, and their GATT objects."""

import asyncio
import re
from contextlib import suppress
from typing import Any

from bumble import core
from bumble.device import Peer
from dbus_fast import Message, Variant
from msgspec import Struct, field

from ble.radio import Advertisement
from ble.virtual.host import Host, join, random_address
from ble.virtual.payload import heard, uuid_text
from tests.ble.bluez.bus import Answer, DBusFailure, Objects

ADAPTER, DEVICE = "org.bluez.Adapter1", "org.bluez.Device1"
SERVICE, CHARACTERISTIC, DESCRIPTOR = (
    "org.bluez.GattService1",
    "org.bluez.GattCharacteristic1",
    "org.bluez.GattDescriptor1",
)
FAILED, IN_PROGRESS = "org.bluez.Error.Failed", "org.bluez.Error.InProgress"
HCI = "/org/bluez/hci0"

_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")
_FLAGS = {0x02: "read", 0x04: "write-without-response", 0x08: "write", 0x10: "notify", 0x20: "indicate"}


class Faults(Struct):
    """What goes wrong. `refuse`: per member, the errors that its next calls are answered with."""

    refuse: dict[str, list[DBusFailure]] = field(default_factory=dict)
    deaf: bool = False
    """Scans and reports nothing, as after a kernel's silent stop."""
    forget: bool = False
    """Forgets at once each device that is not connected when a scan ends."""
    stale: dict[str, set[str]] = field(default_factory=dict)
    """Services, by address, left out until the device is removed: an old cache."""
    drops: int = 0
    """So many connections end in the middle of the discovery."""
    doubled: bool = False
    """Each notification is signalled twice."""


class FakeBluez:
    """`abort_s`: after this a Connect to a device that has gone fails (41 s, recorded)."""

    def __init__(self, air_port: int, bus_address: str, *, abort_s: float = 41.0) -> None:
        self.faults = Faults()
        self.calls: list[str] = []
        self._port, self._bus_address, self._abort_s = air_port, bus_address, abort_s
        self.objects = Objects()
        self._host: Host | None = None
        self._targets: dict[str, Any] = {}
        self._links: dict[str, Any] = {}
        self._attributes: dict[str, Any] = {}
        self._sessions: dict[str, set[str]] = {}
        self._scanners: set[str] = set()
        self._connecting: set[str] = set()
        self._radio = asyncio.Lock()
        self._signals: asyncio.Queue[Any] = asyncio.Queue()
        self._signaller: asyncio.Task[None] | None = None
        for interface, members in {
            ADAPTER: ("SetDiscoveryFilter", "StartDiscovery", "StopDiscovery", "RemoveDevice"),
            DEVICE: ("Connect", "Disconnect", "Pair"),
            CHARACTERISTIC: ("ReadValue", "WriteValue", "StartNotify", "StopNotify"),
            DESCRIPTOR: ("ReadValue",),
        }.items():
            for member in members:
                self.objects.methods[interface, member] = self._called

    async def start(self) -> None:
        self._host = await join(self._port, "bluez", random_address())
        self._host.device.on("advertisement", lambda advert: self._signals.put_nowait(lambda: self._hear(advert)))
        await self._host.device.power_on()
        self._signaller = asyncio.ensure_future(self._signal())
        await self.objects.own("org.bluez", self._bus_address)
        await self.plug()

    async def stop(self) -> None:
        if self._signaller is not None:
            self._signaller.cancel()
            await asyncio.gather(self._signaller, return_exceptions=True)
        await self.objects.disown()
        if self._host is not None:
            await self._host.close()

    async def plug(self, *, powered: bool = True) -> None:
        adapter = {
            "Address": Variant("s", "00:00:00:00:00:01"),
            "Powered": Variant("b", powered),
            "Discovering": Variant("b", False),
            "Roles": Variant("as", ["central", "peripheral"]),
        }
        await self.objects.add(HCI, {ADAPTER: adapter})

    async def pull(self) -> None:
        for link in list(self._links.values()):
            await link.disconnect()
        await self._scan(False)
        self._scanners.clear()
        await self.objects.remove(HCI)

    async def _signal(self) -> None:
        """In the order that things happened."""
        while True:
            await (await self._signals.get())()

    async def _called(self, message: Message) -> Answer | None:
        member = message.member or ""
        self.calls.append(member)
        if errors := self.faults.refuse.get(member):
            raise errors.pop(0)
        answer: Answer | None = await getattr(self, "_" + _CAPITAL.sub("_", member).lower())(message)
        return answer

    # Adapter1

    async def _set_discovery_filter(self, _message: Message) -> None:
        return None

    async def _start_discovery(self, message: Message) -> None:
        assert message.sender is not None
        if not self.objects.objects[HCI][ADAPTER]["Powered"].value:
            raise DBusFailure("org.bluez.Error.NotReady", "Resource Not Ready")
        if message.sender in self._scanners:
            raise DBusFailure(IN_PROGRESS, "Operation already in progress")
        self._scanners.add(message.sender)
        await self._scan(True)

    async def _stop_discovery(self, message: Message) -> None:
        if message.sender not in self._scanners:
            raise DBusFailure(FAILED, "No discovery started")
        self._scanners.discard(message.sender or "")
        if not self._scanners:
            await self._scan(False)
            if self.faults.forget:
                for path in [p for p in self._targets if p not in self._links]:
                    await self._forget(path)

    async def _remove_device(self, message: Message) -> None:
        path = message.body[0]
        if path not in self.objects.objects:
            raise DBusFailure("org.bluez.Error.DoesNotExist", "Does Not Exist")
        self.faults.stale.pop(str(self.objects.objects[path][DEVICE]["Address"].value), None)
        if (link := self._links.get(path)) is not None:
            await link.disconnect()
        await self._forget(path)

    async def _scan(self, on: bool) -> None:
        assert self._host is not None
        if on != self._host.device.scanning:
            await (
                self._host.device.start_scanning(filter_duplicates=False) if on else self._host.device.stop_scanning()
            )

    async def _forget(self, path: str) -> None:
        self._targets.pop(path, None)
        await self.objects.remove(path)

    async def _hear(self, advert: Any) -> None:
        if self.faults.deaf or not self._scanners:
            return
        address = str(advert.address)
        path = f"{HCI}/dev_{address.replace(':', '_')}"
        said = heard(address, advert.rssi, [(int(kind), bytes(data)) for kind, data in advert.data.ad_structures])
        self._targets[path] = advert.address
        if path in self.objects.objects:
            await self.objects.change(path, DEVICE, _said(said))
        else:
            await self.objects.add(path, {DEVICE: _known(said) | _said(said)})

    # Device1

    async def _connect(self, message: Message) -> None:
        path = message.path or ""
        if path in self._links:
            return
        if path in self._connecting:
            raise DBusFailure(FAILED, "Operation already in progress")
        self._connecting.add(path)
        try:
            async with self._radio:  # others wait for their turn
                link = await self._reach(path)
            self._links[path] = link
            link.on("disconnection", lambda _: self._signals.put_nowait(lambda: self._ended(path)))
            await self.objects.change(path, DEVICE, {"Connected": Variant("b", True)})
            if self.faults.drops:
                self.faults.drops -= 1
                await link.disconnect()
                await self._settled()
                raise DBusFailure(FAILED, "le-connection-abort-by-local")
            await self._discover(path, link)
        finally:
            self._connecting.discard(path)

    async def _reach(self, path: str) -> Any:
        assert self._host is not None
        try:
            return await self._host.device.connect(self._targets[path], timeout=self._abort_s)
        except core.BaseBumbleError as error:
            raise DBusFailure(FAILED, "le-connection-abort-by-local") from error

    async def _settled(self) -> None:
        """All that was signalled so far is out."""
        out = asyncio.Event()

        async def done() -> None:
            out.set()

        self._signals.put_nowait(done)
        await out.wait()

    async def _disconnect(self, message: Message) -> None:
        link = self._links.get(message.path or "")
        if link is None:
            raise DBusFailure("org.bluez.Error.NotConnected", "Not Connected")
        await link.disconnect()
        await self._settled()

    async def _pair(self, _message: Message) -> None:
        raise DBusFailure("org.bluez.Error.AuthenticationFailed", "Authentication Failed")  # there is no agent

    async def _ended(self, path: str) -> None:
        self._links.pop(path, None)
        if path in self.objects.objects:
            off = Variant("b", False)
            await self.objects.change(path, DEVICE, {"ServicesResolved": off, "Connected": off})
            for each in [
                p for p in self.objects.objects if p.startswith(path + "/") and p.count("/") == path.count("/") + 1
            ]:
                await self.objects.remove(each)

    async def _discover(self, path: str, link: Any) -> None:
        peer = Peer(link)
        left_out = self.faults.stale.get(str(link.peer_address), set())
        with suppress(asyncio.CancelledError, core.BaseBumbleError):
            await peer.request_mtu(517)
            for service in await peer.discover_services():
                uuid = _uuid(service)
                if uuid not in left_out:
                    where = f"{path}/service{service.handle:04x}"
                    properties = {
                        "UUID": Variant("s", uuid),
                        "Primary": Variant("b", True),
                        "Device": Variant("o", path),
                    }
                    await self.objects.add(where, {SERVICE: properties})
                    for each in await service.discover_characteristics():
                        await self._add(where, each, link.att_mtu)
            await self.objects.change(path, DEVICE, {"ServicesResolved": Variant("b", True)})

    async def _add(self, service: str, found: Any, mtu: int) -> None:
        where = f"{service}/char{found.handle - 1:04x}"
        self._attributes[where] = found
        self._sessions[where] = set()
        properties = {
            "UUID": Variant("s", _uuid(found)),
            "Service": Variant("o", service),
            "Flags": Variant("as", [name for bit, name in _FLAGS.items() if int(found.properties) & bit]),
            "Notifying": Variant("b", False),
            "MTU": Variant("q", mtu),
        }
        await self.objects.add(where, {CHARACTERISTIC: properties})
        for each in await found.discover_descriptors():
            below = f"{where}/desc{each.handle:04x}"
            self._attributes[below] = each
            uuid = uuid_text(each.type.to_bytes())
            await self.objects.add(
                below, {DESCRIPTOR: {"UUID": Variant("s", uuid), "Characteristic": Variant("o", where)}}
            )

    # GattCharacteristic1 and GattDescriptor1

    async def _read_value(self, message: Message) -> Answer:
        try:
            value = bytes(await self._attributes[message.path or ""].read_value())
        except core.ProtocolError as error:
            raise _refused(error, "Read") from error
        return "ay", [value]

    async def _write_value(self, message: Message) -> None:
        value, options = message.body
        kind = options.get("type")
        try:
            command = kind is not None and kind.value == "command"
            await self._attributes[message.path or ""].write_value(bytes(value), with_response=not command)
        except core.ProtocolError as error:
            raise _refused(error, "Write") from error

    async def _start_notify(self, message: Message) -> None:
        path, first = message.path or "", not self._sessions[message.path or ""]
        self._sessions[path].add(message.sender or "")
        if first:
            await self._attributes[path].subscribe(
                lambda value: self._signals.put_nowait(lambda: self._notified(path, bytes(value)))
            )
            await self.objects.change(path, CHARACTERISTIC, {"Notifying": Variant("b", True)})

    async def _stop_notify(self, message: Message) -> None:
        path = message.path or ""
        if message.sender not in self._sessions[path]:
            raise DBusFailure(FAILED, "No notify session started")
        self._sessions[path].discard(message.sender or "")

    async def _notified(self, path: str, value: bytes) -> None:
        for _ in range(2 if self.faults.doubled else 1):
            await self.objects.change(path, CHARACTERISTIC, {"Value": Variant("ay", value)})


def _refused(error: core.ProtocolError, what: str) -> DBusFailure:
    if error.error_code in (0x02, 0x03):
        return DBusFailure("org.bluez.Error.NotPermitted", f"{what} not permitted")
    if error.error_code == 0x0D:
        return DBusFailure("org.bluez.Error.InvalidValueLength", "Invalid Length")
    return DBusFailure(FAILED, f"Operation failed with ATT error: 0x{error.error_code:02x}")


def _known(said: Advertisement) -> dict[str, Variant]:
    return {
        "Address": Variant("s", said.address),
        "AddressType": Variant("s", "random"),
        "Adapter": Variant("o", HCI),
        "Alias": Variant("s", said.name or said.address.replace(":", "-")),
        "Paired": Variant("b", False),
        "Bonded": Variant("b", False),
        "Trusted": Variant("b", False),
        "Blocked": Variant("b", False),
        "Connected": Variant("b", False),
        "ServicesResolved": Variant("b", False),
        "AdvertisingFlags": Variant("ay", b"\x06"),
        "UUIDs": Variant("as", []),
    }


def _said(said: Advertisement) -> dict[str, Variant]:
    properties = {"RSSI": Variant("n", said.rssi), "UUIDs": Variant("as", list(said.services))}
    if said.name:
        properties["Name"] = Variant("s", said.name)
    if said.service_data:
        properties["ServiceData"] = Variant("a{sv}", {k: Variant("ay", v) for k, v in said.service_data.items()})
    if said.manufacturer_data:
        data = {k: Variant("ay", v) for k, v in said.manufacturer_data.items()}
        properties["ManufacturerData"] = Variant("a{qv}", data)
    return properties


def _uuid(found: Any) -> str:
    return uuid_text(found.uuid.to_bytes())
