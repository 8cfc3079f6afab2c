"""Mosquitto as a process of its own, on a free port, with nothing of it left afterwards."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

PROGRAM = "/usr/sbin/mosquitto"
WAIT = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def answers(port: int) -> None:
    """Returns once somebody listens there."""
    async with asyncio.timeout(WAIT):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.02)


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)


@asynccontextmanager
async def mosquitto(folder: Path, port: int = 0, *, more: Sequence[str] = ()) -> AsyncIterator[int]:
    """The port it listens on. With `more` lines of its configuration it decides itself whom it lets in."""
    port = port or free_port()
    file = folder / "mosquitto.conf"
    lines = [f"listener {port} 127.0.0.1", "persistence false", "log_type none", "user root"]
    lines += more or ["allow_anonymous true"]
    await asyncio.to_thread(_write, file, "\n".join(lines))
    process = await asyncio.create_subprocess_exec(PROGRAM, "-c", str(file), stderr=asyncio.subprocess.DEVNULL)
    try:
        await answers(port)
        yield port
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
