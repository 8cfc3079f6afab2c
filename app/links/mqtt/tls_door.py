"""TLS in front of a client, over memory: the connection counts from its first octet, and so does its handshake's time.

asyncio's own TLS shows a connection only once the handshake is over, and until then counts for nobody.
"""

import asyncio
import ssl
from contextlib import suppress

from app.links.mqtt.client import Client
from app.links.mqtt.lane import Lane

RECORDS = 1 << 16


class TlsDoor(asyncio.Protocol):
    """Stands between a socket and what speaks over it, `inner`, which is the client or leads to it."""

    def __init__(self, client: Client, inner: asyncio.Protocol, context: ssl.SSLContext) -> None:
        self._client = client
        self._inner = inner
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._socket: asyncio.Transport
        # The handshake is over, and `inner` knows of its connection.
        self._greeted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A stranger, if there is room for one."""
        self._socket = transport  # type: ignore[assignment]  # uvloop's are none by inheritance
        self._client.enter(transport)

    def data_received(self, data: bytes) -> None:
        """Shake hands, then read."""
        self._incoming.write(data)
        try:
            if not self._greeted:
                self._tls.do_handshake()
                self._greeted = True
                self._inner.connection_made(Lane(self, self._socket, ssl_object=self._tls))
            while plain := self._tls.read(RECORDS):
                self._inner.data_received(plain)
            self._socket.close()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError:
            # The alert that says why is the last that goes out.
            self._flush()
            self._socket.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """To who knows of it."""
        (self._inner if self._greeted else self._client).connection_lost(exc)

    def pause_writing(self) -> None:
        """Hand on."""
        if self._greeted:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Hand on."""
        if self._greeted:
            self._inner.resume_writing()

    def write(self, octets: bytes) -> None:
        """For who is behind: memory takes it all at once."""
        if octets and not self._socket.is_closing():
            try:
                self._tls.write(octets)
            except ssl.SSLError:
                self._socket.abort()
            self._flush()

    def end(self) -> None:
        """For who is behind: say goodbye, and do not wait for the other's."""
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        self._flush()
        self._socket.close()

    def _flush(self) -> None:
        if self._outgoing.pending and not self._socket.is_closing():
            self._socket.write(self._outgoing.read())
