"""What nobody has to say who they are for: connections, and the heads of requests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from app import connections
from app.connections import MAX_HEAD_BYTES, REQUEST_SECONDS
from app.serving import Endpoint, Serving
from app.settings import Limits, Settings

WAIT = 20.0
ASKED = b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n"


async def answered(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
async def endpoint(tmp_path: Path) -> AsyncIterator[Endpoint]:
    limits = Limits(connections=4, connections_per_address=3)
    serving = Serving(Settings(data=tmp_path, port=0, tls=False, limits=limits))
    yield await serving.open(answered)
    await serving.close()


class Caller:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def asks(self) -> bool:
        """Whether it is answered."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            self.writer.write(ASKED)
            async with asyncio.timeout(WAIT):
                return (await self.reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        return False

    async def is_hung_up_on(self) -> None:
        """Returns when it is."""
        async with asyncio.timeout(WAIT):
            with suppress(ConnectionError):
                while await self.reader.read(1000):
                    pass

    async def hangs_up(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


async def call(endpoint: Endpoint) -> Caller:
    return Caller(*await asyncio.open_connection("127.0.0.1", endpoint.port))


async def test_one_address_has_so_many_connections_and_no_more(endpoint: Endpoint) -> None:
    calls = [await call(endpoint) for _ in range(3)]
    assert [await one.asks() for one in calls] == [True] * 3
    one_too_many = await call(endpoint)
    await one_too_many.is_hung_up_on()
    await one_too_many.hangs_up()
    await calls[0].hangs_up()
    async with asyncio.timeout(WAIT):
        while True:  # until the hub has seen that one go
            again = await call(endpoint)
            if await again.asks():
                break
            await again.hangs_up()
    for one in (again, *calls[1:]):
        await one.hangs_up()


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf"])
async def test_who_does_not_finish_asking_is_hung_up_on(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(connections.Connection, "request_seconds", 0.2)
    one = await call(endpoint)
    one.writer.write(said)
    await one.is_hung_up_on()
    await one.hangs_up()


async def test_a_head_without_end_is_not_kept(endpoint: Endpoint) -> None:
    one = await call(endpoint)
    one.writer.write(b"GET / HTTP/1.1\r\n")
    line = b"X: " + b"x" * (MAX_HEAD_BYTES // 4) + b"\r\n"
    # The rest of the request never comes: only for its head can it be hung up on so soon.
    with suppress(ConnectionError):
        for _ in range(40):
            one.writer.write(line)
            await one.writer.drain()
    async with asyncio.timeout(WAIT):
        await one.is_hung_up_on()
    assert REQUEST_SECONDS > WAIT
    await one.hangs_up()
