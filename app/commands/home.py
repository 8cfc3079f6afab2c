"""`doorstep home`."""

import click

from app.client import Client
from app.commands.reach import api_verb, named
from app.commands.terminal import answer, plain, table

COLUMNS = ("id", "name", "time_zone", "role")


@click.group()
def home() -> None:
    """Homes: list, create, rename, dissolve."""


@home.command("list")
@api_verb
async def list_(api: Client) -> None:
    """The homes you are in."""
    table([item async for item in api.pages("/api/homes")], COLUMNS, empty="No home yet: doorstep home create NAME")


@home.command()
@click.argument("name")
@click.option("--time-zone", default="Etc/UTC", show_default=True, help="IANA name, such as Europe/Berlin.")
@api_verb
async def create(api: Client, name: str, time_zone: str) -> None:
    """Create a home; you become its owner."""
    made = await api.post("/api/homes", {"name": name, "time_zone": time_zone})
    answer(made, f"[green]✓[/] {plain(made['name'])} [dim]{made['id']}[/]")


@home.command()
@click.argument("which", metavar="HOME")
@click.argument("name")
@api_verb
async def rename(api: Client, which: str, name: str) -> None:
    """Give a home another name."""
    found = await named(api, "/api/homes", which, "home")
    changed = await api.patch(f"/api/homes/{found['id']}", {"name": name})
    answer(changed, f"[green]✓[/] {plain(changed['name'])}")


@home.command()
@click.argument("which", metavar="HOME")
@click.option("--with-devices", is_flag=True, help="Remove its devices along with it.")
@click.option("--with-members", is_flag=True, help="Remove its other members along with it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@api_verb
async def dissolve(api: Client, which: str, with_devices: bool, with_members: bool, yes: bool) -> None:
    """End a home for everybody in it."""
    found = await named(api, "/api/homes", which, "home")
    if not yes:
        click.confirm(f"Dissolve {found['name']} for good?", abort=True, err=True)
    along = {kind: "remove" for kind, wanted in (("devices", with_devices), ("members", with_members)) if wanted}
    await api.post(f"/api/homes/{found['id']}/dissolve", {"name": found["name"], **along})
    answer({"dissolved": found["id"]}, f"[green]✓[/] {plain(found['name'])} is dissolved")
