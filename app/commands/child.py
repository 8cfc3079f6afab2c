"""Doorstep's own command as child processes, followed line by line: what the demo, and the tests, are made of."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from app.client import Client
from app.errors import Unavailable

ROOT: Final = Path(__file__).resolve().parents[2]
# Generous: a loaded machine is no failure. Everything waits for the line itself.
PATIENCE_SECONDS: Final = 60.0
GRACE_SECONDS: Final = 15.0
LAST_WORDS: Final = 4000


class ChildEnded(Unavailable):
    """A process of Doorstep's ended before it said what was waited for."""

    code = "child_ended"
    hint = "Its last words stand above."


class Child:
    """`doorstep ARGUMENTS` as a process with `--json`: its lines one by one, its signals, its exit code.

    Left by `async with`, it is asked to stop and, when it does not, killed: nothing outlives its parent.
    """

    def __init__(self, *arguments: str | Path, environ: Mapping[str, str] | None = None) -> None:
        self.arguments = [*(str(argument) for argument in arguments), "--json"]
        self._environ = {**os.environ, "PYTHONPATH": str(ROOT), "DOORSTEP_NO_BOOTSTRAP": "1", **(environ or {})}
        self._process: asyncio.subprocess.Process
        self._errors: asyncio.Task[bytes]

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "app",
            *self.arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environ,
            start_new_session=True,  # Ctrl-C is the parent's to pass on, in its order
        )
        self._errors = asyncio.create_task(_tail(self._process.stderr))
        try:
            await self._entered()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def _entered(self) -> None:
        """What must have happened before the process counts as started."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(TimeoutError, ProcessLookupError):
            if self._process.returncode is None:
                self._process.terminate()
                await asyncio.wait_for(self._drained(), GRACE_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            if self._process.returncode is None:
                self._process.kill()
        await self._drained()
        await self._errors
        if self._process.stdin is not None:
            self._process.stdin.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def line(self) -> dict[str, Any]:
        """The next JSON object it prints; raises ChildEnded, or TimeoutError after a minute of silence."""
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            while text := await self._process.stdout.readline():
                with contextlib.suppress(ValueError):
                    if isinstance(said := json.loads(text), dict):
                        return said
            code = await self._process.wait()
        raise ChildEnded(f"`doorstep {' '.join(self.arguments)}` ended with {code}. {await self.last_words()}")

    async def until(self, **wanted: object) -> dict[str, Any]:
        """The next line that has all of `wanted`."""
        while True:
            said = await self.line()
            if wanted.items() <= said.items():
                return said

    def tell(self, text: str) -> None:
        """A line on its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode() + b"\n")

    def send(self, number: signal.Signals) -> None:
        """A signal."""
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Its exit code, once it has ended by itself."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._drained()
            return await self._process.wait()

    async def last_words(self) -> str:
        """The end of its standard error, once it has ended."""
        return (await self._errors).decode(errors="replace")

    async def _drained(self) -> None:
        assert self._process.stdout is not None
        while await self._process.stdout.read(1 << 16):
            pass
        await self._process.wait()


class HubProcess(Child):
    """`doorstep serve` on `data`, by default on free ports. `ready` is what it printed once it answered."""

    def __init__(
        self, data: Path, *more: str, port: int = 0, link_port: int = 0, environ: Mapping[str, str] | None = None
    ) -> None:
        ports = ("--port", str(port), "--link-port", str(link_port))
        super().__init__("serve", "--data", data, *ports, *more, environ=environ)
        self.ready: dict[str, Any] = {}

    async def _entered(self) -> None:
        self.ready = await self.until(event="ready")

    def client(self, token: str | None = None) -> Client:
        """A client of this hub, its certificate pinned."""
        return Client(self.ready["url"], token=token, pin=self.ready["pin"])

    async def stop(self) -> int:
        """SIGTERM, and the exit code of an orderly end."""
        self.send(signal.SIGTERM)
        return await self.ended()


async def _tail(stream: asyncio.StreamReader | None) -> bytes:
    assert stream is not None
    kept = b""
    while more := await stream.read(1 << 16):
        kept = (kept + more)[-LAST_WORDS:]
    return kept
