"""A private system bus, and D-Bus objects on it as plain dictionaries."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from dbus_fast import BusType, Message, MessageFlag, MessageType, Variant
from dbus_fast.aio import MessageBus

PROPERTIES = "org.freedesktop.DBus.Properties"
MANAGER = "org.freedesktop.DBus.ObjectManager"
UNKNOWN_OBJECT = "org.freedesktop.DBus.Error.UnknownObject"

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={path}</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
  </policy>
</busconfig>
"""

Properties = dict[str, Variant]
Answer = tuple[str, list[Any]]
Method = Callable[[Message], Awaitable[Answer | None]]


class DBusFailure(Exception):
    """An error reply: its name, and the text in its body."""

    def __init__(self, name: str, text: str = "") -> None:
        super().__init__(name, text)
        self.name, self.text = name, text


class Daemon:
    """A dbus-daemon that can be ended and begun again at the same address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self.address = f"unix:path={folder / 'bus'}"

    async def start(self) -> None:
        config = self._folder / "bus.conf"
        await asyncio.to_thread(config.write_text, CONFIG.format(path=self._folder / "bus"))
        self._process = await asyncio.create_subprocess_exec(
            "dbus-daemon", f"--config-file={config}", "--nofork", "--print-address", stdout=asyncio.subprocess.PIPE
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(10):
            await self._process.stdout.readline()

    async def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            await self._process.communicate()
            self._process = None
            await asyncio.to_thread((self._folder / "bus").unlink, missing_ok=True)


@asynccontextmanager
async def system_bus(folder: Path) -> AsyncIterator[Daemon]:
    """A private bus that takes the system bus' place in this process, before its loop first asks for one."""
    daemon = Daemon(folder)
    before = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS")
    os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = daemon.address
    try:
        yield daemon
    finally:
        await daemon.stop()
        if before is None:
            del os.environ["DBUS_SYSTEM_BUS_ADDRESS"]
        else:
            os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = before


class Objects:
    """Objects and their properties on one connection; `methods` are looked up by the interface and member called."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Properties]] = {}
        self.methods: dict[tuple[str, str], Method] = {}
        self._bus: MessageBus | None = None
        self._answering: set[asyncio.Task[None]] = set()

    async def own(self, name: str, address: str) -> None:
        self._bus = await MessageBus(bus_type=BusType.SYSTEM, bus_address=address).connect()
        self._bus.add_message_handler(self._called)
        await self._bus.request_name(name)

    async def disown(self) -> None:
        for task in list(self._answering):
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)
        if self._bus is not None:
            self._bus.disconnect()
            self._bus = None

    async def add(self, path: str, interfaces: Mapping[str, Properties]) -> None:
        self.objects[path] = dict(interfaces)
        await self.signal("/", MANAGER, "InterfacesAdded", "oa{sa{sv}}", [path, self.objects[path]])

    async def remove(self, path: str) -> None:
        """With all below it."""
        for each in sorted((p for p in self.objects if p == path or p.startswith(path + "/")), reverse=True):
            gone = self.objects.pop(each)
            await self.signal("/", MANAGER, "InterfacesRemoved", "oas", [each, list(gone)])

    async def change(self, path: str, interface: str, changed: Properties) -> None:
        if path in self.objects:
            self.objects[path][interface].update(changed)
            await self.signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", [interface, changed, []])

    async def signal(self, path: str, interface: str, member: str, signature: str, body: list[Any]) -> None:
        if self._bus is not None and self._bus.connected:
            await self._bus.send(Message.new_signal(path, interface, member, signature, body))

    def _called(self, message: Message) -> bool:
        if message.message_type != MessageType.METHOD_CALL or message.interface == "org.freedesktop.DBus.Peer":
            return False
        task = asyncio.ensure_future(self._answer(message))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)
        return True

    async def _answer(self, message: Message) -> None:
        try:
            signature, body = await self._result(message) or ("", [])
            reply = Message.new_method_return(message, signature, body)
        except DBusFailure as error:
            reply = Message.new_error(message, error.name, error.text)
        if self._bus is not None and not message.flags & MessageFlag.NO_REPLY_EXPECTED:
            await self._bus.send(reply)

    async def _result(self, message: Message) -> Answer | None:
        if message.member == "GetManagedObjects":
            return "a{oa{sa{sv}}}", [self.objects]
        found = self.objects.get(message.path or "")
        method = self.methods.get((message.interface or "", message.member or ""))
        if found is None or method is None or message.interface not in found:
            raise DBusFailure(UNKNOWN_OBJECT, f'Method "{message.member}" does not exist')
        return await method(message)
