"""`doorstep room`."""

import click

from app.client import Client
from app.commands.reach import api_verb, home_of, home_option, named
from app.commands.terminal import answer, plain, table


@click.group()
def room() -> None:
    """Rooms of a home: list, create, rename, remove."""


@room.command("list")
@home_option
@api_verb
async def list_(api: Client, home_name: str | None) -> None:
    """The rooms of a home, in their order."""
    home = await home_of(api, home_name)
    rooms = [item async for item in api.pages(f"/api/homes/{home['id']}/rooms")]
    table(rooms, ("id", "name", "icon"), empty="No room yet: doorstep room create NAME")


@room.command()
@click.argument("name")
@click.option("--icon", default="", help="Any name the app knows a picture for.")
@home_option
@api_verb
async def create(api: Client, name: str, icon: str, home_name: str | None) -> None:
    """Add a room, last in order."""
    home = await home_of(api, home_name)
    made = await api.post(f"/api/homes/{home['id']}/rooms", {"name": name, "icon": icon})
    answer(made, f"[green]✓[/] {plain(made['name'])} [dim]{made['id']}[/]")


@room.command()
@click.argument("which", metavar="ROOM")
@click.argument("name")
@home_option
@api_verb
async def rename(api: Client, which: str, name: str, home_name: str | None) -> None:
    """Give a room another name."""
    rooms = f"/api/homes/{(await home_of(api, home_name))['id']}/rooms"
    found = await named(api, rooms, which, "room")
    changed = await api.patch(f"{rooms}/{found['id']}", {"name": name})
    answer(changed, f"[green]✓[/] {plain(changed['name'])}")


@room.command()
@click.argument("which", metavar="ROOM")
@home_option
@api_verb
async def remove(api: Client, which: str, home_name: str | None) -> None:
    """Remove a room; its devices stay in the home."""
    rooms = f"/api/homes/{(await home_of(api, home_name))['id']}/rooms"
    found = await named(api, rooms, which, "room")
    await api.delete(f"{rooms}/{found['id']}")
    answer({"removed": found["id"]}, f"[green]✓[/] {plain(found['name'])} is removed")
