"""The hub's spare Wi-Fi interface, by way of NetworkManager's D-Bus API.

The connection made is kept nowhere (`persist: volatile`) and bound to our being on the bus (`bind-activation`): if the
hub is killed, NetworkManager takes it down. It never becomes the hub's way to anywhere else.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.errors import DBusFastError

from pairing.ap.radio import NoSpareRadioError, SetupNetwork, SetupNetworkError
from pairing.uncancelled import to_the_end

T = TypeVar("T")

SERVICE = "org.freedesktop.NetworkManager"
ROOT = "/org/freedesktop/NetworkManager"
DEVICE = f"{SERVICE}.Device"
WIRELESS = f"{DEVICE}.Wireless"
ACCESS_POINT = f"{SERVICE}.AccessPoint"
ACTIVE = f"{SERVICE}.Connection.Active"
PROFILE = f"{SERVICE}.Settings.Connection"
_DBUS = "org.freedesktop.DBus"
PROPERTIES = f"{_DBUS}.Properties"
_RULES = (f"type='signal',sender='{SERVICE}'", f"type='signal',member='NameOwnerChanged',arg0='{SERVICE}'")
NOTHING = "/"

CALL_TIMEOUT = 10.0
SCAN_TIMEOUT = 10.0
JOIN_TIMEOUT = 45.0
LOOK_AGAIN = 2.0
"""Seconds after which something is looked at again although no signal said that it changed."""
MAX_ACCESS_POINTS = 256

# NMDeviceType, NMDeviceState, NMActiveConnectionState, NM80211ApFlags, NMDeviceWifiCapabilities
WIFI = 2
UNAVAILABLE, DISCONNECTED, FAILED = 20, 30, 120
ACTIVATED, DEACTIVATED = 2, 4
PRIVACY = 0x1
FREQUENCIES_KNOWN, CAN_2G4 = 0x100, 0x200

REASONS = {
    5: "no_address",  # IP_CONFIG_UNAVAILABLE
    7: "password",  # NO_SECRETS: asked again for a password that was given
    8: "password",  # SUPPLICANT_DISCONNECT, in the handshake
    11: "timeout",  # SUPPLICANT_TIMEOUT
    15: "no_address",  # DHCP_START_FAILED
    16: "no_address",  # DHCP_ERROR
    17: "no_address",  # DHCP_FAILED
    53: "not_found",  # SSID_NOT_FOUND
}
"""Why an activation failed, by NMDeviceStateReason."""

NOT_THERE = "NetworkManager does not run on this machine."
NOT_ALLOWED = "The hub may not use NetworkManager here."
NO_WIFI = "The hub has no Wi-Fi interface."
ALL_IN_USE = "The hub's Wi-Fi interface is in use."
SWITCHED_OFF = "The hub's Wi-Fi interface is switched off."
NO_2G4 = "The hub's spare Wi-Fi interface knows no 2.4 GHz."
WENT_AWAY = "NetworkManager went away."


class _ManagerError(Exception):
    """NetworkManager, or the bus, refused a call: `name` is D-Bus's."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@asynccontextmanager
async def spare_radio(bus_address: str | None = None) -> AsyncIterator["WifiInterface"]:
    """The first Wi-Fi interface that carries nothing. Raises NoSpareRadioError, which says why there is none.

    `bus_address`: another bus than the system's.
    """
    bus = await _Bus.connect(bus_address)
    try:
        yield await _first_spare(bus)
    finally:
        bus.close()


async def _first_spare(bus: "_Bus") -> "WifiInterface":
    why = NO_WIFI
    try:
        (paths,) = await bus.call(ROOT, SERVICE, "GetDevices")
        for path in paths:
            device = await bus.properties(path, DEVICE)
            if device["DeviceType"] != WIFI or not device["Managed"]:
                continue
            if device["State"] not in (DISCONNECTED, FAILED) or device["ActiveConnection"] != NOTHING:
                why = SWITCHED_OFF if device["State"] == UNAVAILABLE else ALL_IN_USE
                continue
            capabilities = await bus.property(path, WIRELESS, "WirelessCapabilities")
            if capabilities & FREQUENCIES_KNOWN and not capabilities & CAN_2G4:
                why = NO_2G4
                continue
            return WifiInterface(bus, path, device["Interface"])
    except _ManagerError as error:
        raise NoSpareRadioError(_sentence(error)) from error
    except (KeyError, TypeError, ValueError) as error:
        raise NoSpareRadioError("NetworkManager answers in a way the hub does not know.") from error
    raise NoSpareRadioError(why)


