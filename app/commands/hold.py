"""`doorstep hold`: which hub of its home holds a device, and which one stands by."""

from collections.abc import Iterator
from typing import Any

import click

from app.client import Client
from app.commands.exits import Exit
from app.commands.hub import hub_id_of
from app.commands.reach import api_verb, home_of, home_option, named
from app.commands.terminal import CommandError, answer, plain
from app.devices.model import SENSOR


@click.command()
@click.argument("device", metavar="DEVICE")
@click.option("--by", "by", metavar="HUB", help="Hand it to this one; the hub that holds it now stands by.")
@click.option("--standby", metavar="HUB", help="Have this one take it over once its own is gone.")
@click.option("--alone", is_flag=True, help="Have nobody stand by.")
@home_option
@api_verb
async def hold(
    api: Client, *, device: str, by: str | None, standby: str | None, alone: bool, home_name: str | None
) -> None:
    """Show which hub holds a device, or have another one do so. It goes there by itself, with what is behind it."""
    if sum((by is not None, standby is not None, alone)) > 1:
        raise CommandError("One of --by, --standby and --alone.", exit=Exit.USAGE, code="usage")
    home = await home_of(api, home_name)
    found = await named(api, f"/api/homes/{home['id']}/devices", device, "device")
    path = f"/api/devices/{found['id']}/hubs"
    shown = await api.get(path)
    if by is not None:
        shown = await api.patch(path, {"hub_id": hub_id_of(shown["hubs"], by)})
    elif standby is not None or alone:
        shown = await api.patch(path, {"standby_id": None if standby is None else hub_id_of(shown["hubs"], standby)})
    answer(shown, *_lines(found, shown))


def _lines(device: dict[str, Any], shown: dict[str, Any]) -> Iterator[str]:
    names = {it["id"]: plain(it["name"]) for it in shown["hubs"]}
    holder, standby = (None if it is None else names.get(it, it) for it in (shown["hub_id"], shown["standby_id"]))
    yield f"[green]✓[/] {plain(device['name'])} is held by {holder or 'no hub'}"
    others = sorted(name for it, name in names.items() if it != shown["hub_id"])
    if standby is not None:
        yield f"  {standby} stands by"
    elif others:
        # A sensor is heard by the hub that holds it, and nobody stands by.
        what = "It can be handed to" if device["link"] == SENSOR else "Nobody stands by; there is"
        yield f"  [dim]→ {what}: {', '.join(others)}[/]"
