"""`doorstep transfer`: a device goes to another home."""

import click

from app.client import Client
from app.commands.reach import api_verb, home_of, home_option, named
from app.commands.terminal import answer, plain


@click.command()
@click.argument("device", metavar="DEVICE")
@click.argument("to", metavar="HOME")
@click.option("--room", metavar="ROOM", help="A room there.  [default: in none]")
@home_option
@api_verb
async def transfer(api: Client, *, device: str, to: str, room: str | None, home_name: str | None) -> None:
    """Move a device, and those behind it, to another home that you run; it need not be paired anew."""
    home = await home_of(api, home_name)
    found = await named(api, f"/api/homes/{home['id']}/devices", device, "device")
    other = await named(api, "/api/homes", to, "home")
    there = None if room is None else await named(api, f"/api/homes/{other['id']}/rooms", room, "room")
    body = {"home_id": other["id"], "room_id": None if there is None else there["id"]}
    moved = await api.post(f"/api/devices/{found['id']}/transfer", body)
    lines = ("  [dim]→ Its groups, shares and log stayed behind.[/]",)
    answer(moved, f"[green]✓[/] {plain(moved['name'])} is in {plain(other['name'])}", *lines)
