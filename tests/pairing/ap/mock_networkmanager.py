"""NetworkManager's D-Bus API as far as we use it, on a bus of its own: real messages through a real daemon."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

NM = "org.freedesktop.NetworkManager"
ROOT = "/org/freedesktop/NetworkManager"
PROPERTIES = "org.freedesktop.DBus.Properties"
UNKNOWN_OBJECT = "org.freedesktop.DBus.Error.UnknownMethod"

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={path}</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
  </policy>
</busconfig>
"""


@asynccontextmanager
async def private_bus(folder: Path) -> AsyncIterator[str]:
    """A bus of its own; its address."""
    config = folder / "bus.conf"
    await asyncio.to_thread(config.write_text, CONFIG.format(path=folder / "bus"))
    daemon = await asyncio.create_subprocess_exec(
        "dbus-daemon",
        f"--config-file={config}",
        "--nofork",
        "--print-address",
        stdout=asyncio.subprocess.PIPE,
    )
    assert daemon.stdout is not None
    try:
        async with asyncio.timeout(10):
            address = (await daemon.stdout.readline()).decode().strip()
        yield address
    finally:
        daemon.terminate()
        await daemon.communicate()


@dataclass
class Activation:
    """A connection somebody had made: what was asked for, and by whom."""

    settings: dict[str, Any]
    options: dict[str, Any]
    owner: str
    device: str
    active: str


