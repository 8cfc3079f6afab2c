"""The transport of what stands behind a door: TLS and WebSocket each are one to what they carry."""

import asyncio
from typing import Any, Protocol


class Door(Protocol):
    """Stands between a socket, or another door, and what is carried over it."""

    def write(self, octets: bytes) -> None:
        """Carry these."""

    def end(self) -> None:
        """Close after what is written."""


class Lane(asyncio.Transport):
    """Writes through `door`; all else is asked of the transport that the door has itself."""

    __slots__ = ("_below", "_door", "_facts")

    def __init__(self, door: Door, below: asyncio.Transport, **facts: Any) -> None:
        self._door = door
        self._below = below
        self._facts = facts

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the door knows, or what is below it."""
        return self._facts[name] if name in self._facts else self._below.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Through the door."""
        self._door.write(bytes(data))

    def close(self) -> None:
        """After what is written."""
        self._door.end()

    def is_closing(self) -> bool:
        """As below."""
        return self._below.is_closing()

    def pause_reading(self) -> None:
        """As below."""
        self._below.pause_reading()

    def resume_reading(self) -> None:
        """As below."""
        self._below.resume_reading()

    def abort(self) -> None:
        """As below."""
        self._below.abort()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """As below."""
        self._below.set_write_buffer_limits(high, low)
