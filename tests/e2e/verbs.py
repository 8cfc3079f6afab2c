"""Verbs of the command, as a user says them, in this process: to start one anew for each takes most of a test."""

import asyncio
import contextlib
import json
import threading
from pathlib import Path
from typing import Any

from blockbuster.blockbuster import _skip
from click.testing import CliRunner

from app.cli import run
from app.commands.child import Child, ChildEnded

# What is written goes where the whole process writes.
_ONE = threading.Lock()


async def command(*arguments: str | Path, environ: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    """A verb's exit code and the first JSON object it printed (empty when it printed none)."""
    code, printed = await asyncio.to_thread(_run, [*map(str, arguments), "--json"], environ)
    for line in printed.splitlines():
        with contextlib.suppress(ValueError):
            if isinstance(said := json.loads(line), dict):
                return code, said
    return code, {}


def _run(words: list[str], environ: dict[str, str] | None) -> tuple[int, str]:
    with _ONE, CliRunner().isolation(env=environ) as (printed, *_):
        _skip.value = True  # of this thread: a verb's own loop serves nobody else, and may wait for a file
        try:
            run(words)
        except SystemExit as ended:
            return int(ended.code or 0), printed.getvalue().decode()
        finally:
            _skip.value = False


async def in_a_process(*arguments: str | Path) -> tuple[int, dict[str, Any]]:
    """The same of a verb that waits for signals, which only a process of its own is sent."""
    async with Child(*arguments) as child:
        try:
            said = await child.line()
        except ChildEnded:
            said = {}
        return await child.ended(), said
