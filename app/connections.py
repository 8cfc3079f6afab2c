"""HTTP connections before it is known who speaks: so many at once, so long and so large a request, and no more."""

import asyncio
from collections import Counter
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.accounts.attempts import peer_of
from app.settings import Limits

# From the first octet of a request, or the connection, to its last: a megabyte over poor Wi-Fi takes a few.
REQUEST_SECONDS: Final = 30.0
# Everything before the body. A token and a key are 300 octets; browsers' cookies, of which there are none here, 4,096.
MAX_HEAD_BYTES: Final = 64 * 1024


class Connection(HttpToolsProtocol):
    """uvicorn's, which by itself waits for ever and keeps whatever headers come. Who is over a limit is hung up on."""

    limits: ClassVar[Limits] = Limits()
    request_seconds: ClassVar[float] = REQUEST_SECONDS
    peers: ClassVar[Counter[str]] = Counter()

    _peer = ""
    _patience: asyncio.TimerHandle | None = None
    _head: int | None = 0
    _begun = 0
    _whole = False

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
        self.peers[self._peer] -= 1
        if not self.peers[self._peer]:
            del self.peers[self._peer]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless this is more than a request's head may be."""
        begun = self._begun
        super().data_received(data)
        # Most requests come whole, in one piece: those cost no timer.
        if self._whole:
            self._stop_waiting()
        elif self._patience is None:
            self._wait()
        if self._head is not None and begun == self._begun:
            self._head += len(data)
            if self._head > MAX_HEAD_BYTES:
                self.transport.abort()

    def on_message_begin(self) -> None:
        """A request has begun; the rest of it has `request_seconds` to come."""
        super().on_message_begin()
        self._head, self._begun, self._whole = 0, self._begun + 1, False

    def on_headers_complete(self) -> None:
        """From here on the application says how much it reads."""
        self._head = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is whole: the answer takes as long as it takes."""
        self._whole = True
        super().on_message_complete()

    def _wait(self) -> None:
        self._patience = self.loop.call_later(self.request_seconds, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


def bounded(limits: Limits) -> type[Connection]:
    """The protocol of one server: its connections count together."""
    facts: dict[str, Any] = {"limits": limits, "peers": Counter[str]()}
    return type("Connection", (Connection,), facts)
