"""What every verb shares: `--json`, output a person can read, and failures with a cause and a next step."""

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table

from app.commands.exits import Exit

F = TypeVar("F", bound=Callable[..., Any])
_JSON = "doorstep.json"
PIPED_WIDTH = 240


class CommandError(click.ClickException):
    """Ends the command: `message` is the cause, `hint` the next step, `exit_code` what a script sees."""

    def __init__(self, message: str, *, exit: Exit = Exit.FAILED, code: str = "failed", hint: str = "") -> None:  # noqa: A002
        super().__init__(message)
        self.exit_code = int(exit)  # type: ignore[misc]
        self.code = code
        self.hint = hint
        self._json = wants_json()  # by the time it is shown, the verb's context is gone

    def show(self, file: Any = None) -> None:
        """One JSON line on stdout with `--json`; otherwise cause and next step on stderr."""
        if self._json:
            body = {"code": self.code, "message": self.message, "hint": self.hint, "exit": self.exit_code}
            click.echo(json.dumps({"error": body}, ensure_ascii=False))
            return
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print(f"[bold red]✗[/] {_plain(self.message)}")
        if self.hint:
            console.print(f"  [dim]→[/] {_plain(self.hint)}")


def wants_json() -> bool:
    """Whether the running verb was given `--json`."""
    context = click.get_current_context(silent=True)
    return bool(context and context.meta.get(_JSON))


def json_option(verb: F) -> F:
    """Give a verb `--json`; `answer` and failures then print JSON lines on stdout and nothing else."""

    def remember(context: click.Context, _: click.Parameter, value: bool) -> None:
        context.meta[_JSON] = value or context.meta.get(_JSON, False)

    option = click.option(
        "--json", is_flag=True, expose_value=False, is_eager=True, callback=remember, help="Print JSON, for scripts."
    )
    return option(verb)


def answer(data: object, *lines: str) -> None:
    """The verb's result: `data` as one JSON line with `--json`, else `lines` (rich markup; escape what is not ours)."""
    if wants_json():
        click.echo(json.dumps(data, ensure_ascii=False, default=str))
        return
    for line in lines:
        out().print(line)


def event(data: object, line: str) -> None:
    """One step on the way to the result, shown as it happens."""
    answer(data, line)


def table(rows: Sequence[dict[str, Any]], columns: Sequence[str], *, empty: str) -> None:
    """A list: a JSON array with `--json`, else a table of `columns`, or the sentence `empty`."""
    if wants_json() or not rows:
        answer(list(rows), f"[dim]{empty}[/]")
        return
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        grid.add_column(column.replace("_", " "), no_wrap=column.endswith("id"), overflow="fold")
    for row in rows:
        grid.add_row(*(_plain(_cell(row.get(column))) for column in columns))
    out().print(grid)


def offer_lines(made: dict[str, Any]) -> list[str]:
    """The code of an invitation or share that was just made; none when it went to somebody's account."""
    if made["code"] is None:
        return ["  [dim]they see it in their app[/]"]
    return [f"  code  [bold]{plain(made['code'])}[/]", f"  link  {plain(made['link'])}", "  [dim]→ not shown again[/]"]


def out() -> Console:
    """Standard output, as rich sees it now (tests and pipes replace it); what is piped is not wrapped."""
    console = Console(highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(highlight=False, soft_wrap=True, width=PIPED_WIDTH)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _plain(text: str) -> str:
    """Text that is not ours: markup shown as it is, control characters gone."""
    cleaned = "".join(character if character.isprintable() else " " for character in text)
    return cleaned.replace("[", "\\[")


plain = _plain
