"""`doorstep freeze` and `doorstep unfreeze`: a device kept out, and let in again."""

from typing import Any

import click

from app.client import Client
from app.commands.reach import api_verb, home_of, home_option, named
from app.commands.terminal import answer, plain


@click.command()
@click.argument("device", metavar="DEVICE")
@home_option
@api_verb
async def freeze(api: Client, device: str, home_name: str | None) -> None:
    """Keep a device out: its links end, and nothing can be asked of it."""
    frozen = await _set(api, device, home_name, "freeze")
    lines = ("  [dim]→ What it was still to do has failed.[/]", "  [dim]→ To let it in again: doorstep unfreeze[/]")
    answer(frozen, f"[green]✓[/] {plain(frozen['name'])} is frozen", *lines)


@click.command()
@click.argument("device", metavar="DEVICE")
@home_option
@api_verb
async def unfreeze(api: Client, device: str, home_name: str | None) -> None:
    """Let a frozen device in again."""
    thawed = await _set(api, device, home_name, "unfreeze")
    answer(thawed, f"[green]✓[/] {plain(thawed['name'])} is let in when it next comes")


async def _set(api: Client, device: str, home_name: str | None, verb: str) -> dict[str, Any]:
    home = await home_of(api, home_name)
    found = await named(api, f"/api/homes/{home['id']}/devices", device, "device")
    shown: dict[str, Any] = await api.post(f"/api/devices/{found['id']}/{verb}")
    return shown
