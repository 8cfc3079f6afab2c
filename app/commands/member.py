"""`doorstep member`."""

import click

from app.client import Client
from app.commands.reach import api_verb, home_of, home_option, named
from app.commands.terminal import answer, offer_lines, plain, table

ROLES = click.Choice(["admin", "member", "guest"])


@click.group()
def member() -> None:
    """Members of a home: list, invite, change their role, remove."""


@member.command("list")
@home_option
@api_verb
async def list_(api: Client, home_name: str | None) -> None:
    """Who is in a home."""
    home = await home_of(api, home_name)
    members = [item async for item in api.pages(f"/api/homes/{home['id']}/members")]
    table(members, ("account_id", "name", "role", "until"), empty="Nobody.")


@member.command()
@click.option("--role", "role_name", type=ROLES, default="member", show_default=True)
@click.option("--login", help="Invite this account; left out: whoever has the code.")
@home_option
@api_verb
async def invite(api: Client, role_name: str, login: str | None, home_name: str | None) -> None:
    """Invite somebody into a home. The code is shown once."""
    home = await home_of(api, home_name)
    wanted = {"role": role_name, **({"login": login} if login else {})}
    made = await api.post(f"/api/homes/{home['id']}/invitations", wanted)
    answer(made, f"[green]✓[/] invited as {role_name} [dim]{made['invitation']['id']}[/]", *offer_lines(made))


@member.command()
@click.argument("who", metavar="MEMBER")
@click.argument("role_name", metavar="ROLE", type=ROLES)
@home_option
@api_verb
async def role(api: Client, who: str, role_name: str, home_name: str | None) -> None:
    """Make a member admin, member or guest."""
    members = f"/api/homes/{(await home_of(api, home_name))['id']}/members"
    found = await named(api, members, who, "member", key="account_id")
    changed = await api.patch(f"{members}/{found['account_id']}", {"role": role_name})
    answer(changed, f"[green]✓[/] {plain(changed['name'])} is {changed['role']}")


@member.command()
@click.argument("who", metavar="MEMBER")
@home_option
@api_verb
async def remove(api: Client, who: str, home_name: str | None) -> None:
    """Send a member away; what they could reach is closed to them at once."""
    members = f"/api/homes/{(await home_of(api, home_name))['id']}/members"
    found = await named(api, members, who, "member", key="account_id")
    await api.delete(f"{members}/{found['account_id']}")
    answer({"removed": found["account_id"]}, f"[green]✓[/] {plain(found['name'])} is no longer a member")