@dataclass
class MockNetworkManager:
    """`becomes`: the state an activation comes to (2 activated, 4 deactivated, 1 stays on its way), for `reason`.

    `refuses`: methods that are refused, with the error's name. `holds`: methods not answered until `answer_held`.
    """

    becomes: int = 2
    reason: int = 0
    refuses: dict[str, str] = field(default_factory=dict)
    holds: set[str] = field(default_factory=set)
    objects: dict[str, dict[str, dict[str, Variant]]] = field(default_factory=dict)
    points: dict[str, list[str]] = field(default_factory=dict)
    profiles: dict[str, Activation] = field(default_factory=dict)
    made: list[Activation] = field(default_factory=list)
    called: list[str] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    _held: list[Message] = field(default_factory=list)

    def add_device(
        self, interface: str, *, kind: int = 2, state: int = 30, caps: int = 0x300, busy: bool = False
    ) -> str:
        path = f"{ROOT}/Devices/{len(self.points) + 1}"
        self.objects[path] = {
            f"{NM}.Device": {
                "DeviceType": Variant("u", kind),
                "Interface": Variant("s", interface),
                "Managed": Variant("b", True),
                "State": Variant("u", state),
                "ActiveConnection": Variant("o", f"{ROOT}/ActiveConnection/9" if busy else "/"),
            },
            f"{NM}.Device.Wireless": {"WirelessCapabilities": Variant("u", caps), "LastScan": Variant("x", 1000)},
        }
        self.points[path] = []
        return path

    def add_point(self, device: str, ssid: bytes, strength: int = 70, *, wpa: int = 0) -> str:
        path = f"{ROOT}/AccessPoint/{sum(map(len, self.points.values())) + 1}"
        self.objects[path] = {
            f"{NM}.AccessPoint": {
                "Ssid": Variant("ay", ssid),
                "Strength": Variant("y", strength),
                "Flags": Variant("u", 0),
                "WpaFlags": Variant("u", 0),
                "RsnFlags": Variant("u", wpa),
            }
        }
        self.points[device].append(path)
        return path

    @asynccontextmanager
    async def on(self, address: str) -> AsyncIterator["MockNetworkManager"]:
        self._bus = await MessageBus(bus_address=address, bus_type=BusType.SYSTEM).connect()
        self._bus.add_message_handler(self._handle)
        await self._bus.request_name(NM)
        rule = "type='signal',member='NameOwnerChanged'"
        dbus = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch")
        await self._bus.call(Message(*dbus, signature="s", body=[rule]))
        try:
            yield self
        finally:
            await self.vanish()

    async def vanish(self) -> None:
        """NetworkManager is stopped."""
        if self._bus.connected:
            self._bus.disconnect()
            await asyncio.sleep(0)

    @property
    def left(self) -> tuple[list[str], list[str]]:
        """Profiles and active connections there are."""
        return list(self.profiles), [path for path in self.objects if "/ActiveConnection/" in path]

    async def until(self, done: Any) -> None:
        """Until it is so, looked at after each call."""
        async with asyncio.timeout(20):
            while not done():
                self.news.clear()
                await self.news.wait()

    def answer_held(self) -> None:
        """Do now what was held."""
        self.holds.clear()
        for message in self._held:
            self._bus.send(self._answer(message))
        self._held.clear()

    def come_to(self, active: str, state: int, reason: int = 0) -> None:
        """An activation goes on."""
        activation = next(a for a in self.made if a.active == active)
        if state == 4:
            # As NetworkManager does: the reason is in the signal, and the device has moved on at once.
            self._say_state(activation.device, [120, 50, reason])
            self._say_state(activation.device, [30, 120, 0])
            self.objects.pop(active, None)
            if activation.options.get("persist") == "volatile":
                self.profiles = {path: a for path, a in self.profiles.items() if a is not activation}
        else:
            self.objects[active] = {f"{NM}.Connection.Active": {"State": Variant("u", state)}}
        self._say_changed(active)

    def _say_state(self, device: str, body: list[int]) -> None:
        self._bus.send(Message.new_signal(device, f"{NM}.Device", "StateChanged", "uuu", body))

    def _say_changed(self, path: str) -> None:
        body = [f"{NM}.Connection.Active", {}, []]
        self._bus.send(Message.new_signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", body))

    def _handle(self, message: Message) -> Message | bool | None:
        if message.member == "NameOwnerChanged" and message.message_type is MessageType.SIGNAL:
            self._client_gone(message.body[0], message.body[2])
            return None
        if message.message_type is not MessageType.METHOD_CALL or not str(message.path).startswith(ROOT):
            return None
        self.called.append(str(message.member))
        self.news.set()
        if message.member in self.holds:
            self._held.append(message)
            return True
        return self._answer(message)

    def _client_gone(self, name: str, new_owner: str) -> None:
        for activation in list(self.profiles.values()):
            if (
                not new_owner
                and activation.owner == name
                and activation.options.get("bind-activation") == "dbus-client"
            ):
                self.come_to(activation.active, 4)
        self.news.set()

    def _answer(self, message: Message) -> Message:
        if message.member in self.refuses:
            return Message.new_error(message, self.refuses[str(message.member)], "refused")
        try:
            signature, body = self._do(message, str(message.path), str(message.member))
        except KeyError:
            return Message.new_error(message, UNKNOWN_OBJECT, "no such object")
        return Message.new_method_return(message, signature, body)

    def _do(self, message: Message, path: str, member: str) -> tuple[str, list[Any]]:
        match member:
            case "Get":
                interface, name = message.body
                return "v", [self.objects[path][interface][name]]
            case "GetAll":
                return "a{sv}", [self.objects[path][message.body[0]]]
            case "GetDevices":
                return "ao", [list(self.points)]
            case "RequestScan":
                wireless = self.objects[path][f"{NM}.Device.Wireless"]
                wireless["LastScan"] = Variant("x", wireless["LastScan"].value + 1)
                self._say_changed(path)
                return "", []
            case "GetAllAccessPoints":
                return "ao", [self.points[path]]
            case "AddAndActivateConnection2":
                return "ooa{sv}", self._activate(message)
            case "DeactivateConnection":
                self.objects[message.body[0]]
                self.come_to(message.body[0], 4, 39)
                return "", []
            case "Delete":
                del self.profiles[path]
                return "", []
        raise KeyError(member)

    def _activate(self, message: Message) -> list[Any]:
        settings, device, _specific, options = message.body
        number = len(self.made) + 1
        profile, active = f"{ROOT}/Settings/{number}", f"{ROOT}/ActiveConnection/{number}"
        activation = Activation(_plain(settings), _plain(options), str(message.sender), device, active)
        self.made.append(activation)
        self.profiles[profile] = activation
        self.objects[active] = {f"{NM}.Connection.Active": {"State": Variant("u", 1)}}
        if self.becomes != 1:
            asyncio.get_running_loop().call_soon(self.come_to, active, self.becomes, self.reason)
        return [profile, active, {}]


def _plain(value: Any) -> Any:
    if isinstance(value, Variant):
        return _plain(value.value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return value


def names(activations: Iterable[Activation]) -> list[str]:
    """The networks that were asked for."""
    return [activation.settings["802-11-wireless"]["ssid"].decode() for activation in activations]
