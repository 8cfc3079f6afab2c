"""`doorstep home`."""

import click

from app.client import Client
from app.commands.reach import api_verb, home_of, named
from app.commands.terminal import answer, plain, table

COLUMNS = ("id", "name", "time_zone", "role")


@click.group()
def home() -> None:
    """Homes: list, create, rename, dissolve; who has their secrets."""


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


_KEYS = {
    "alone": "{home} has no cloud: its secrets are on this hub alone",
    "cloud": "the hubs of {home} have its secrets; this cloud has not",
    "in": "[green]in[/]: this hub has the secrets of {home}",
    "waiting": "[yellow]waiting[/] to be let in to the secrets of {home}",
}


@home.command()
@click.argument("which", metavar="[HOME]", required=False)
@api_verb
async def keys(api: Client, which: str | None) -> None:
    """Who has a home's secrets; at a hub that waits, the code that lets it in."""
    found = await home_of(api, which)
    shown = await api.get(f"/api/homes/{found['id']}/keys")
    lines = [_KEYS[shown["state"]].format(home=plain(found["name"]))]
    if shown["code"]:
        lines += [
            f"  code  [bold green]{plain(shown['code'])}[/]",
            "  [dim]→ Type it at a hub that is in: doorstep hub admit. Nobody else is to see it.[/]",
        ]
    lines += [f"  {it['state']:8} {plain(it['name'] or it['id'])} [dim]{it['id']}[/]" for it in shown["hubs"]]
    if shown["hubs"] and not shown["recovery"]:
        lines.append("  [dim]→ No recovery code yet: doorstep home recovery-code[/]")
    answer(shown, *lines)


@home.command("recovery-code")
@click.argument("which", metavar="[HOME]", required=False)
@api_verb
async def recovery_code(api: Client, which: str | None) -> None:
    """Make the code that lets a hub in when no other is left; it ends the one before."""
    found = await home_of(api, which)
    made = await api.post(f"/api/homes/{found['id']}/recovery-code")
    answer(
        made,
        f"recovery code  [bold green]{plain(made['code'])}[/]",
        f"  [dim]→ Write it down and keep it safe: whoever has it and is the owner opens {plain(found['name'])}.[/]",
    )
