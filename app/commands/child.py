"""Doorstep's own command as child processes, followed line by line: what the demo, and the tests, are made of."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final, Self

from app.client import Client
from app.errors import Unavailable

ROOT: Final = Path(__file__).resolve().parents[2]
# Generous: a loaded machine is no failure. Everything waits for the thing itself.
PATIENCE_SECONDS: Final = 60.0
GRACE_SECONDS: Final = 15.0
LOOK_SECONDS: Final = 0.02
LAST_WORDS: Final = 4000


class ChildEnded(Unavailable):
    """A process of Doorstep's ended before it said what was waited for."""

    code = "child_ended"
    hint = "Its last words stand above."


class Child:
    """`doorstep ARGUMENTS --json` as a process: its lines one by one, its signals, its exit code.

    It writes to files in `folder` (`NAME.out`, `NAME.log`), so that it can outlive this process: after `keep`, it does;
    otherwise leaving `async with` asks it to stop and, when it does not, kills it. `through` is a command that starts
    it elsewhere (`ip netns exec NAME`) by becoming it. One that `listens` can be told lines.
    """

    module: ClassVar[str] = "app"

    def __init__(
        self,
        *arguments: str | Path,
        environ: Mapping[str, str] | None = None,
        folder: Path | None = None,
        through: Sequence[str] = (),
        listens: bool = False,
    ) -> None:
        self.arguments = [*(str(argument) for argument in arguments), "--json"]
        self._environ = {**os.environ, "PYTHONPATH": str(ROOT), "DOORSTEP_NO_BOOTSTRAP": "1", **(environ or {})}
        self._folder = folder
        self._through = through
        self._listens = listens
        self._kept = False
        self._at = 0
        self._unread = b""
        self._out: Path
        self._log: Path
        self._process: subprocess.Popen[bytes]

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._start)
        try:
            await self._entered()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    def _start(self) -> None:
        folder = self._folder or Path(tempfile.mkdtemp(prefix="doorstep-"))
        self._out, self._log = folder / f"{self.arguments[0]}.out", folder / f"{self.arguments[0]}.log"
        with self._out.open("wb") as out, self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [*self._through, sys.executable, "-m", self.module, *self.arguments],
                stdin=subprocess.PIPE if self._listens else subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                env=self._environ,
                start_new_session=True,  # Ctrl-C is the parent's to pass on, in its order
            )

    async def _entered(self) -> None:
        """What must have happened before the process counts as started."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._kept:
            return
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(self._process.wait, GRACE_SECONDS)
        if self._process.poll() is None:
            self._process.kill()
        await asyncio.to_thread(self._process.wait)
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self._folder is None:
            await asyncio.to_thread(shutil.rmtree, self._out.parent)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def keep(self) -> None:
        """Let it outlive this process."""
        self._kept = True

    async def line(self) -> dict[str, Any]:
        """The next JSON object it prints; raises ChildEnded, or TimeoutError after a minute of silence."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                ended = self._process.poll() is not None
                while (text := await self._next()) is not None:
                    with contextlib.suppress(ValueError):
                        if isinstance(said := json.loads(text), dict):
                            return said
                if ended:
                    break
                await asyncio.sleep(LOOK_SECONDS)  # a file does not tell when it grows
        words = await self.last_words()
        raise ChildEnded(f"`doorstep {' '.join(self.arguments)}` ended with {self._process.returncode}. {words}")

    async def until(self, **wanted: object) -> dict[str, Any]:
        """The next line that has all of `wanted`."""
        while True:
            said = await self.line()
            if wanted.items() <= said.items():
                return said

    def send(self, number: signal.Signals) -> None:
        """A signal."""
        self._process.send_signal(number)

    async def say(self, line: str) -> None:
        """A line on its standard input."""
        await asyncio.to_thread(self._say, line)

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    async def ended(self) -> int:
        """Its exit code, once it has ended by itself."""
        return await asyncio.to_thread(self._process.wait, PATIENCE_SECONDS)

    async def last_words(self) -> str:
        """The end of its standard error."""
        return (await asyncio.to_thread(self._log.read_bytes))[-LAST_WORDS:].decode(errors="replace")

    async def _next(self) -> bytes | None:
        """The next whole line of its output, if one is there."""
        if b"\n" not in self._unread:
            more = await asyncio.to_thread(_read, self._out, self._at)
            self._at += len(more)
            self._unread += more
        text, newline, rest = self._unread.partition(b"\n")
        if not newline:
            return None
        self._unread = rest
        return text


class HubProcess(Child):
    """`doorstep serve` on `data`, by default on free ports. `ready` is what it printed once it answered."""

    def __init__(
        self,
        data: Path,
        *more: str,
        port: int = 0,
        link_port: int = 0,
        environ: Mapping[str, str] | None = None,
        folder: Path | None = None,
        through: Sequence[str] = (),
    ) -> None:
        ports = ("--port", str(port), "--link-port", str(link_port), "--mqtt-port", "0", "--mqtt-tls-port", "0")
        super().__init__("serve", "--data", data, *ports, *more, environ=environ, folder=folder, through=through)
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


def _read(file: Path, at: int) -> bytes:
    with file.open("rb") as stream:
        stream.seek(at)
        return stream.read(1 << 20)
