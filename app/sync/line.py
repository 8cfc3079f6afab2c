"""What the engine speaks through: a standing connection to a cloud, or single requests (PROTOCOL.md 7)."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct

from app.sync.wire import Answer, Request


class Traffic(Struct):
    """Octets of messages, as they were sent and received; TLS and framing not counted."""

    sent: int = 0
    received: int = 0


class LineLost(Exception):
    """The connection has ended, or never began; `why` is for people. Another try may succeed."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class LineRefused(Exception):
    """The cloud does not want this hub (any more): trying again changes nothing until a person does."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


class Line(Protocol):
    """One connection."""

    async def ask(self, request: Request) -> Answer:
        """The answer; raises LineLost."""

    def told(self) -> AsyncIterator[Answer]:
        """What the cloud says of itself; raises LineLost at the end of the connection."""


class Door(Protocol):
    """Where lines come from."""

    def line(self) -> AbstractAsyncContextManager[Line]:
        """A new one; raises LineLost, LineRefused."""
