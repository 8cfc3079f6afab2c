"""The virtual radio and its devices at moments when two things happen at once: nothing waits for ever, or goes on."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from bumble import core
from bumble.host import Host

from ble.errors import BleError, Disconnected
from ble.virtual.air import Air
from ble.virtual.controller import AirController
from ble.virtual.radio import VirtualRadio
from tests.ble.rig import LAMP, SWITCH, Lamp, hear_lamp, lamp_on

WITHIN_S = 15.0


class Place:
    """A lamp that the radio has heard."""

    def __init__(self, air: Air, radio: VirtualRadio, lamp: Lamp) -> None:
        self.air, self.radio, self.lamp = air, radio, lamp


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with asyncio.timeout(WITHIN_S), Air() as air, AsyncExitStack() as stack:
        radio = VirtualRadio(air.port)
        await radio.open()
        stack.push_async_callback(radio.close)
        lamp = await lamp_on(stack, air)
        await hear_lamp(radio, lamp)
        yield Place(air, radio, lamp)


def at_each_answer(monkeypatch: pytest.MonkeyPatch, then: Callable[[], object]) -> None:
    """`then` in the same turn of the loop in which bumble is given an answer to a command."""
    processed = Host.on_command_processed

    def and_then(self: Host, event: Any) -> None:
        processed(self, event)
        then()

    monkeypatch.setattr(Host, "on_command_processed", and_then)


async def connected(place: Place) -> bytes:
    async with place.radio.connect(place.lamp.address, services=[LAMP]) as connection:
        return await connection.read(SWITCH)


async def test_who_is_cancelled_just_as_a_connection_is_made_has_none(place: Place) -> None:
    loop, task = asyncio.get_running_loop(), asyncio.create_task(connected(place))
    device = place.radio._host.device  # type: ignore[union-attr]
    device.once("connection", lambda _: loop.call_soon(task.cancel))
    with pytest.raises(asyncio.CancelledError):
        await task
    await place.lamp.gone.wait()
    assert await connected(place) == b"\x00"


async def test_who_is_cancelled_before_that_leaves_the_device_to_others(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.air.take_away(place.lamp.address)
    task = asyncio.create_task(connected(place))
    at_each_answer(monkeypatch, task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task
    monkeypatch.undo()
    place.air.bring_back(place.lamp.address)
    await hear_lamp(place.radio, place.lamp)
    assert await connected(place) == b"\x00"


async def test_a_connection_that_ends_as_it_is_made_is_none(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    create = AirController.create_le_connection

    def and_drop(self: AirController, peer: Any) -> None:
        create(self, peer)
        self.air.drop(self)

    monkeypatch.setattr(AirController, "create_le_connection", and_drop)
    with pytest.raises(Disconnected):
        await connected(place)
    monkeypatch.undo()
    await hear_lamp(place.radio, place.lamp)
    assert await connected(place) == b"\x00"


async def test_who_hangs_up_on_who_has_gone_is_told_so(place: Place) -> None:
    async with place.radio.connect(place.lamp.address) as connection:
        ended = asyncio.Event()
        connection.on_disconnect(ended.set)
        place.air.drop(place.lamp.address)
        await ended.wait()
        with pytest.raises(core.BaseBumbleError):  # fault 10
            await connection._link.disconnect()


async def test_a_device_that_is_stopped_just_as_it_is_answered_stops(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = asyncio.create_task(place.lamp.advertise(services=[LAMP], name="other"))
    at_each_answer(monkeypatch, task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_radio_that_is_closed_just_as_it_is_answered_closes(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    radio = VirtualRadio(place.air.port)
    opening = asyncio.create_task(radio.open())
    at_each_answer(monkeypatch, lambda: radio._task and radio._task.cancel())
    while radio._task is None or not radio._task.done():
        await asyncio.sleep(0)
    monkeypatch.undo()
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    await radio.close()
    with pytest.raises(BleError):
        async with radio.connect(place.lamp.address):
            pass
