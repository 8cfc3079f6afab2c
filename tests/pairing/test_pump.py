"""The pump over real loopback sockets: results, every way it can fail, and that nothing is left open."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from pairing import activation, wire
from pairing.errors import ConnectionLostError, MalformedMessageError, PeerSilentError
from pairing.pump import close, pump, read_frame, write_frame
from pairing.talk import Progress, Receive, Send, Talk
from tests.pairing.home import FACTS, Device, Hub, agreed, pair

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def serving(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[Streams]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield reader, writer
    finally:
        await close(writer)
        server.close()
        await server.wait_closed()


def hub_talk(hub: Hub, lamp: Device) -> Talk[Any]:
    return activation.hub_talk(hub.identity, hub.offer(), entropy=hub.entropy, pin=lamp.pin)


def device_talk(lamp: Device) -> Talk[Any]:
    return activation.device_talk(lamp.state, FACTS, entropy=lamp.entropy, pin=lamp.pin)


@pytest.mark.parametrize("pin", [None, "12345678"])
async def test_a_device_joins_over_tcp(pin: str | None) -> None:
    hub, lamp = pair(pin=pin)
    steps: list[str] = []

    async def save(state: Any) -> None:
        lamp.save(state)

    async def join(value: Any) -> None:
        hub.join(value)

    async def note(progress: Progress) -> None:
        steps.append(progress.step)

    async def agree(_code: str) -> bool:
        return True

    async def device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await pump(device_talk(lamp), reader, writer, on_commit=save)

    async with serving(device) as (reader, writer):
        activated = await pump(hub_talk(hub, lamp), reader, writer, on_progress=note, on_confirm=agree, on_commit=join)
        assert writer.is_closing()
    assert activated == hub.devices[lamp.id]
    assert agreed(hub, lamp)
    assert steps == ["proving", *([] if pin else ["confirming"]), "handing_over", "joining"]


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    await close(writer)


def one_frame(timeout: float) -> Talk[bytes]:
    frame = yield Receive(timeout, "waiting")
    assert isinstance(frame, bytes)
    return frame


async def test_a_silent_peer_names_the_step() -> None:
    async with serving(silent) as (reader, writer):
        with pytest.raises(PeerSilentError) as caught:
            await pump(one_frame(0.01), reader, writer)
        assert caught.value.step == "waiting"
        assert writer.is_closing()


def answering(raw: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()
        await close(writer)

    return answer


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"", ConnectionLostError),
        (b"\x00", ConnectionLostError),
        (b"\x00\x05abc", ConnectionLostError),
        (b"\x00\x00", MalformedMessageError),
        (b"\xff\xff" + bytes(65_535), MalformedMessageError),
    ],
    ids=["nothing", "half a length", "half a frame", "empty", "too long"],
)
async def test_what_is_no_frame_is_a_typed_error(raw: bytes, error: type[Exception]) -> None:
    async with serving(answering(raw)) as (reader, writer):
        with pytest.raises(error):
            await pump(one_frame(5), reader, writer)


async def test_a_frame_is_read_whole_and_no_further() -> None:
    async with serving(answering(wire.pack(b"one") + wire.pack(b"two"))) as (reader, writer):
        assert await pump(one_frame(5), reader, writer, keep_open=True) == b"one"
        assert not writer.is_closing()
        assert await read_frame(reader, 5, step="", limit=10) == b"two"


async def test_cancelled_while_waiting_it_leaves_nothing_open() -> None:
    waiting = asyncio.Event()
    ended: list[str] = []

    def talk() -> Talk[None]:
        try:
            yield Progress("waiting")
            yield Receive(60)
        finally:
            ended.append("talk")

    async def note(_progress: Progress) -> None:
        waiting.set()

    async with serving(silent) as (reader, writer):
        task = asyncio.create_task(pump(talk(), reader, writer, on_progress=note))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == ["talk"]
        assert writer.is_closing()


async def test_what_a_commit_raises_reaches_the_talk_and_the_caller() -> None:
    hub, lamp = pair(pin="12345678")
    errors: list[Exception] = []

    async def save(state: Any) -> None:
        lamp.save(state)

    async def full(_value: Any) -> None:
        raise OSError("disk full")

    done = asyncio.Event()

    async def device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await pump(device_talk(lamp), reader, writer, on_commit=save)
        except Exception as error:
            errors.append(error)
        done.set()

    async with serving(device) as (reader, writer):
        with pytest.raises(OSError, match="disk full"):
            await pump(hub_talk(hub, lamp), reader, writer, on_commit=full)
        await done.wait()
    assert [getattr(error, "code", "") for error in errors] == ["storage_failed"]
    assert lamp.state.candidates == ()


async def test_a_peer_that_went_away_is_a_lost_connection() -> None:
    def talk() -> Talk[None]:
        while True:
            yield Send(bytes(60_000))

    async with serving(answering(b"")) as (reader, writer):
        with pytest.raises(ConnectionLostError):
            await pump(talk(), reader, writer)


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_who_has_reset_the_connection_is_lost(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Closed with nothing lingering, TCP resets.
        at_once = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        writer.transport.abort()

    async def speak() -> None:
        async with serving(reset) as (reader, writer):
            with pytest.raises(ConnectionLostError):
                await read_frame(reader, 10, step="x", limit=100)
            with pytest.raises(ConnectionLostError):
                await write_frame(writer, b"too late")

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(speak())
