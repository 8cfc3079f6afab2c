"""A request that is answered as soon as it is read, with no ASGI in between: what its connection and the short way
share. `app/connections.py` reads it, `app/companion/fast.py` answers it.
"""

import asyncio
from typing import Any, ClassVar, Final, Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

Fields = list[tuple[bytes, bytes]]
_CLOSE: Final = b"connection: close\r\n"


class Line(Protocol):
    """A connection, as a turn needs it."""

    transport: asyncio.Transport
    client: tuple[str, int] | None

    def head(self, status: int) -> bytes:
        """The first lines of an answer."""

    def answered(self, turn: "Turn") -> None:
        """The turn is over; another may begin."""


class ShortWay(Protocol):
    """Answers some requests by itself."""

    def look(self, method: bytes, target: bytes, fields: Fields) -> Any:
        """What is asked, for `answer`; None to have it go the ordinary way. Names of fields are in small letters."""

    def answer(self, asked: Any, turn: "Turn") -> bool:
        """Answer, now or later; False when after all, having seen the body, it must go the ordinary way."""


class Turn:
    """One request and its answer. uvicorn takes it for one of its cycles, so that what comes after it on the same
    connection waits, and a server that ends lets it finish.
    """

    __slots__ = ("_ended", "_line", "asked", "body", "disconnected", "keep_alive", "late", "response_complete")

    # uvicorn wakes who waits for more of a request: here nobody does.
    message_event: ClassVar[asyncio.Event] = asyncio.Event()

    def __init__(self, line: Line, asked: Any) -> None:
        self.asked = asked
        self.body: bytes | bytearray = b""
        # The body came after the head, not with it.
        self.late = False
        self.keep_alive = True
        self.disconnected = False
        self.response_complete = False
        self._line = line
        self._ended: asyncio.Future[None] | None = None

    @property
    def address(self) -> str:
        """Where it came from."""
        client = self._line.client
        return client[0] if client else ""

    def read(self, body: bytes) -> None:
        """Take a piece of the body."""
        if not self.body:
            self.body = body
        else:
            # One that comes octet by octet is not copied for each.
            if isinstance(self.body, bytes):
                self.body = bytearray(self.body)
            self.body += body

    def answer(self, status: int, fields: bytes, body: bytes) -> None:
        """Send the one answer; `fields` are whole lines, without the length."""
        self.response_complete = True
        line = self._line
        if not line.transport.is_closing():
            closing = b"" if self.keep_alive else _CLOSE
            line.transport.write(
                b"%bcontent-length: %d\r\n%b%b\r\n%b" % (line.head(status), len(body), fields, closing, body)
            )
            if not self.keep_alive:
                line.transport.close()
        self.lost()
        line.answered(self)

    def finish(self, tasks: set[Any]) -> None:
        """Be one of `tasks`, which the server waits for, until the answer is sent or nobody is there to get it."""
        if self._ended is None and not self.response_complete:
            self._ended = asyncio.get_running_loop().create_future()
            self._ended.add_done_callback(tasks.discard)
            tasks.add(self._ended)

    def lost(self) -> None:
        """Nobody waits for it any more."""
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)


class Heads:
    """The first lines of answers: joined once for each date, which changes every second."""

    def __init__(self) -> None:
        self._fields: Fields = []
        self._made: dict[int, bytes] = {}

    def of(self, status: int, fields: Fields) -> bytes:
        """The status line and the server's own `fields`."""
        if fields is not self._fields:
            self._fields, self._made = fields, {}
        made = self._made.get(status)
        if made is None:
            made = self._made[status] = STATUS_LINE[status] + b"".join(b"%b: %b\r\n" % field for field in fields)
        return made
