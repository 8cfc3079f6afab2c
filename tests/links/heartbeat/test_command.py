"""The command on a hub's machine: register what calls home, reset it, ask how far that has come."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from app.commands.exits import Exit
from app.serving import Serving
from app.settings import Settings
from tests.e2e.living import living


async def doorstep(*words: str) -> tuple[int, Any]:
    """(exit code, what it answers)."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", *words, "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "DOORSTEP_NO_BOOTSTRAP": "1"},
    )
    said, complained = await child.communicate()
    assert child.returncode is not None
    return child.returncode, json.loads(said or complained)


async def test_register_reset_and_ask(tmp_path: Path) -> None:
    async with living(tmp_path / "hub") as hub:
        await hub.claim()
        door = Serving(Settings(data=tmp_path / "hub", port=0, tls=False))
        endpoint = await door.open(hub.node.asgi)
        try:
            token = hub.owner.headers["authorization"].removeprefix("Bearer ")
            at = ("--hub", endpoint.url, "--token", token)
            code, made = await doorstep("credential", "register", "7", "--link", "heartbeat", "--name", "Shed", *at)
            assert (code, made["device_id"], made["secret"][:4]) == (0, "lamp_7", "dvt_")
            code, shown = await doorstep("reset", "Shed", "--state", *at)
            assert code == Exit.NOT_FOUND, shown
            code, shown = await doorstep("reset", "Shed", *at)
            assert (code, shown["state"], shown["record"]) == (0, "queued", "keep")
            code, again = await doorstep("reset", "Shed", "--state", *at)
            assert (code, again["id"]) == (0, shown["id"])
            code, removed = await doorstep("reset", "Shed", "--remove", *at)
            assert (code, removed["record"]) == (0, "remove")
            assert (await hub.owner.get(f"/api/devices/{made['device']['id']}")).status_code == 404
        finally:
            await door.close()
