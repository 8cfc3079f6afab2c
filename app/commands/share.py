"""`doorstep share`: devices lent to people outside the home."""

import click

from app.client import Client
from app.commands.reach import api_verb, home_of, home_option, named
from app.commands.terminal import answer, offer_lines, plain, table


@click.group()
def share() -> None:
    """Devices and groups shared with people outside the home: list, create, end."""


@share.command("list")
@home_option
@api_verb
async def list_(api: Client, home_name: str | None) -> None:
    """Everything a home shares and shared."""
    home = await home_of(api, home_name)
    shares = [item async for item in api.pages(f"/api/homes/{home['id']}/shares")]
    table(shares, ("id", "thing_name", "receiver_name", "level", "until", "state"), empty="Nothing is shared.")


@share.command()
@click.argument("device")
@click.option("--with", "login", metavar="LOGIN", help="Offer it to this account; left out: to whoever has the code.")
@click.option("--view", is_flag=True, help="To look at only, not to control.")
@click.option("--until", metavar="TIME", help="When it ends, RFC 3339: 2027-01-31T00:00:00Z.")
@home_option
@api_verb
async def create(
    api: Client, *, device: str, login: str | None, view: bool, until: str | None, home_name: str | None
) -> None:
    """Offer a device to somebody outside the home."""
    home = await home_of(api, home_name)
    found = await named(api, f"/api/homes/{home['id']}/devices", device, "device")
    wanted = {"level": "view" if view else "control", "login": login, "until": until}
    given = {key: value for key, value in wanted.items() if value is not None}
    made = await api.post(f"/api/devices/{found['id']}/shares", given)
    answer(made, f"[green]✓[/] {plain(found['name'])} is offered [dim]{made['share']['id']}[/]", *offer_lines(made))


@share.command()
@click.argument("which", metavar="SHARE")
@home_option
@api_verb
async def end(api: Client, which: str, home_name: str | None) -> None:
    """End a share or take back an offer; its receiver is out at once."""
    home = await home_of(api, home_name)
    await api.delete(f"/api/homes/{home['id']}/shares/{which}")
    answer({"ended": which}, "[green]✓[/] ended")
