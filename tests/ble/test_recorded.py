"""The fake org.bluez is held to what bluetoothd 5.66 was recorded to answer (specs/ble/notes.md, 1.2), row by row."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from tests.ble.bluez.fake import ADAPTER, CHARACTERISTIC, DEVICE, FAILED, HCI, IN_PROGRESS
from tests.ble.rig import SECRET, SWITCH, Lamp, Rig, rigged


class Caller:
    """One program on the bus."""

    def __init__(self, bus: MessageBus, rig: Rig) -> None:
        self._bus, self._rig = bus, rig

    async def call(self, path: str, interface: str, member: str, signature: str = "", *body: Any) -> tuple[str, Any]:
        """("", first value) or (error name, text)."""
        message = Message("org.bluez", path, interface, member, signature=signature, body=list(body))
        reply = await self._bus.call(message)
        assert reply is not None
        name = (reply.error_name or "") if reply.message_type == MessageType.ERROR else ""
        return name, reply.body[0] if reply.body else None

    async def found(self, lamp: Lamp) -> str:
        """The path of a device, once it was heard."""
        path = f"{HCI}/dev_{lamp.address.replace(':', '_')}"
        async with asyncio.timeout(10):
            while path not in self._rig.bluez.objects.objects:
                await asyncio.sleep(0.01)
        return path

    def characteristic(self, device: str, uuid: str) -> str:
        objects = self._rig.bluez.objects.objects
        return next(
            path
            for path, each in objects.items()
            if path.startswith(device) and CHARACTERISTIC in each and each[CHARACTERISTIC]["UUID"].value == uuid
        )


class Place:
    def __init__(self, rig: Rig, stack: AsyncExitStack) -> None:
        self.rig, self._stack = rig, stack

    async def caller(self) -> Caller:
        bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
        self._stack.callback(bus.disconnect)
        return Caller(bus, self.rig)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with rigged(tmp_path, abort_s=0.3) as rig, AsyncExitStack() as stack:
        yield Place(rig, stack)


OK = ("", None)


async def scanning(place: Place) -> Caller:
    caller = await place.caller()
    assert await caller.call(HCI, ADAPTER, "StartDiscovery") == OK
    return caller


async def test_scans_are_begun_once_and_only_a_scan_is_ended(place: Place) -> None:
    caller = await place.caller()
    assert (await caller.call(HCI, ADAPTER, "StopDiscovery"))[0] == FAILED
    assert await caller.call(HCI, ADAPTER, "StartDiscovery") == OK
    assert (await caller.call(HCI, ADAPTER, "StartDiscovery"))[0] == IN_PROGRESS
    assert await caller.call(HCI, ADAPTER, "StopDiscovery") == OK
    assert (await caller.call(HCI, ADAPTER, "RemoveDevice", "o", f"{HCI}/dev_00"))[0] == "org.bluez.Error.DoesNotExist"


async def test_two_devices_at_once_are_both_connected_to(place: Place) -> None:
    lamp, other, caller = await place.rig.lamp(), await place.rig.lamp(), await scanning(place)
    paths = [await caller.found(lamp), await caller.found(other)]
    assert await asyncio.gather(*(caller.call(path, DEVICE, "Connect") for path in paths)) == [OK, OK]


async def test_a_second_client_in_the_middle_of_a_connect_is_told_that_it_failed(place: Place) -> None:
    lamp, caller, second = await place.rig.lamp(), await scanning(place), await place.caller()
    path = await caller.found(lamp)
    first = asyncio.ensure_future(caller.call(path, DEVICE, "Connect"))
    async with asyncio.timeout(10):
        while "Connect" not in place.rig.bluez.calls:
            await asyncio.sleep(0)
    assert await second.call(path, DEVICE, "Connect") == (FAILED, "Operation already in progress")
    assert await first == OK
    assert await second.call(path, DEVICE, "Connect") == OK  # connected already


async def test_notifying_twice_is_fine_and_ending_it_without_a_session_is_not(place: Place) -> None:
    lamp, caller, second, third = (
        await place.rig.lamp(),
        await scanning(place),
        await place.caller(),
        await place.caller(),
    )
    path = await caller.found(lamp)
    assert await caller.call(path, DEVICE, "Connect") == OK
    switch = caller.characteristic(path, SWITCH)
    for each in (caller, caller, second):
        assert await each.call(switch, CHARACTERISTIC, "StartNotify") == OK
    assert await third.call(switch, CHARACTERISTIC, "StopNotify") == (FAILED, "No notify session started")
    assert await second.call(switch, CHARACTERISTIC, "StopNotify") == OK


async def test_what_is_written_without_response_is_not_checked_and_what_is_read_is(place: Place) -> None:
    lamp, caller = await place.rig.lamp(), await scanning(place)
    path = await caller.found(lamp)
    assert await caller.call(path, DEVICE, "Connect") == OK
    broken = caller.characteristic(path, "d0025703-9a4b-4c3e-8f1d-6b0e5a7c2d10")  # has a reader only
    command = {"type": Variant("s", "command")}
    assert await caller.call(broken, CHARACTERISTIC, "WriteValue", "aya{sv}", b"x", command) == OK
    secret = caller.characteristic(path, SECRET)
    refused = ("org.bluez.Error.NotPermitted", "Read not permitted")
    assert await caller.call(secret, CHARACTERISTIC, "ReadValue", "a{sv}", {}) == refused


async def test_a_device_that_has_gone_is_given_up_and_none_is_paired_without_an_agent(place: Place) -> None:
    lamp, caller = await place.rig.lamp(), await scanning(place)
    path = await caller.found(lamp)
    assert place.rig.bluez.objects.objects[path][DEVICE]["AdvertisingFlags"].value == b"\x06"
    assert (await caller.call(path, DEVICE, "Pair"))[0] == "org.bluez.Error.AuthenticationFailed"
    place.rig.air.take_away(lamp.address)  # after 41 s, recorded; the rig's clock is told less
    assert await caller.call(path, DEVICE, "Connect") == (FAILED, "le-connection-abort-by-local")
