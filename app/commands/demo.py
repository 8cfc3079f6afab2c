"""`doorstep demo`: a hub, virtual devices and people, from an empty folder to a lamp that obeys."""

import asyncio
import shutil
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import click

from app.commands.demo_cloud import CloudTale
from app.commands.demo_mesh import MeshTale
from app.commands.exits import Exit
from app.commands.story import Story
from app.commands.tale import Tale
from app.commands.terminal import CommandError, answer, json_option, plain
from app.errors import DoorstepError


@click.command()
@click.option("--keep", is_flag=True, help="Leave hub and lamp running; print how to reach them and how to stop them.")
@click.option("--lan", is_flag=True, help="Use the local network. Without it nothing leaves this machine.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="A new folder for its data.")
@click.option("--mesh", is_flag=True, help="Of Bluetooth mesh: a virtual node, provisioned, switched, grouped, reset.")
@click.option("--cloud", is_flag=True, help="Of a cloud: a hub gives it a home, is cut off, and both are edited.")
@json_option
def demo(keep: bool, lan: bool, folder: Path | None, mesh: bool, cloud: bool) -> None:
    """Show the whole way: a home, a paired lamp, a share, and the share's end.

    Everything is real: processes, HTTPS, mDNS, a database on disk. Ends with 0, or with the cause.
    """
    if mesh and cloud:
        raise CommandError("--mesh and --cloud are two stories.", exit=Exit.USAGE, hint="Have them told one by one.")
    where = folder or Path(tempfile.mkdtemp(prefix="doorstep-demo-"))
    where.mkdir(mode=0o700, parents=True, exist_ok=True)
    tale = (MeshTale if mesh else CloudTale if cloud else Tale)(Story(), where, lan=lan)
    try:
        asyncio.run(_run(tale, keep=keep))
    except (DoorstepError, TimeoutError) as error:
        raise _told(error, tale) from error
    if not keep and folder is None:
        shutil.rmtree(where)


async def _run(tale: Tale, *, keep: bool) -> None:
    async with AsyncExitStack() as running:
        await tale.tell(running)
        if keep:
            for process in tale.processes:
                process.keep()
    seconds = f"{tale.story.seconds:.1f}"
    kept = tale.kept() if keep else {}
    lines = [f"\n[bold green]✓[/] All of it in {seconds} s."]
    if keep:
        lines.append(f"  {tale.what} go on running:")
        lines += [f"    {name:<10} {plain(str(value))}" for name, value in kept.items()]
    answer({"event": "done", "seconds": float(seconds), **kept}, *lines)


def _told(error: DoorstepError | TimeoutError, tale: Tale) -> CommandError:
    cause = str(error) or "what should have happened did not, within a minute"
    code, hint = (error.code, error.hint) if isinstance(error, DoorstepError) else ("timeout", "")
    hint = hint or f"What {tale.what.lower()} said is in {tale.folder}."
    return CommandError(f"{tale.story.chapter}: {cause}", exit=Exit.FAILED, code=code, hint=hint)
