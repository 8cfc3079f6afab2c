"""The demo as README shows it: on this machine, in a namespace with nothing but `lo`, and kept."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from app.client import Client
from app.commands.child import ROOT

ENVIRON = {**os.environ, "PYTHONPATH": str(ROOT), "DOORSTEP_NO_BOOTSTRAP": "1"}
DEMO = [sys.executable, "-m", "app", "demo", "--json"]
# In the order they must be told.
TOLD = [
    "the hub answers",
    "Ben joins with the code Anna gave him",
    "it announces itself by mDNS",
    "hub and lamp show the same code; Anna says yes",
    "joined",
    "the lamp connects back",
    "Anna switches it on; the lamp answers",
    "Anna reads the value back from the lamp itself",
    "before it is shared, Carla does not even see it: refused",
    "Carla switches it off; the lamp answers",
    "Carla reads the value back from the lamp itself",
    "Carla tries again: refused",
]


def run(*command: str, folder: Path) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, JSON lines and standard error."""
    done = subprocess.run(
        [*command, "--folder", str(folder)], env=ENVIRON, capture_output=True, text=True, check=False, timeout=180
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def in_order(lines: list[dict[str, Any]]) -> list[str]:
    """Those of `TOLD` that were told, in the order they were."""
    return [line["text"] for line in lines if line.get("text") in TOLD]


def test_the_whole_way(tmp_path: Path) -> None:
    code, lines, errors = run(*DEMO, folder=tmp_path / "demo")
    assert (code, errors) == (0, ""), lines[-1:]
    assert in_order(lines) == TOLD
    times = [line["at"] for line in lines if "at" in line]
    assert times == sorted(times)


def test_the_whole_way_with_nothing_but_loopback(tmp_path: Path) -> None:
    alone = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    code, lines, errors = run(*alone, *DEMO, folder=tmp_path / "demo")
    assert (code, errors) == (0, ""), lines[-1:]
    assert in_order(lines) == TOLD


def test_a_failure_names_the_chapter_and_the_cause(tmp_path: Path) -> None:
    blocked = tmp_path / "demo"
    blocked.mkdir()
    (blocked / "hub").write_text("a file where the hub's folder should be")
    code, lines, _ = run(*DEMO, folder=blocked)
    assert code == 1
    assert lines[-1]["error"]["message"].startswith("A hub on an empty folder: ")


async def test_kept_hub_and_lamp_go_on(tmp_path: Path) -> None:
    code, lines, _ = await asyncio.to_thread(run, *DEMO, "--keep", folder=tmp_path / "demo")
    assert code == 0
    kept = lines[-1]
    lamp, hub = (int(pid) for pid in kept["stop"].removeprefix("kill ").split())
    try:
        async with Client(kept["url"], token=kept["token"], pin=kept["pin"]) as api:
            homes = [home["name"] async for home in api.pages("/api/homes")]
            metrics = await api.text("/metrics")
        assert homes == ["Our home"]
        assert 'route="/api/devices/{device_id}/commands",status="202"' in metrics
        assert 'route="unmatched"' not in metrics
        assert "doorstep_devices_linked 1.0" in metrics
    finally:
        for pid in (lamp, hub):
            os.kill(pid, signal.SIGTERM)
        await asyncio.to_thread(_gone, lamp, hub)
    assert not await asyncio.to_thread((tmp_path / "demo" / "hub" / "admin.sock").exists)


def _gone(*pids: int) -> None:
    """Wait until none of them runs; they are nobody's children any more."""
    waiter = shutil.which("tail")
    assert waiter is not None
    for pid in pids:
        subprocess.run([waiter, f"--pid={pid}", "-f", os.devnull], check=True, timeout=60)
