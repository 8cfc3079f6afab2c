"""`doorstep reset`: a device back to its factory settings."""

import click

from app.client import Client
from app.commands.reach import api_verb, home_of, home_option, named
from app.commands.terminal import answer, plain

_SAYS = {
    "queued": "It is told as soon as it is heard of.",
    "delivered": "It was told, and has not said yet that it has forgotten.",
    "confirmed": "It has forgotten everything.",
    "superseded": "It was let in anew before it was told.",
    "expired": "It was not heard of in time.",
}


@click.command()
@click.argument("device", metavar="DEVICE")
@click.option("--remove", is_flag=True, help="Remove its record as well.  [default: it stays in the home, unbound]")
@click.option("--state", "only_state", is_flag=True, help="Do nothing; say how far its reset has come.")
@home_option
@api_verb
async def reset(api: Client, *, device: str, remove: bool, only_state: bool, home_name: str | None) -> None:
    """Reset a device to factory settings: locked out at once, wiped now or when it is next heard of."""
    home = await home_of(api, home_name)
    found = await named(api, f"/api/homes/{home['id']}/devices", device, "device")
    path = f"/api/devices/{found['id']}/reset"
    shown = await api.get(path) if only_state else await api.post(path, {"record": "remove" if remove else "keep"})
    lines = [f"  [dim]→ {_SAYS.get(shown['state'], shown['state'])}[/]"]
    if not only_state:
        lines.append("  [dim]→ To use it again, pair it.[/]")
    answer(shown, f"[green]✓[/] {plain(found['name'])} reset: [bold]{shown['state']}[/]", *lines)
