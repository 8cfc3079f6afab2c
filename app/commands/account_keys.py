"""`doorstep account link`, `unlink`, `keys`: one person with accounts at several hubs, known by their keys."""

import click

from app.client import Client
from app.commands.reach import api_verb, secret_of
from app.commands.terminal import CommandError, answer, plain, table


@click.command()
@click.option("--to", "url", metavar="URL", required=True, help="The hub or cloud where you have an account as well.")
@click.option("--to-pin", metavar="SHA256", help="Its certificate; left out: verified as any web server's.")
@click.option("--to-token", metavar="TOKEN", help="Act there with this; else asked for.  [env: DOORSTEP_TO_TOKEN]")
@api_verb
async def link(api: Client, url: str, to_pin: str | None, to_token: str | None) -> None:
    """Tell another hub, or your cloud, that you are there who you are here.

    What it knew of you by your account here (homes, shares) becomes your account's there. Do the same the other way
    round where you want both to know.
    """
    token = to_token or secret_of("Token there", "DOORSTEP_TO_TOKEN", None, confirm=False)
    async with Client(url, token=token, pin=to_pin) as there:
        audience = (await there.get("/api/hub"))["id"]
        challenge = await there.post("/api/sign-in/key-challenges")
        if challenge["audience"] != audience:
            raise CommandError(
                f"{url} asks for a proof meant for another hub, {plain(challenge['audience'])}.",
                code="other_audience",
                hint="Do not link there: it could sign in at that hub as you.",
            )
        asked = {"audience": audience, "nonce": challenge["nonce"], "purpose": "link"}
        proven = await api.post("/api/me/proofs", asked)
        linked = await there.post("/api/me/public-keys", proven)
    key = plain(linked["public_key"])
    answer({"hub": audience, **linked}, f"[green]✓[/] {plain(audience)} knows you by your key here", f"  [dim]{key}[/]")


@click.command()
@api_verb
async def keys(api: Client) -> None:
    """The keys that name you at this hub: your account's own, and those of your accounts elsewhere."""
    found = [item async for item in api.pages("/api/me/public-keys")]
    table(found, ("public_key", "own", "signs_in", "linked_at"), empty="No key names you.")


@click.command()
@click.argument("public_key", metavar="KEY")
@api_verb
async def unlink(api: Client, public_key: str) -> None:
    """Have a key of an account of yours elsewhere name you no more at this hub."""
    await api.delete(f"/api/me/public-keys/{public_key}")
    answer({"unlinked": public_key}, f"[green]✓[/] {plain(public_key)} names you no more")
