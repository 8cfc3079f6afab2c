"""The cloud's end of the wire: a WebSocket of a hub, and the same requests one by one (PROTOCOL.md 7)."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog
from litestar import Request, Response, Router, WebSocket, post, websocket
from litestar.di import NamedDependency
from litestar.types import Receive, Send

from app.caller import demand
from app.clock import Clock
from app.errors import DoorstepError, Invalid
from app.policy import Action, Actor, Resource
from app.store.errors import StoreError
from app.sync.cloud_end import CloudEnd, Peer
from app.sync.enrolment.hubs import Hubs
from app.sync.enrolment.tokens import HubTokens
from app.sync.line import Traffic
from app.sync.wire import MAX_MESSAGE, Answer, Failed, decode_request, encode
from app.sync.wire import Request as SyncRequest

MEDIA_TYPE: Final = "application/msgpack"
# What a hub has asked, and not been answered: two pages of facts, reports, journal and commands, and some room.
MAX_ASKED: Final = 8
# Of what the cloud says of itself: a hub that does not read so much is hung up on, and comes back.
MAX_TOLD: Final = 1_000
# Octets that are decoded in under a millisecond.
LARGE: Final = 128 * 1024
POLICY: Final = 1008
TRY_LATER: Final = 1013
_log = structlog.get_logger("doorstep.sync")


class HubStreams:
    """Serves the WebSockets of hubs; one ends when the life of the hub that opened it may speak no more."""

    def __init__(self, cloud_end: CloudEnd, hubs: Hubs, tokens: HubTokens, clock: Clock) -> None:
        self._cloud_end = cloud_end
        self._hubs = hubs
        self._clock = clock
        self.traffic = Traffic()
        # Requests by their type.
        self.asked: Counter[str] = Counter()
        self._ending: dict[tuple[str, str], list[Callable[[], None]]] = {}
        tokens.on_ended.append(self._ended)

    def __len__(self) -> int:
        """How many are open."""
        return sum(map(len, self._ending.values()))

    def peer_of(self, actor: Actor | None) -> Peer:
        """The hub that speaks; raises NotFound where none does."""
        demand(actor or Actor(None), Action.SYNC_SPEAK, Resource(), self._clock.now())
        return Peer((actor and actor.hub_id) or "", (actor and actor.node) or "")

    async def answer(self, peer: Peer, body: bytes) -> bytes:
        """One request; raises Invalid for what is none."""
        try:
            # A large one would hold up everybody else on the event loop.
            request = decode_request(body) if len(body) < LARGE else await asyncio.to_thread(decode_request, body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Invalid("this is no request of a hub") from error
        self._hubs.heard(peer.hub_id)
        self.asked[type(request).__name__] += 1
        answer = encode(await self._answered(peer, request))
        self.traffic.received += len(body)
        self.traffic.sent += len(answer)
        return answer

    async def _answered(self, peer: Peer, request: SyncRequest) -> Answer:
        try:
            return await self._cloud_end.answer(peer, request)
        except DoorstepError as error:
            return Failed(request.id, error.code, str(error), error.retryable)
        except StoreError as error:
            return Failed(request.id, error.code, "the cloud's disk does not take it", True)

    async def serve(self, peer: Peer, receive: Receive, send: Send) -> None:
        """ASGI, of a hub that has proved itself."""
        await receive()  # websocket.connect
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        talk = _Talk(self, peer, receive, send)
        ends = self._ending.setdefault((peer.hub_id, peer.node), [])
        ends.append(talk.end)
        disconnect = self._cloud_end.connect(peer, talk.tell)
        try:
            await talk.run()
        finally:
            disconnect()
            ends.remove(talk.end)
            if not ends:
                self._ending.pop((peer.hub_id, peer.node), None)

    def _ended(self, hub_id: str, node: str) -> None:
        for end in tuple(self._ending.get((hub_id, node), ())):
            end()

    def close(self) -> None:
        """The cloud stops: every stream ends, and hubs come back once it is up again."""
        self._cloud_end.close()
        for ends in tuple(self._ending.values()):
            for end in tuple(ends):
                end()


class _Talk:
    """One WebSocket: requests are answered as they are done, notices go out between."""

    def __init__(self, streams: HubStreams, peer: Peer, receive: Receive, send: Send) -> None:
        self._streams = streams
        self._peer = peer
        self._receive = receive
        self._send = send
        self._out: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_TOLD)
        self._asked: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(MAX_ASKED)

    def tell(self, notice: Answer) -> bool:
        """Say something; False: the hub does not read."""
        try:
            self._out.put_nowait(encode(notice))
        except asyncio.QueueFull:
            self.end()
            return False
        return True

    def end(self) -> None:
        """Hang up."""
        while self._out.full():
            self._out.get_nowait()
        self._out.put_nowait(None)

    async def run(self) -> None:
        """Until either end hangs up."""
        reading = asyncio.create_task(self._read(), name="hub-stream-reading")
        writing = asyncio.create_task(self._write(), name="hub-stream-writing")
        try:
            await asyncio.wait([reading, writing], return_when=asyncio.FIRST_COMPLETED)
        finally:
            tasks = [reading, writing, *self._asked]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(Exception):
                await self._send({"type": "websocket.close", "code": TRY_LATER, "reason": ""})

    async def _read(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] != "websocket.receive":
                return
            body = message.get("bytes")
            if not body or len(body) > MAX_MESSAGE:
                return
            await self._room.acquire()
            task = asyncio.create_task(self._answer(body), name="hub-stream-answer")
            self._asked.add(task)
            task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._asked.discard(task)
        self._room.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            if not isinstance(error, Invalid):
                _log.error("a hub's request failed", exc_info=error, hub=self._peer.hub_id)
            self.end()

    async def _answer(self, body: bytes) -> None:
        await self._out.put(await self._streams.answer(self._peer, body))

    async def _write(self) -> None:
        while (said := await self._out.get()) is not None:
            await self._send({"type": "websocket.send", "bytes": said, "text": None})


@websocket("/stream", opt={"action": Action.SYNC_SPEAK})
async def stream(socket: WebSocket[Any, Any, Any], hub_streams: NamedDependency[HubStreams]) -> None:
    """A hub's standing connection."""
    speaker = socket.scope["state"].get("speaker")
    if speaker is None or speaker.hub_id is None:
        await socket.receive()
        await socket.send({"type": "websocket.close", "code": POLICY, "reason": ""})
        return
    await hub_streams.serve(hub_streams.peer_of(speaker), socket.receive, socket.send)


@post("/exchange", opt={"action": Action.SYNC_SPEAK}, status_code=200)
async def exchange(request: Request[Any, Any, Any], hub_streams: NamedDependency[HubStreams]) -> Response[bytes]:
    """One request of a hub, where WebSockets do not get through."""
    peer = hub_streams.peer_of(request.scope["state"].get("speaker"))
    answer = await hub_streams.answer(peer, await request.body())
    return Response(answer, media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})


ROUTER = Router("/sync/", route_handlers=[stream, exchange], request_max_body_size=MAX_MESSAGE, include_in_schema=False)
