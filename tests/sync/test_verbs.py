"""`doorstep sync` against a hub whose cloud was away: what was lost is listed, undone and dismissed."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from app.commands.child import ROOT
from app.serving import Serving
from app.settings import Settings
from tests.api.harness import Api
from tests.api.households import account_of
from tests.sync.together import Together


@asynccontextmanager
async def served(node: Api, anna: httpx2.AsyncClient, folder: Path) -> AsyncIterator[tuple[str, ...]]:
    """How the command reaches a node as Anna, whose client that is."""
    door = Serving(Settings(data=folder, port=0, tls=False))
    endpoint = await door.open(node.app)
    try:
        yield "--hub", endpoint.local_url, "--token", account_of(anna)
    finally:
        await door.close()


async def run(*arguments: str) -> tuple[int, str]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "DOORSTEP_NO_BOOTSTRAP": "1"}
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app", *arguments, stdout=pipe, stderr=pipe, env=environ
    )
    out, _ = await child.communicate()
    return child.returncode or 0, out.decode()


async def told(*arguments: str) -> tuple[int, Any]:
    code, out = await run(*arguments, "--json")
    return code, json.loads(out)


async def test_conflicts_are_listed_undone_and_dismissed(together: Together, tmp_path: Path) -> None:
    paths = [await together.room(name) for name in ("Kitchen", "Hall")]
    for path in paths:
        await together.apart(path, {"name": "Bath"}, {"name": "Cellar"})
    async with served(together.hub, together.at_hub, tmp_path) as at:
        code, listed = await told("sync", "conflicts", "Lindenweg", *at)
        assert (code, [it["why"] for it in listed]) == (0, ["newer", "newer"])
        _, text = await run("sync", "conflicts", "Lindenweg", *at)
        assert "room name" in text
        assert "another edit was newer" in text
        assert "by anna" in text
        code, undone = await told("sync", "undo", "Lindenweg", listed[0]["id"], *at)
        assert (code, undone["state"]) == (0, "undone")
        code, refused = await told("sync", "undo", "Lindenweg", listed[0]["id"], *at)
        assert (code, refused["error"]["code"]) == (6, "cannot_undo")
        code, dismissed = await told("sync", "dismiss", "Lindenweg", listed[1]["id"], *at)
        assert (code, dismissed["state"]) == (0, "dismissed")
        assert await told("sync", "conflicts", "Lindenweg", *at) == (0, [])
        _, every = await told("sync", "conflicts", "Lindenweg", "--all", *at)
        assert [it["state"] for it in every] == ["undone", "dismissed"]
        code, standing = await told("sync", "status", *at)
        assert (code, [it["conflicts"] for it in standing]) == (0, [0])
        _, text = await run("sync", "status", *at)
        assert "connected" in text
        assert "last contact" in text
