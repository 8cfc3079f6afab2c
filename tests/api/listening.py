"""An event stream heard over ASGI, frame by frame: httpx2's ASGI transport only gives a body that has ended."""

import asyncio
from collections import deque
from types import TracebackType
from typing import Any, cast

import msgspec
from litestar.types import ASGIApp
from msgspec import Struct

PATIENCE_S = 20.0


class Heard(Struct, frozen=True):
    """One dispatched event."""

    id: str
    event: str
    data: Any


class Listening:
    """`async with Listening(app, token) as stream`, then `await stream.next()`."""

    def __init__(self, app: ASGIApp, token: str | None, last_event_id: str | None = None) -> None:
        self._app = app
        headers = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
        if last_event_id is not None:
            headers.append((b"last-event-id", last_event_id.encode()))
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/api/events",
            "raw_path": b"/api/events",
            "root_path": "",
            "query_string": b"",
            "headers": headers,
            "client": ("127.0.0.1", 50000),
            "server": ("hub", 80),
        }
        self._chunks: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._asked = False
        self._left = asyncio.Event()
        self._frames: deque[Heard] = deque()
        self.reads = asyncio.Event()
        self.reads.set()
        self.status = 0
        self.ended = False
        self.last_id = ""
        self.body = b""

    async def __aenter__(self) -> "Listening":
        self._task = asyncio.create_task(cast("Any", self._app)(self._scope, self._receive, self._send))
        message = await self._message()
        self.status = message["status"]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        self.reads.set()
        async with asyncio.timeout(PATIENCE_S):
            await self._task

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        await self.reads.wait()
        self._chunks.put_nowait(message)

    async def _message(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            return await self._chunks.get()

    async def next(self) -> Heard:
        """The next event; what is only a comment or an id moves `last_id` alone."""
        while not self._frames:
            await self._take()
        return self._frames.popleft()

    async def _take(self) -> None:
        if self.ended:
            raise EOFError
        message = await self._message()
        self.body += message["body"]
        self.ended = not message["more_body"]
        *blocks, self.body = self.body.split(b"\n\n")
        for block in blocks:
            self._parse(block.decode())

    def _parse(self, block: str) -> None:
        fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        self.last_id = fields.get("id", self.last_id)
        if "data" in fields:
            self._frames.append(Heard(self.last_id, fields["event"], msgspec.json.decode(fields["data"])))

    async def until(self, name: str) -> list[Heard]:
        """Everything up to and including the next event called `name`."""
        heard = [await self.next()]
        while heard[-1].event != name:
            heard.append(await self.next())
        return heard

    async def finished(self) -> None:
        """The application is done with this stream, whether or not it said so."""
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.wait([self._task])

    async def place(self, place: str) -> None:
        """Until the stream has come to `place`, or past it, be it by an event or by a heartbeat."""
        while _number(self.last_id) < _number(place):
            await self._take()

    def heard(self) -> list[Heard]:
        """What has come and was not taken yet."""
        return list(self._frames)

    async def rest(self) -> list[Heard]:
        """Everything until the stream ends."""
        heard = []
        while not self.ended or self._frames:
            try:
                heard.append(await self.next())
            except EOFError:
                break
        return heard


def _number(place: str) -> int:
    return int(place.rpartition("-")[2] or 0)
