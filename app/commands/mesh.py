"""`doorstep mesh`: a home's Bluetooth mesh as a file, so that it is captive nowhere."""

import json
import os
from pathlib import Path

import click

from app.client import Client
from app.commands.exits import Exit
from app.commands.reach import api_verb, home_of, home_option
from app.commands.terminal import CommandError, answer, plain


@click.group()
def mesh() -> None:
    """Bluetooth mesh: export a home's network, import one."""


@mesh.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@home_option
@api_verb
async def export(api: Client, *, file: Path, home_name: str | None) -> None:
    """Write the home's mesh to the new FILE, as other provisioners read it (Mesh Configuration Database).

    It has every key: who reads it can control the mesh. Only the home's owner may.
    """
    home = await home_of(api, home_name)
    database = await api.get(f"/api/homes/{home['id']}/mesh")
    try:
        _write(file, json.dumps(database, indent=2))
    except FileExistsError:
        raise CommandError(f"{file} exists already.", exit=Exit.CONFLICT, code="file_exists") from None
    nodes = len(database["nodes"]) - 1
    answer({"file": str(file), "nodes": nodes}, f"[green]✓[/] {nodes} nodes, with their keys, in {plain(str(file))}")


@mesh.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--iv-index", type=click.IntRange(0, 0xFFFFFFFF), default=0, help="What the network's beacon says.")
@home_option
@api_verb
async def import_(api: Client, *, file: Path, iv_index: int, home_name: str | None) -> None:
    """Make the network in FILE the home's mesh, and its nodes devices of the home."""
    home = await home_of(api, home_name)
    try:
        database = json.loads(_read(file))
    except ValueError:
        raise CommandError(f"{file} is no JSON.", exit=Exit.USAGE, code="cdb_invalid") from None
    done = await api.post(f"/api/homes/{home['id']}/mesh", {"database": database, "iv_index": iv_index})
    lines = [f"[green]✓[/] {len(done['device_ids'])} devices"]
    if done["other_nodes"]:
        lines.append(f"  [dim]{done['other_nodes']} nodes the hub has no use for[/]")
    answer(done, *lines)


def _read(file: Path) -> bytes:
    return file.read_bytes()


def _write(file: Path, text: str) -> None:
    """For its owner alone, and never over another."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(text + "\n")
