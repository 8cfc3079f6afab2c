"""What speaks over TCP speaks over GATT: activation and link, whole; and every way a stream ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ble.errors import Disconnected
from pairing import activation, link
from pairing.errors import ConnectionLostError, MalformedMessageError, PairingError, PeerSilentError
from pairing.gatt.failures import NotOfferedError
from pairing.gatt.profile import ACTIVATION, LINK, SERVICE, Stream
from pairing.gatt.stream import MAX_UNREAD, GattTransport, streams_over
from pairing.pump import pump, read_frame, write_frame
from tests.pairing.gatt.table import Characteristic, TableConnection
from tests.pairing.home import FACTS, agreed, pair


class Rig:
    """A connection, and the device's own end of a stream on it."""

    def __init__(self, stream: Stream, max_write: int = 20) -> None:
        async def notify(part: bytes) -> None:
            if not self.connection.connected:
                raise Disconnected
            self.connection.notify(stream.from_device, part)

        self.device = GattTransport(notify, max_write, "client")
        self.connection = TableConnection(
            {
                stream.to_device: Characteristic(SERVICE, write=self.device.heard),
                stream.from_device: Characteristic(SERVICE),
            },
            max_write,
        )
        self.connection.on_disconnect(self.device.lost)


@asynccontextmanager
async def rigged(stream: Stream, max_write: int = 20) -> AsyncIterator[Rig]:
    rig = Rig(stream, max_write)
    try:
        yield rig
    finally:
        await rig.device.ended()


@pytest.mark.parametrize("pin", [None, "12345678"])
@pytest.mark.parametrize("size", [20, 244])
async def test_a_device_is_activated_and_links(pin: str | None, size: int) -> None:
    hub, lamp = pair(pin=pin)

    async def save(state: Any) -> None:
        lamp.save(state)

    async def join(value: Any) -> None:
        hub.join(value)

    async def agree(_code: str) -> bool:
        return True

    async with rigged(ACTIVATION, size) as rig, streams_over(rig.connection, ACTIVATION) as streams:
        device = activation.device_talk(lamp.state, FACTS, entropy=lamp.entropy, pin=lamp.pin)
        offered = activation.hub_talk(hub.identity, hub.offer(), entropy=hub.entropy, pin=lamp.pin)
        await asyncio.gather(
            pump(device, *rig.device.streams, on_commit=save),
            pump(offered, *streams, on_commit=join, on_confirm=agree),
        )
    assert agreed(hub, lamp)
    assert max(len(part) for _, part in rig.connection.written) <= size
    binding = lamp.state.active
    assert binding is not None
    async with rigged(LINK, size) as rig, streams_over(rig.connection, LINK) as streams:
        ours, theirs = await asyncio.gather(
            pump(link.hub_talk(hub.identity, hub.lookup, entropy=hub.entropy), *streams, keep_open=True),
            pump(
                link.device_talk(lamp.state.identity, binding, entropy=lamp.entropy),
                *rig.device.streams,
                keep_open=True,
            ),
        )
        assert ours[0] == lamp.id
        await write_frame(streams[1], ours[1].seal(bytes(3000)))
        frame = await read_frame(rig.device.streams[0], 5, step="", limit=4096)
        assert theirs.open(frame) == bytes(3000)


async def test_a_device_that_drops_is_a_lost_connection() -> None:
    async with rigged(ACTIVATION) as rig, streams_over(rig.connection, ACTIVATION) as (reader, writer):
        reading = asyncio.create_task(read_frame(reader, 30, step="here", limit=4096))
        await asyncio.sleep(0)
        rig.connection.drop()
        with pytest.raises(ConnectionLostError) as caught:
            await reading
        assert caught.value.step == "here"
        assert writer.is_closing()


async def test_a_write_that_fails_ends_the_stream() -> None:
    async with rigged(ACTIVATION) as rig, streams_over(rig.connection, ACTIVATION) as (reader, writer):
        rig.connection.connected = False  # not told: the next write finds out
        writer.write(b"\x00\x01x")
        with pytest.raises(PairingError):
            await read_frame(reader, 30, step="", limit=4096)
        with pytest.raises(ConnectionLostError):
            await write_frame(writer, b"x")


async def test_close_says_what_was_written_first() -> None:
    async with rigged(ACTIVATION) as rig, streams_over(rig.connection, ACTIVATION) as (_, writer):
        await write_frame(writer, bytes(100))
        writer.close()
        await writer.wait_closed()
        assert await read_frame(rig.device.streams[0], 5, step="", limit=4096) == bytes(100)
    assert sum(len(part) for _, part in rig.connection.written) == 102


async def test_a_peer_that_sends_more_than_is_read_is_cut_off() -> None:
    async with rigged(ACTIVATION) as rig, streams_over(rig.connection, ACTIVATION) as (reader, writer):
        for _ in range(4 * MAX_UNREAD // 1000):
            rig.connection.notify(ACTIVATION.from_device, bytes(1000))
        assert writer.is_closing()
        assert len(await reader.read(-1)) <= 4 * MAX_UNREAD


async def test_a_silent_and_a_babbling_device() -> None:
    async with rigged(ACTIVATION) as rig, streams_over(rig.connection, ACTIVATION) as (reader, _):
        with pytest.raises(PeerSilentError):
            await read_frame(reader, 0.01, step="", limit=4096)
        rig.connection.notify(ACTIVATION.from_device, b"\xff\xff")
        with pytest.raises(MalformedMessageError):
            await read_frame(reader, 5, step="", limit=4096)


async def test_a_device_without_the_characteristic() -> None:
    connection = TableConnection({})
    with pytest.raises(NotOfferedError):
        async with streams_over(connection, ACTIVATION):
            raise AssertionError("opened")
