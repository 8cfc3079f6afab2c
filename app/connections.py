"""HTTP connections before it is known who speaks: so many at once, so long and so large a request, and no more.

One that becomes a WebSocket counts on, until it ends.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

from app.accounts.attempts import peer_of
from app.settings import Limits
from app.turn import Heads, ShortWay, Turn

# From the first octet of a request, or the connection, to its last: a megabyte over poor Wi-Fi takes a few.
REQUEST_SECONDS: Final = 30.0
# Of WebSockets at both ends. For a page of a home's log zlib's usual 6 takes three times as long as 1, on the event
# loop, and saves a tenth; 12 bits of window and 5 of memory are 20 KiB a connection (websockets, Compression).
DEFLATE: Final = {"level": 1, "memLevel": 5}
WINDOW_BITS: Final = 12
# Everything before the body. A token and a key are 300 octets; browsers' cookies, of which there are none here, 4,096.
MAX_HEAD_BYTES: Final = 64 * 1024


class Stream(WebSocketsSansIOProtocol):
    """uvicorn's, which by itself deflates harder than a LAN is slow; `ended` is told of its end."""

    ended: Callable[[], None] | None = None

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.conn.available_extensions = [
            ServerPerMessageDeflateFactory(
                server_max_window_bits=WINDOW_BITS, client_max_window_bits=WINDOW_BITS, compress_settings=DEFLATE
            )
        ]

    def connection_lost(self, exc: Exception | None) -> None:
        """It counts no more."""
        super().connection_lost(exc)
        if self.ended is not None:
            self.ended()


class Connection(HttpToolsProtocol):
    """uvicorn's, which by itself waits for ever and keeps whatever headers come. Who is over a limit is hung up on.

    A usual request of the hottest routes is answered by `short` as soon as it is read; any other is handed to uvicorn
    when its head is whole, as if it had read that itself.
    """

    limits: ClassVar[Limits] = Limits()
    request_seconds: ClassVar[float] = REQUEST_SECONDS
    peers: ClassVar[Counter[str]] = Counter()
    heads: ClassVar[Heads] = Heads()
    short: ClassVar[ShortWay | None] = None

    _peer = ""
    _patience: asyncio.TimerHandle | None = None
    _head: int | None = 0
    _begun = 0
    _whole = False
    # The request that the short way has taken: until it is answered, and until it is read.
    _turn: Turn | None = None
    _reading: Turn | None = None
    # uvicorn sets and cancels a timer for each answer; after those of the short way one runs on, and looks back.
    _idle: asyncio.TimerHandle | None = None
    _idle_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it, or hang up."""
        super().connection_made(transport)
        self._peer = peer_of(self.client[0]) if self.client else ""
        self.peers[self._peer] += 1
        of_all, of_peer = self.limits.connections, self.limits.connections_per_address
        if self.peers.total() > of_all or self.peers[self._peer] > of_peer:
            transport.abort()
            return
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """It counts no more."""
        self._stop_waiting()
        self._left()
        super().connection_lost(exc)
        if self._turn is not None:
            self._turn.lost()
        if self._idle is not None:
            self._idle.cancel()

    def handle_websocket_upgrade(self) -> None:
        """Its transport is a WebSocket's from here on."""
        self._stop_waiting()
        super().handle_websocket_upgrade()
        stream = self.transport.get_protocol()
        if isinstance(stream, Stream):
            stream.ended = self._left

    def _left(self) -> None:
        self.peers[self._peer] -= 1
        if not self.peers[self._peer]:
            del self.peers[self._peer]

    def data_received(self, data: bytes) -> None:
        """Read on, unless this is more than a request's head may be."""
        begun = self._begun
        super().data_received(data)
        # Most requests come whole, in one piece: those cost no timer.
        if self._whole:
            self._stop_waiting()
        else:
            if self._patience is None:
                self._wait()
            if self._reading is not None:
                self._reading.late = True
        if self._head is not None and begun == self._begun:
            self._head += len(data)
            if self._head > MAX_HEAD_BYTES:
                self.transport.abort()

    def on_message_begin(self) -> None:
        """A request has begun; the rest of it has `request_seconds` to come."""
        self._head, self._begun, self._whole = 0, self._begun + 1, False
        self._target = b""
        self._fields: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        """A piece of it."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field of the head; what follows a body is nobody's."""
        if self._head is not None:
            self._fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """From here on the application says how much it reads."""
        self._head = None
        if self.short is not None and self._is_usual():
            asked = self.short.look(self.parser.get_method(), self._target, self._fields)
            if asked is not None:
                self._reading = self._turn = Turn(self, asked)
                self.cycle = self._turn  # type: ignore[assignment]  # to uvicorn a cycle as any
                return
        self._hand_over()

    def on_body(self, body: bytes) -> None:
        """A piece of it."""
        if self._reading is None:
            super().on_body(body)
        else:
            self._reading.read(body)

    def on_message_complete(self) -> None:
        """The request is whole: the answer takes as long as it takes."""
        self._whole = True
        turn, self._reading = self._reading, None
        if turn is None or self.short is None:
            super().on_message_complete()
        elif not self.short.answer(turn.asked, turn):
            self._hand_over_whole(turn)

    def head(self, status: int) -> bytes:
        """The first lines of an answer."""
        return self.heads.of(status, self.server_state.default_headers)

    def answered(self, turn: Turn) -> None:
        """The short way has; another request may come, or is there already."""
        self._turn = None
        if self.pipeline or self.transport.is_closing():
            self.on_response_complete()
            return
        self.server_state.total_requests += 1
        self._idle_since = self.loop.time()
        if self._idle is None:
            self._idle = self.loop.call_later(self.timeout_keep_alive, self._hang_up_if_idle)

    def shutdown(self) -> None:
        """The server ends: a request that the short way has taken is answered first, as any other."""
        super().shutdown()
        if self._turn is not None:
            self._turn.finish(self.tasks)

    def _hang_up_if_idle(self) -> None:
        """Nothing was asked for as long as a connection is kept without; or look again when that would be."""
        self._idle = None
        if not self._whole or not self.cycle.response_complete or self.timeout_keep_alive_task is not None:
            return  # The next answer begins anew; that of uvicorn has.
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._idle = self.loop.call_later(left, self._hang_up_if_idle)
        else:
            self.transport.close()

    def _is_usual(self) -> bool:
        """Nothing before it is unanswered, nothing unread, and another may follow."""
        cycle: RequestResponseCycle | None = self.cycle
        free, parser = cycle is None or cycle.response_complete, self.parser
        return free and not self.flow.write_paused and parser.should_keep_alive() and parser.get_http_version() == "1.1"

    def _hand_over(self) -> None:
        super().on_message_begin()
        super().on_url(self._target)
        for name, value in self._fields:
            super().on_header(name, value)
        super().on_headers_complete()

    def _hand_over_whole(self, turn: Turn) -> None:
        self.cycle, self._turn = None, None  # type: ignore[assignment]
        self._hand_over()
        self.cycle.keep_alive = self.cycle.keep_alive and turn.keep_alive
        if turn.body:
            super().on_body(bytes(turn.body))
        super().on_message_complete()

    def _wait(self) -> None:
        self._patience = self.loop.call_later(self.request_seconds, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


def bounded(limits: Limits, short: ShortWay | None = None) -> type[Connection]:
    """The protocol of one server: its connections count together."""
    facts: dict[str, Any] = {"limits": limits, "peers": Counter[str](), "heads": Heads(), "short": short}
    return type("Connection", (Connection,), facts)