def _sentence(error: _ManagerError) -> str:
    return NOT_ALLOWED if error.name.endswith(("AccessDenied", "PermissionDenied")) else NOT_THERE


class WifiInterface:
    """A `Radio`."""

    def __init__(self, bus: "_Bus", path: str, interface: str) -> None:
        self._bus = bus
        self._path = path
        self.interface = interface

    async def networks(self) -> tuple[SetupNetwork, ...]:
        try:
            await self._scan()
            (paths,) = await self._bus.call(self._path, WIRELESS, "GetAllAccessPoints")
            found: dict[str, SetupNetwork] = {}
            for path in paths[:MAX_ACCESS_POINTS]:
                network = await self._access_point(path)
                if network and (network.ssid not in found or network.strength > found[network.ssid].strength):
                    found[network.ssid] = network
        except _ManagerError as error:
            raise NoSpareRadioError(_lost(error), step="searching") from error
        return tuple(sorted(found.values(), key=lambda network: -network.strength))

    async def _scan(self) -> None:
        before = await self._bus.property(self._path, WIRELESS, "LastScan")
        try:
            await self._bus.call(self._path, WIRELESS, "RequestScan", "a{sv}", {})
        except _ManagerError:
            return  # it has just scanned, or is about to: what it knows will do

        async def scanned() -> bool:
            return bool(await self._bus.property(self._path, WIRELESS, "LastScan") != before)

        with suppress(TimeoutError):
            async with asyncio.timeout(SCAN_TIMEOUT):
                await self._bus.until(scanned)

    async def _access_point(self, path: str) -> SetupNetwork | None:
        try:
            seen = await self._bus.properties(path, ACCESS_POINT)
            ssid = bytes(seen["Ssid"]).decode()
            secured = seen["Flags"] & PRIVACY or seen["WpaFlags"] or seen["RsnFlags"]
            return SetupNetwork(ssid, seen["Strength"], not secured, path) if ssid else None
        except _ManagerError as error:
            if error.name.endswith(("UnknownMethod", "UnknownObject", "UnknownInterface")):
                return None  # out of reach since it was listed
            raise
        except (KeyError, TypeError, ValueError):
            return None

    @asynccontextmanager
    async def joined(self, network: SetupNetwork, password: str = "") -> AsyncIterator[None]:
        settings, options = _settings(network.ssid, password), {"persist": "volatile", "bind-activation": "dbus-client"}
        arguments = (settings, self._path, network.handle or NOTHING, _variants(options))
        # A call that is on its way cannot be called back: whatever becomes of us, what it makes is taken down.
        adding = asyncio.create_task(
            self._bus.call(ROOT, SERVICE, "AddAndActivateConnection2", "a{sa{sv}}ooa{sv}", *arguments)
        )
        self._bus.failures.pop(self._path, None)
        try:
            try:
                _profile, active, _ = await asyncio.shield(adding)
                async with asyncio.timeout(JOIN_TIMEOUT):
                    await self._bus.until(lambda: self._is_activated(active))
            except _ManagerError as error:
                raise SetupNetworkError("lost" if _gone(error) else "failed") from error
            except TimeoutError as error:
                raise SetupNetworkError("timeout") from error
            yield
        finally:
            await to_the_end(self._leave(adding))

    async def _is_activated(self, active: str) -> bool:
        try:
            state = await self._bus.property(active, ACTIVE, "State")
        except _ManagerError as error:
            if _gone(error):
                raise
            state = DEACTIVATED  # a connection that has failed is soon no object any more
        if state >= DEACTIVATED:
            raise SetupNetworkError(REASONS.get(self._bus.failures.get(self._path, 0), "failed"))
        return bool(state == ACTIVATED)

    async def _leave(self, adding: asyncio.Task[list[Any]]) -> None:
        with suppress(_ManagerError):
            profile, active, _ = await adding
            with suppress(_ManagerError):
                await self._bus.call(ROOT, SERVICE, "DeactivateConnection", "o", active)
            # Volatile, so mostly gone by now; where it is not, it goes now.
            await self._bus.call(profile, PROFILE, "Delete")


