"""A client that says exactly what a test wants, and reads packets one by one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from app.links.mqtt import properties as props
from app.links.mqtt.packets import Raw
from app.links.mqtt.properties import number, write_number, write_text
from tests.links.mqtt.house import SECRET

WAIT = 20.0


def packet(first: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes((first,)) + write_number(len(body)) + body


def short(value: int) -> bytes:
    return value.to_bytes(2, "big")


def block(raw: bytes) -> bytes:
    return write_number(len(raw)) + raw


def connect(
    client_id: str = "one",
    *,
    level: int = 4,
    clean: bool = True,
    keep_alive: int = 60,
    will: tuple[str, bytes, int, bool] | None = None,
    user: str | None = "dev",
    password: bytes | None = SECRET,
    more: bytes = b"",
    will_more: bytes = b"",
) -> bytes:
    flags = 2 * clean
    fields = write_text(client_id)
    if will is not None:
        flags |= 4 | will[2] << 3 | will[3] << 5
        fields += block(will_more) if level == 5 else b""
        fields += write_text(will[0]) + props.write_binary(will[1])
    if user is not None:
        flags |= 0x80
        fields += write_text(user)
    if password is not None:
        flags |= 0x40
        fields += props.write_binary(password)
    extra = block(more) if level == 5 else b""
    return packet(0x10, write_text("MQTT"), bytes((level, flags)), short(keep_alive), extra, fields)


def publish(
    topic: str,
    payload: bytes = b"x",
    qos: int = 0,
    packet_id: int = 0,
    *,
    retain: bool = False,
    dup: bool = False,
    level: int = 4,
    more: bytes = b"",
) -> bytes:
    parts = [write_text(topic)]
    if qos:
        parts.append(short(packet_id))
    if level == 5:
        parts.append(block(more))
    return packet(0x30 | dup << 3 | qos << 1 | retain, *parts, payload)


def subscribe(packet_id: int, *filters: tuple[str, int], level: int = 4, more: bytes = b"") -> bytes:
    extra = block(more) if level == 5 else b""
    return packet(0x82, short(packet_id), extra, *(write_text(each) + bytes((options,)) for each, options in filters))


def unsubscribe(packet_id: int, *filters: str, level: int = 4) -> bytes:
    return packet(0xA2, short(packet_id), b"\0" if level == 5 else b"", *(write_text(each) for each in filters))


def ack(first: int, packet_id: int) -> bytes:
    return bytes((first, 2)) + short(packet_id)


PING, DISCONNECT = b"\xc0\x00", b"\xe0\x00"


@dataclass
class Got:
    """A PUBLISH as a client reads it."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    packet_id: int
    raw: Raw


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self.level = 4

    def say(self, *packets: bytes) -> None:
        self.writer.write(b"".join(packets))

    async def next(self) -> tuple[int, bytes]:
        """First octet and body of the next packet; raises IncompleteReadError when there is none any more."""
        async with asyncio.timeout(WAIT):
            first = (await self._reader.readexactly(1))[0]
            length = b""
            while not length or length[-1] > 0x7F:
                length += await self._reader.readexactly(1)
            return first, await self._reader.readexactly(number(length, 0)[0])

    async def enter(self, client_id: str = "one", **more: object) -> tuple[int, bytes]:
        """CONNECT; the flags and the return or reason code of CONNACK, and its properties."""
        self.level = int(more.get("level", 4))  # type: ignore[call-overload]
        self.say(connect(client_id, **more))  # type: ignore[arg-type]
        first, body = await self.next()
        assert first == 0x20
        assert body[1] == 0, body
        return body[0], body[2:]

    async def ask(self, *packets: bytes) -> bytes:
        """Say it and read one packet whole, as first octet and body."""
        self.say(*packets)
        first, body = await self.next()
        return bytes((first,)) + body

    async def message(self) -> Got:
        """The next packet, which is a PUBLISH."""
        return self.read(*await self.next())

    def read(self, first: int, body: bytes) -> Got:
        """A PUBLISH."""
        assert first >> 4 == 3, (first, body)
        topic, at = props.text(body, 0)
        qos, packet_id = first >> 1 & 3, 0
        raw: Raw = {}
        if qos:
            packet_id, at = props.short(body, at)
        if self.level == 5:
            raw, at = props.read(body, at, props.ALLOWED_WILL | {props.SUBSCRIPTION, props.ALIAS}, 99)
        return Got(topic, body[at:], qos, bool(first & 1), bool(first & 8), packet_id, raw)

    async def round_trip(self, topic: str, packet_id: int) -> Got:
        """Publish at QoS 2 what this client is subscribed to: it comes at PUBLISH or at PUBREL, as the server likes."""
        self.say(publish(topic, b"round", 2, packet_id, level=self.level))
        got, done = None, False
        while got is None or not done:
            first, body = await self.next()
            if first >> 4 == 5:
                self.say(ack(0x62, packet_id))
            elif first >> 4 == 7:
                done = True
            else:
                got = self.read(first, body)
        return got

    async def closed(self) -> bytes:
        """What still comes until the other end closes."""
        async with asyncio.timeout(WAIT):
            with suppress(ConnectionError):
                return await self._reader.read(-1)
            return b""

    async def silent(self) -> bool:
        """Whether nothing comes but the answer to a ping, which tells that all before it has been dealt with."""
        self.say(PING)
        return await self.next() == (0xD0, b"")

    def cut(self) -> None:
        """End without a word."""
        self.writer.transport.abort()

    async def leave(self) -> None:
        """DISCONNECT."""
        self.say(DISCONNECT)
        await self.closed()
        self.writer.close()


@asynccontextmanager
async def wire(port: int) -> AsyncIterator[Wire]:
    """A connection for as long as the context lasts."""
    made = Wire(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield made
    finally:
        made.writer.transport.abort()
        with suppress(ConnectionError):
            await made.writer.wait_closed()
