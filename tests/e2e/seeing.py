"""A virtual device with a camera, as a process that codes are held before."""

import asyncio
import io
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import zxingcpp
from PIL import Image

from app.commands.child import ROOT, HubProcess
from tests.e2e.living import WAIT


class Seeing:
    """The process; `until` reads on to a notice."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def until(self, event: str) -> dict[str, Any]:
        """The next notice of this event."""
        assert self._process.stdout is not None
        async with asyncio.timeout(WAIT):
            while said := await self._process.stdout.readline():
                notice: dict[str, Any] = json.loads(said)
                if notice["event"] == event:
                    return notice
        raise AssertionError(f"it ended without {event}")

    def scan(self, text: str) -> None:
        """A code is held before it."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"scan {text}\n".encode())


@asynccontextmanager
async def seeing(*options: str) -> AsyncIterator[Seeing]:
    """`doorstep device --method qr`, in setup mode."""
    command = (sys.executable, "-m", "app", "device", "--json", "--method", "qr", *options)
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "DOORSTEP_NO_BOOTSTRAP": "1"}
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environ)
    device = Seeing(process)
    try:
        await device.until("setup")
        yield device
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def picture_of(hub: HubProcess, path: str) -> str:
    """The picture a session shows, read by a reader of its own."""
    headers = {"Authorization": f"Bearer {hub.ready['token']}", "Accept": "image/png"}
    async with httpx2.AsyncClient(base_url=hub.ready["url"], verify=False, trust_env=False, timeout=WAIT) as api:
        drawn = await api.get(path, headers=headers)
    assert drawn.status_code == 200, drawn.text
    (seen,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(drawn.content)))
    return str(seen.text)
