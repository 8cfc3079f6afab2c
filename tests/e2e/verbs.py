"""Verbs of the command, run as a user runs them."""

from pathlib import Path
from typing import Any

from app.commands.child import Child, ChildEnded


async def command(*arguments: str | Path, environ: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    """A verb's exit code and the JSON object it printed (empty when it printed none)."""
    async with Child(*arguments, environ=environ) as child:
        try:
            said = await child.line()
        except ChildEnded:
            said = {}
        return await child.ended(), said
