"""`doorstep key`: credentials for programs."""

import click

from app.accounts.dialects import Dialect
from app.client import Client
from app.commands.reach import api_verb, home_of, named
from app.commands.terminal import answer, plain, table

SCOPES = click.Choice(["read", "control", "manage"])
DIALECTS = click.Choice([dialect.value for dialect in Dialect])
HOW_SENT = {
    Dialect.COMPANION: "A program sends it as `Authorization: Bearer ...`.",
    Dialect.BOTA: "A program sends it as `Authorization: Bearer ...`.",
    Dialect.TUYA: "The id is the client id (access id), the secret is the client secret: programs sign with it.",
}


@click.group()
def key() -> None:
    """Keys for programs: create, list, revoke."""


@key.command("list")
@api_verb
async def list_(api: Client) -> None:
    """Your keys; their secrets are not kept."""
    keys = [item async for item in api.pages("/api/me/keys")]
    table(
        keys, ("id", "name", "dialect", "scopes", "home_id", "expires_at"), empty="No key yet: doorstep key create NAME"
    )


@key.command()
@click.argument("name")
@click.option("--scope", "scopes", type=SCOPES, multiple=True, default=["read"], show_default=True)
@click.option("--dialect", type=DIALECTS, default="companion", show_default=True, help="The face it is for.")
@click.option("--home", "home_name", metavar="HOME", help="Only in this home; left out: in all of yours.")
@click.option("--expires", metavar="TIME", help="When it ends, RFC 3339: 2027-01-31T00:00:00Z.")
@api_verb
async def create(
    api: Client, *, name: str, scopes: tuple[str, ...], dialect: str, home_name: str | None, expires: str | None
) -> None:
    """Make a key. Its secret is shown once."""
    wanted: dict[str, object] = {"name": name, "scopes": sorted(set(scopes)), "dialect": dialect}
    if home_name:
        wanted["home_id"] = (await home_of(api, home_name))["id"]
    if expires:
        wanted["expires_at"] = expires
    made = await api.post("/api/me/keys", wanted)
    answer(
        made,
        f"[green]✓[/] {plain(made['key']['name'])} [dim]{made['key']['id']}[/]",
        f"  secret  [bold]{plain(made['secret'])}[/]",
        f"  [dim]→ It is not shown again. {HOW_SENT[Dialect(dialect)]}[/]",
    )


@key.command()
@click.argument("which", metavar="KEY")
@api_verb
async def revoke(api: Client, which: str) -> None:
    """End a key; whatever uses it is out at once."""
    found = await named(api, "/api/me/keys", which, "key")
    await api.delete(f"/api/me/keys/{found['id']}")
    answer({"revoked": found["id"]}, f"[green]✓[/] {plain(found['name'])} is revoked")
