"""`doorstep backup` and `doorstep restore`: everything a hub is, in one encrypted file, and back."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from app import admin_client
from app.commands.failures import told
from app.commands.reach import data_folder, data_option, own_folder, secret_of
from app.commands.terminal import answer, json_option, plain, wants_json
from app.errors import NotFound
from app.store.backup import backup as back_up
from app.store.folder import DATABASE
from app.store.prepare import open_store
from app.store.restore import restore as bring_back

# Between two lines of progress: making a snapshot of a large database says nothing meanwhile.
SILENCE_SECONDS = 600.0

passphrase_option = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Read it from this file instead of asking.  [env: DOORSTEP_PASSPHRASE]",
)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@data_option
@passphrase_option
@json_option
def backup(file: Path, data: Path | None, passphrase_file: Path | None) -> None:
    """Write everything the hub is to the new FILE, encrypted with a passphrase. The hub may run meanwhile."""
    with told():
        folder, out = data_folder(data), file.absolute()
        passphrase = _passphrase(passphrase_file, confirm=True)
        with _bar("backing up") as tell:
            manifest = _back_up(folder, out, passphrase, tell)
    size = out.stat().st_size
    answer(
        {"file": str(out), "bytes": size, "manifest": manifest},
        f"[green]✓[/] {plain(str(out))} [dim]{size / 1e6:.1f} MB[/]",
        "  [dim]→ Keep the passphrase elsewhere: without it nobody can open this file.[/]",
    )


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@data_option
@click.option("--force", is_flag=True, help="Restore into a folder that is not empty; what is there is kept aside.")
@passphrase_option
@json_option
def restore(file: Path, data: Path | None, force: bool, passphrase_file: Path | None) -> None:
    """Make the data folder the hub that is in FILE. Everybody has to sign in again; devices find it by themselves."""
    with told():
        folder = data_folder(data)
        passphrase = _passphrase(passphrase_file, confirm=False)
        with _bar("restoring") as tell:
            done = asyncio.run(bring_back(file, own_folder(folder), passphrase, tell, force=force))
    made = datetime.fromtimestamp(done.manifest.made_at / 1000, UTC)
    aside = str(done.aside) if done.aside else None
    answer(
        {"manifest": msgspec.to_builtins(done.manifest), "incarnation": done.incarnation, "aside": aside},
        f"[green]✓[/] {plain(done.manifest.name or 'The hub')} as it was on {made:%Y-%m-%d %H:%M} UTC",
        *([f"  what was there before is in {plain(aside)}"] if aside else []),
        f"  [dim]→ doorstep serve --data {plain(str(folder))}[/]",
    )


def _back_up(folder: Path, out: Path, passphrase: str, tell: Callable[[int, int], None]) -> Any:
    """Through the running hub; by opening the folder only when none runs (its lock is what decides)."""
    request: dict[str, object] = {"out": str(out), "passphrase": passphrase}
    try:
        return admin_client.call(
            folder, "backup", request, on_progress=lambda step: tell(*step), timeout=SILENCE_SECONDS
        )
    except admin_client.NoHub:
        if not (folder / DATABASE).exists():
            raise NotFound(f"There is no hub in {folder}.") from None
        return asyncio.run(_without_hub(own_folder(folder), out, passphrase, tell))


async def _without_hub(folder: Path, out: Path, passphrase: str, tell: Callable[[int, int], None]) -> Any:
    store = await open_store(folder)
    try:
        return msgspec.to_builtins(await back_up(store, folder, out, passphrase, tell))
    finally:
        await store.close()


def _passphrase(file: Path | None, *, confirm: bool) -> str:
    return secret_of("Passphrase", "DOORSTEP_PASSPHRASE", file, confirm=confirm)


@contextlib.contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None]]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console, transient=True, disable=wants_json() or not console.is_terminal) as bar:
        task = bar.add_task(what, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)
