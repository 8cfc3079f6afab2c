"""A load that is cheaper than what it measures: keep-alive HTTP/1.1 over raw asyncio protocols.

Each connection has one request in flight, so that what is measured is latency under a fixed concurrency.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from statistics import median
from typing import cast

from msgspec import Struct

Request = bytes


class Figures(Struct, frozen=True):
    """Of one measurement: answers a second, and latencies in ms."""

    rate: float
    median_ms: float
    p99_ms: float
    answers: int
    errors: int


class _Connection(asyncio.Protocol):
    def __init__(self, requests: Iterator[Request], expected: bytes, ended: Callable[[], bool]) -> None:
        self._requests = requests
        self._expected = expected
        self._ended = ended
        self._buffer = b""
        self._sent_at = 0.0
        self._transport: asyncio.Transport
        self.latencies: list[float] = []
        self.errors: list[bytes] = []
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._next()

    def _next(self) -> None:
        if self._ended():
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head_end = self._buffer.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = self._buffer[:head_end].lower()
        at = head.find(b"content-length: ") + 16
        line_end = head.find(b"\r", at)
        length = int(head[at : line_end if line_end > 0 else head_end])
        if len(self._buffer) < head_end + 4 + length:
            return
        self.latencies.append(time.perf_counter() - self._sent_at)
        if not self._buffer.startswith(self._expected):
            self.errors.append(self._buffer[:300])
        self._buffer = self._buffer[head_end + 4 + length :]
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def measure(
    host: str, port: int, requests: list[Request], *, seconds: float, concurrency: int, status: int
) -> Figures:
    """Send `requests` round robin over `concurrency` connections for `seconds`; an answer not `status` is an error."""
    loop, turn = asyncio.get_running_loop(), cycle(requests)
    begin = time.perf_counter()
    connections = []
    for _ in range(concurrency):
        _, connection = await loop.create_connection(
            lambda: _Connection(turn, f"HTTP/1.1 {status}".encode(), lambda: time.perf_counter() - begin > seconds),
            host,
            port,
        )
        connections.append(connection)
    for connection in connections:
        await connection.done
    elapsed = time.perf_counter() - begin
    latencies = sorted(latency for connection in connections for latency in connection.latencies)
    errors = [error for connection in connections for error in connection.errors]
    if errors:
        print(errors[0].decode(errors="replace"))
    return Figures(
        rate=len(latencies) / elapsed,
        median_ms=median(latencies) * 1000,
        p99_ms=latencies[int(len(latencies) * 0.99)] * 1000,
        answers=len(latencies),
        errors=len(errors),
    )


def request(method: str, path: str, token: str = "", body: bytes = b"") -> Request:
    """The bytes of one request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: hub"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
