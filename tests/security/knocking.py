"""Knocking at a port, and what comes of it in one word."""

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from app.admin import address
from pairing import activation, link, wire
from pairing.activation import Offer
from pairing.device import Binding
from pairing.errors import LinkRefusedError, PairingError
from pairing.identity import Identity
from pairing.messages import FromDevice, FromHub, Reset, decode_from_hub, encode
from pairing.pump import pump, read_frame, write_frame
from pairing.talk import Send, Talk

WAIT = 60.0
LOOPBACK = "127.0.0.1"
T = TypeVar("T")
BUSY = "device_busy"

# What no conversation begins with, on any port.
GARBAGE = {
    "nothing": b"",
    "an empty frame": b"\x00\x00",
    "half a frame": b"\x00\x20\x01\x01",
    "a frame too long": b"\xff\xff" + b"\x01" * 100,
    "random octets": bytes(range(256)) * 4,
    "another version": wire.pack(b"\x01\x09" + bytes(15)),
    "an HTTP request": b"GET /api/homes HTTP/1.1\r\nHost: hub\r\n\r\n",
    "a TLS greeting": bytes.fromhex("160301005a0100005603037f") + bytes(78),
    "a JSON line": b'{"verb":"token","args":{}}\n',
}


async def raw(port: int, octets: bytes) -> str:
    """Send `octets` and nothing more: the failure that is told, or "closed"."""
    return await _in_turn(lambda: _raw(port, octets))


async def _in_turn(knock: Callable[[], Awaitable[str]]) -> str:
    """A device may still be closing the connection of the knock before."""
    async with asyncio.timeout(WAIT):
        while (outcome := await knock()) == BUSY:
            pass
    return outcome


async def _raw(port: int, octets: bytes) -> str:
    answer = await _answer_to(octets, *await asyncio.open_connection(LOOPBACK, port))
    return wire.failure_in(_frames(answer)[-1]).code if answer else "closed"


async def _answer_to(octets: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """All that is said to `octets` until the other side closes."""
    async with asyncio.timeout(WAIT):
        try:
            writer.write(octets)
            writer.write_eof()
            return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


def _frames(octets: bytes) -> list[bytes]:
    frames = []
    while octets:
        end = wire.LENGTH_SIZE + int.from_bytes(octets[: wire.LENGTH_SIZE], "big")
        frames.append(octets[wire.LENGTH_SIZE : end])
        octets = octets[end:]
    return frames


async def said_in_link(port: int, identity: Identity, binding: Binding, *said: FromDevice) -> list[FromHub]:
    """Say so in a link, and go on listening until the hub has said something or hangs up: what it said."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    talk = link.device_talk(identity, binding, entropy=secrets.token_bytes)
    channel = await pump(talk, reader, writer, keep_open=True)
    try:
        for message in said:
            await write_frame(writer, channel.seal(encode(message)))
        heard = [decode_from_hub(channel.open(await read_frame(reader, WAIT, step="linked", limit=wire.MAX_FRAME)))]
        if isinstance(said[-1], Reset):
            with suppress(PairingError):
                frame = await read_frame(reader, WAIT, step="linked", limit=wire.MAX_FRAME)
                heard.append(decode_from_hub(channel.open(frame)))
        return heard
    finally:
        writer.close()


async def linked(port: int, identity: Identity, binding: Binding) -> str:
    """Link as a device: "linked", or why not."""
    return await _outcome(port, link.device_talk(identity, binding, entropy=secrets.token_bytes), "linked")


async def recorded(port: int, identity: Identity, binding: Binding) -> list[bytes]:
    """What a device says while it links."""
    said: list[bytes] = []

    def listening(talk: Talk[T]) -> Talk[T]:
        answer: Any = None
        while True:
            try:
                action = talk.send(answer)
            except StopIteration as stop:
                result: T = stop.value
                return result
            if isinstance(action, Send):
                said.append(wire.pack(action.frame))
            answer = yield action

    talk = link.device_talk(identity, binding, entropy=secrets.token_bytes)
    assert await _outcome(port, listening(talk), "linked") == "linked"
    return said


async def activated(port: int, identity: Identity, pin: str | None) -> str:
    """Pair a device as a hub whose person says no to every code: "activated", or why not."""
    return await _in_turn(lambda: activated_at_once(port, identity, pin))


async def activated_at_once(port: int, identity: Identity, pin: str | None) -> str:
    """The same, of a device that may be busy."""
    offer = Offer("A hub", ((LOOPBACK, 1),), secrets.token_bytes(32), "binding", time=1)
    return await _outcome(port, activation.hub_talk(identity, offer, entropy=secrets.token_bytes, pin=pin), "activated")


async def _outcome(port: int, talk: Talk[Any], success: str) -> str:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        async with asyncio.timeout(WAIT):
            await pump(talk, reader, writer)
    except LinkRefusedError as error:
        return f"refused: {error.reason}"
    except PairingError as error:
        return error.code
    return success


async def admin(data: Path, line: bytes) -> str:
    """Say `line` to the admin socket: the code of the error, "done", or "closed"."""
    folder = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    try:
        reader, writer = await asyncio.open_unix_connection(address(folder))
    finally:
        os.close(folder)
    answer = await _answer_to(line, reader, writer)
    if not answer:
        return "closed"
    said: dict[str, Any] = msgspec.json.decode(answer)
    return str(said["error"]["code"]) if "error" in said else "done"