def _settings(ssid: str, password: str) -> dict[str, dict[str, Variant]]:
    settings: dict[str, dict[str, Any]] = {
        "connection": {"id": f"Doorstep: {ssid}", "type": "802-11-wireless", "autoconnect": False},
        "802-11-wireless": {"ssid": ssid.encode(), "mode": "infrastructure"},
        "ipv4": {"method": "auto", "never-default": True, "ignore-auto-dns": True, "may-fail": False},
        "ipv6": {"method": "ignore"},
    }
    if password:
        settings["802-11-wireless-security"] = {"key-mgmt": "wpa-psk", "psk": password}
    return {name: _variants(setting) for name, setting in settings.items()}


def _variants(values: dict[str, Any]) -> dict[str, Variant]:
    signatures = {bool: "b", str: "s", bytes: "ay"}
    return {key: Variant(signatures[type(value)], value) for key, value in values.items()}


def _gone(error: _ManagerError) -> bool:
    return error.name.endswith(("ServiceUnknown", "NameHasNoOwner", "NoReply", "Disconnected"))


def _lost(error: _ManagerError) -> str:
    return WENT_AWAY if _gone(error) else _sentence(error)


class _Bus:
    """Calls to NetworkManager, and its signals as one event: something has changed.

    `failures`: why each device last failed. Only the signal says so: the property has moved on by the time it is read.
    """

    def __init__(self, bus: MessageBus) -> None:
        self.failures: dict[str, int] = {}
        self._bus = bus
        self._changed = asyncio.Event()
        bus.add_message_handler(self._heard)

    @classmethod
    async def connect(cls, address: str | None) -> "_Bus":
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                bus = await MessageBus(bus_address=address, bus_type=BusType.SYSTEM).connect()
        except (OSError, TimeoutError, DBusFastError) as error:
            raise NoSpareRadioError(NOT_THERE) from error
        self = cls(bus)
        try:
            for rule in (
                f"type='signal',sender='{SERVICE}'",
                f"type='signal',member='NameOwnerChanged',arg0='{SERVICE}'",
            ):
                await self._send(_DBUS, "/org/freedesktop/DBus", _DBUS, "AddMatch", "s", rule)
        except _ManagerError as error:
            self.close()
            raise NoSpareRadioError(NOT_THERE) from error
        return self

    def close(self) -> None:
        """Leave the bus, and with that give up everything bound to being on it."""
        self._bus.disconnect()

    async def call(self, path: str, interface: str, member: str, signature: str = "", *body: Any) -> list[Any]:
        """What NetworkManager answers. Raises _ManagerError."""
        return await self._send(SERVICE, path, interface, member, signature, *body)

    async def property(self, path: str, interface: str, name: str) -> Any:
        (value,) = await self.call(path, PROPERTIES, "Get", "ss", interface, name)
        return value.value

    async def properties(self, path: str, interface: str) -> dict[str, Any]:
        (values,) = await self.call(path, PROPERTIES, "GetAll", "s", interface)
        return {name: value.value for name, value in values.items()}

    async def until(self, done: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        """Until it is done, looked at whenever NetworkManager says that something changed."""
        while True:
            self._changed.clear()
            if await done():
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN):
                    await self._changed.wait()

    async def _send(
        self, service: str, path: str, interface: str, member: str, signature: str, *body: Any
    ) -> list[Any]:
        message = Message(
            destination=service, path=path, interface=interface, member=member, signature=signature, body=list(body)
        )
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                reply = await self._bus.call(message)
        except (OSError, EOFError, TimeoutError, DBusFastError) as error:
            raise _ManagerError("Disconnected") from error
        if reply.message_type is MessageType.ERROR:
            raise _ManagerError(reply.error_name or "")
        return list(reply.body)

    def _heard(self, message: Message) -> None:
        if message.message_type is not MessageType.SIGNAL:
            return
        if (message.interface, message.member, message.signature) == (DEVICE, "StateChanged", "uuu"):
            state, _, reason = message.body
            if state == FAILED:
                self.failures[str(message.path)] = reason
        self._changed.set()
