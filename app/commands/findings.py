"""What a look at a machine finds, and how it is shown."""

from collections.abc import Sequence
from typing import Any

import click
from msgspec import Struct, to_builtins

from app.commands.exits import Exit
from app.commands.terminal import answer, plain
from app.version import version

MARK = {"ok": "[green]✓[/]", "note": "[yellow]![/]", "bad": "[red]✗[/]"}


class Finding(Struct, frozen=True):
    """One thing looked at. `state`: ok, note (worth knowing) or bad (must be mended)."""

    what: str
    state: str
    detail: str
    hint: str = ""


def show(context: click.Context, findings: Sequence[Finding], **more: Any) -> None:
    """Answer with the findings; the command ends as unsound if one is bad."""
    lines = (f"{MARK[f.state]} {f.what}: {plain(f.detail)}{_hint(f)}" for f in findings)
    answer({"version": version(), "findings": to_builtins(findings), **more}, *lines)
    if any(finding.state == "bad" for finding in findings):
        context.exit(Exit.UNSOUND)


def _hint(finding: Finding) -> str:
    return f"\n  [dim]→ {plain(finding.hint)}[/]" if finding.hint else ""
