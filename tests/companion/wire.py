"""HTTP over a plain socket, to the octet: what a client library would not send, and answers as they came."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from msgspec import Struct

WAIT = 30.0
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Answer(Struct, frozen=True):
    """An answer; names of headers are in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def asking(
    method: str, path: str, token: str | None = None, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> bytes:
    """The octets of a request; a body brings its length."""
    stated = {"Host": "hub"}
    if token is not None:
        stated["Authorization"] = f"Bearer {token}"
    if body or method == "POST":
        stated["Content-Length"] = str(len(body))
    lines = [f"{name}: {value}\r\n" for name, value in (stated | dict(headers or {})).items()]
    return f"{method} {path} HTTP/1.1\r\n".encode() + "".join(lines).encode("latin-1") + b"\r\n" + body


async def heard(reader: asyncio.StreamReader, method: str = "GET") -> Answer:
    """The next answer, which is to a request of that method."""
    async with asyncio.timeout(WAIT):
        status = 100
        while status == 100:
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            status = int(first.split(" ")[1])
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        none = method == "HEAD" or "content-length" not in headers
        assert "transfer-encoding" not in headers
        return Answer(status, headers, b"" if none else await reader.readexactly(int(headers["content-length"])))


class Wire:
    """A connection to a port of this machine, made anew whenever the other side has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: Streams | None = None

    async def begin(self, octets: bytes) -> asyncio.StreamReader:
        """Send octets; where the answer comes."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(octets)
        await writer.drain()
        return reader

    async def ask(self, octets: bytes) -> Answer:
        """The one answer to a request, or to the rest of one."""
        answer = await heard(await self.begin(octets), octets.partition(b" ")[0].decode("latin-1"))
        if answer.headers.get("connection") == "close":
            await self.close()
        return answer

    async def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            _, writer = self._streams
            self._streams = None
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
