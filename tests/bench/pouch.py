"""PouchDB, its own replication over HTTP between LevelDB stores, with the options it comes with."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests import outside
from tests.bench.counting import Wire
from tests.bench.measured import Measured, Taken

PROGRAM = Path(__file__).with_name("pouch.cjs")
LINE = 1 << 20


class Pouch:
    """One that speaks over `wire` with one that serves."""

    def __init__(self, speaker: asyncio.subprocess.Process, wire: Wire) -> None:
        self._speaker = speaker
        self._wire = wire

    async def tell(self, verb: str, **more: Any) -> dict[str, Any]:
        """Have it done; what it answers."""
        assert self._speaker.stdin is not None
        self._speaker.stdin.write(msgspec.json.encode({"verb": verb, **more}) + b"\n")
        return await _said(self._speaker)

    async def taken(self, documents: int, verb: str, **more: Any) -> Taken:
        """What it took to have so many documents on the other side."""
        before = self._wire.octets
        done = await self.tell(verb, **more)
        if done["written"] != documents:
            raise SystemExit(f"PouchDB wrote {done['written']} documents of {documents}")
        return Taken(documents, done["seconds"], self._wire.octets - before, done["seconds"])


async def _said(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise SystemExit(f"PouchDB ended with {await process.wait()}")
    said: dict[str, Any] = msgspec.json.decode(line)
    return said


@asynccontextmanager
async def _running(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        "node", str(PROGRAM), *arguments, stdin=pipe, stdout=pipe, limit=LINE
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def measure(folder: Path, documents: Path, edits: int) -> Measured:
    """One round in a fresh folder; `documents` is a JSON file of them."""
    modules = str(outside.installed_from_npm(*outside.POUCHDB).parent)
    for name in ("here", "there"):
        (folder / name).mkdir(parents=True)
    async with AsyncExitStack() as opened:
        server = await opened.enter_async_context(_running("serve", modules, str(folder / "there")))
        wire = await opened.enter_async_context(Wire((await _said(server))["port"]).laid())
        url = f"http://127.0.0.1:{wire.port}"
        speaker = await opened.enter_async_context(_running("speak", modules, str(folder / "here"), url))
        pouch = Pouch(speaker, wire)
        count = (await pouch.tell("fill", at="hub", file=str(documents)))["written"]
        taken = {"all_out": await pouch.taken(count, "replicate", **{"from": "hub", "to": "cloud"})}
        taken["all_in"] = await pouch.taken(count, "replicate", **{"from": "cloud", "to": "second"})
        await pouch.tell("edit", at="hub", **{"from": 0, "to": edits}, name="Out")
        taken["edits_out"] = await pouch.taken(edits, "replicate", **{"from": "hub", "to": "cloud"})
        await pouch.tell("edit", at="cloud", **{"from": edits, "to": 2 * edits}, name="In")
        taken["edits_in"] = await pouch.taken(edits, "replicate", **{"from": "cloud", "to": "hub"})
        await pouch.tell("edit", at="hub", **{"from": 0, "to": edits}, name="Both out")
        await pouch.tell("edit", at="cloud", **{"from": edits, "to": 2 * edits}, name="Both in")
        taken["edits_both"] = await pouch.taken(2 * edits, "sync")
    return Measured(taken)
