"""A device's setup network, spoken to over HTTP: protocomm's endpoints, to whoever has joined it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import h11

from pairing.errors import MalformedMessageError, PairingError
from pairing.protocomm.calls import MAX_BODY, EndpointRefusedError
from pairing.protocomm.device import SetupDevice
from pairing.pump import close

MAX_CONNECTIONS = 8
MAX_HEAD = 4096
"""Octets of a request's head."""
IDLE = 30.0
"""Seconds a connection may say nothing, or take to say a request."""
READ = 4096

_COOKIE: Final = (b"set-cookie", b"session=1")
"""Clients expect one. The device holds one session at a time, whoever asks."""


@asynccontextmanager
async def serving(device: SetupDevice, host: str, port: int = 0) -> AsyncIterator[int]:
    """Answer for the device while the context lasts; the port. Raises OSError."""
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(tasks) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        with suppress(asyncio.CancelledError):
            await _converse(device, reader, writer)

    server = await asyncio.start_server(accept, host, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _converse(device: SetupDevice, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
    try:
        with suppress(TimeoutError, OSError):
            while await _exchange(device, http, reader, writer):
                http.start_next_cycle()
    finally:
        await close(writer)


async def _exchange(
    device: SetupDevice, http: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    """One request and its answer; whether another may follow."""
    try:
        async with asyncio.timeout(IDLE):
            request = await _request(http, reader)
        if request is None:
            return False
        status, answer = _answer(device, *request)
    except h11.RemoteProtocolError as error:
        status, answer = error.error_status_hint, b""
    except MalformedMessageError:
        status, answer = 413, b""
    if http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
        writer.write(_response(http, status, answer))
        async with asyncio.timeout(IDLE):
            await writer.drain()
    return http.our_state is h11.DONE and http.their_state is h11.DONE


async def _request(http: h11.Connection, reader: asyncio.StreamReader) -> tuple[h11.Request, bytes] | None:
    """A whole request, None at the end. Raises RemoteProtocolError, MalformedMessageError for one that is too long."""
    head: h11.Request | None = None
    body = b""
    while True:
        event = http.next_event()
        match event:
            case h11.NEED_DATA:
                http.receive_data(await reader.read(READ))
            case h11.Request():
                head = event
            case h11.Data():
                body += event.data
                if len(body) > MAX_BODY:
                    raise MalformedMessageError("request too long")
            case h11.EndOfMessage():
                assert head is not None
                return head, body
            case _:
                return None


def _answer(device: SetupDevice, request: h11.Request, body: bytes) -> tuple[int, bytes]:
    if request.method != b"POST":
        return 405, b""
    endpoint = request.target.decode("latin-1").removeprefix("/")
    try:
        return 200, device.answer(endpoint, body)
    except EndpointRefusedError:
        return 404, b""
    except MalformedMessageError:
        return 400, b""
    except PairingError:
        return 403, b""


def _response(http: h11.Connection, status: int, answer: bytes) -> bytes:
    headers = [(b"content-type", b"application/octet-stream"), (b"content-length", b"%d" % len(answer)), _COOKIE]
    head = http.send(h11.Response(status_code=status, headers=headers))
    body = http.send(h11.Data(data=answer))
    return (head or b"") + (body or b"") + (http.send(h11.EndOfMessage()) or b"")
