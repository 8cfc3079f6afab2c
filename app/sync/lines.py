"""The hub's end of the wire: a WebSocket to the cloud, or single requests where that does not get through."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from msgspec.structs import replace
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from app.errors import DoorstepError
from app.sync.enrolment.door import CloudDoor, NotEnrolled
from app.sync.enrolment.model import Revoked, Superseded
from app.sync.line import Line, LineLost, LineRefused, Traffic
from app.sync.wire import Answer, Done, Head, Request, Wait, Welcome, decode_answer, encode

# A cloud under load answers late; one that has gone without a word does not answer at all.
ANSWER_S: Final = 60.0
# How long one request waits for something to happen.
WAIT_S: Final = 25.0
# After so many WebSockets in a row that were not made while requests get through, requests it is, for a while.
BEFORE_REQUESTS: Final = 2
REQUESTS_S: Final = 600.0


class CloudLines:
    """`app.sync.line.Door` over an enrolled hub's door."""

    def __init__(self, door: CloudDoor, traffic: Traffic | None = None) -> None:
        self._door = door
        self._traffic = traffic or Traffic()
        self._missed = 0

    @asynccontextmanager
    async def line(self) -> AsyncIterator[Line]:
        """A new one; raises LineLost, LineRefused."""
        try:
            # A cloud that answers no requests either says nothing about WebSockets.
            await self._door.session()
            if self._missed >= BEFORE_REQUESTS:
                self._missed = 0
                async with asyncio.timeout(REQUESTS_S):
                    yield RequestLine(self._door, self._traffic)
                return
            async with self._socket() as line:
                yield line
        except TimeoutError as error:
            raise LineLost("looking again whether WebSockets get through") from error
        except (Revoked, Superseded, NotEnrolled) as error:
            raise LineRefused(error.code, str(error)) from error
        except ConnectionClosed as error:
            raise LineLost("the connection to the cloud has ended") from error
        except DoorstepError as error:
            raise LineLost(str(error)) from error

    @asynccontextmanager
    async def _socket(self) -> AsyncIterator[Line]:
        self._missed += 1
        async with self._door.websocket("/sync/stream") as socket:
            self._missed = 0
            line = SocketLine(socket, self._traffic)
            try:
                yield line
            finally:
                await line.close()


class SocketLine:
    """Requests and answers told by their id; what the cloud says of itself has none."""

    def __init__(self, socket: ClientConnection, traffic: Traffic) -> None:
        self._socket = socket
        self._traffic = traffic
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._told: asyncio.Queue[Answer | None] = asyncio.Queue()
        self._reading = asyncio.create_task(self._read(), name="cloud-line-reading")

    async def ask(self, request: Request) -> Answer:
        """The answer; raises LineLost."""
        number = next(self._ids)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            body = encode(replace(request, id=number))
            self._traffic.sent += len(body)
            await self._socket.send(body)
            async with asyncio.timeout(ANSWER_S):
                return await future
        except TimeoutError as error:
            raise LineLost("the cloud does not answer") from error
        except ConnectionClosed as error:
            raise LineLost("the connection to the cloud has ended") from error
        finally:
            self._waiting.pop(number, None)

    async def told(self) -> AsyncIterator[Answer]:
        """Notices; raises LineLost at the end."""
        while (notice := await self._told.get()) is not None:
            yield notice
        raise LineLost("the connection to the cloud has ended")

    async def close(self) -> None:
        """Read no more."""
        self._reading.cancel()
        await asyncio.wait([self._reading])

    async def _read(self) -> None:
        try:
            async for body in self._socket:
                self._traffic.received += len(body)
                self._take(decode_answer(body if isinstance(body, bytes) else body.encode()))
        except (ConnectionClosed, msgspec.MsgspecError):
            pass
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(LineLost("the connection to the cloud has ended"))
            self._told.put_nowait(None)

    def _take(self, answer: Answer) -> None:
        if answer.id == 0:
            self._told.put_nowait(answer)
        elif (future := self._waiting.get(answer.id)) is not None and not future.done():
            future.set_result(answer)


class RequestLine:
    """Each request a POST; what the cloud would say of itself is asked for by a long poll."""

    def __init__(self, door: CloudDoor, traffic: Traffic) -> None:
        self._door = door
        self._traffic = traffic
        self._ids = itertools.count(1)
        # What this hub has of each log, as far as it has been told or has said.
        self._heads: dict[str, tuple[str, int]] = {}
        self._welcomed = asyncio.Event()

    async def ask(self, request: Request) -> Answer:
        """The answer; raises LineLost."""
        answer = await self._post(replace(request, id=next(self._ids)), ANSWER_S)
        if isinstance(answer, Welcome):
            self._heads = {home_id: (epoch, head) for home_id, epoch, head, _ in answer.homes}
            self._welcomed.set()
        return answer

    async def _post(self, request: Request, seconds: float) -> Answer:
        try:
            body = encode(request)
            said = await self._door.post("/sync/exchange", body, answer_s=seconds)
            self._traffic.sent += len(body)
            self._traffic.received += len(said)
            answer: Answer = decode_answer(said)
        except (Revoked, Superseded, NotEnrolled):
            raise
        except (DoorstepError, msgspec.MsgspecError) as error:
            raise LineLost(str(error)) from error
        return answer

    async def told(self) -> AsyncIterator[Answer]:
        """What the cloud says of itself; raises LineLost."""
        # Which logs to ask about is known then.
        await self._welcomed.wait()
        while True:
            had = [(home_id, epoch, head) for home_id, (epoch, head) in self._heads.items()]
            answer = await self._post(Wait(next(self._ids), had, WAIT_S), WAIT_S + ANSWER_S)
            if not isinstance(answer, Done):
                raise LineLost("the cloud answers what was not asked")
            for home_id, epoch, head in answer.heads:
                self._heads[home_id] = epoch, head
                yield Head(0, home_id, epoch, head)
            for notice in answer.notices:
                yield decode_answer(notice)
