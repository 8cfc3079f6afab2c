"""A stretch of network: what goes through is counted, and it can be cut."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

CHUNK = 1 << 18


class Wire:
    """To one port of this machine. `octets` both ways; `met_at` when somebody first connected since it was joined."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._open: set[asyncio.Task[None]] = set()
        self._joined = True
        self.port = 0
        self.octets = 0
        self.met_at: float | None = None

    def cut(self) -> None:
        """Nothing gets through, and what stood has ended."""
        self._joined = False
        for task in self._open:
            task.cancel()

    def join(self) -> None:
        """It gets through again."""
        self._joined, self.met_at = True, None

    @asynccontextmanager
    async def laid(self) -> AsyncIterator["Wire"]:
        """On a free port, while the context lasts."""
        server = await asyncio.start_server(self._met, "127.0.0.1", 0, limit=CHUNK)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()
            await asyncio.gather(*self._open, return_exceptions=True)

    async def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            if self._joined:
                self.met_at = self.met_at or time.perf_counter()
                await self._carry(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target, limit=CHUNK)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass_on(reader, back))
                both.create_task(self._pass_on(there, writer))
        except* OSError:
            pass
        finally:
            back.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while octets := await reader.read(CHUNK):
            self.octets += len(octets)
            writer.write(octets)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()
