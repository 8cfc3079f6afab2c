"""`doorstep cloud`: the cloud of a hub."""

import click

from app.client import Client
from app.commands.exits import Exit
from app.commands.reach import api_verb
from app.commands.terminal import CommandError, answer, plain
from app.sync.enrolment.link import enrol_link

SENTENCES = {
    "none": "This hub has no cloud. [dim]→ doorstep hub enrol, at the cloud, makes a code for it[/]",
    "asked": "[yellow]asked[/] {name} at {url} to take this hub in",
    "enrolled": "[green]enrolled[/] with {name} at {url}",
    "refused": "[red]refused[/] by {name} at {url}: nobody confirmed it there",
    "revoked": "[red]revoked[/] at {name}, {url} [dim]→ join again with a new code[/]",
    "superseded": "[red]superseded[/]: a hub restored from this one's backup speaks to {name} in its place",
}


@click.group()
def cloud() -> None:
    """The cloud of this hub: join, show, leave."""


@cloud.command()
@click.argument("code", metavar="LINK|CODE")
@click.option("--url", help="With a CODE: the cloud's address.")
@click.option("--cloud-pin", metavar="SHA256", help="With a CODE: the cloud's certificate; left out, as for a browser.")
@api_verb
async def join(api: Client, *, code: str, url: str | None, cloud_pin: str | None) -> None:
    """Ask a cloud to take this hub in, by what `doorstep hub enrol` shows there."""
    if not code.startswith("doorstep:"):
        if url is None:
            hint = "Give the whole link, doorstep:enrol?..., or the cloud's address with --url."
            raise CommandError("A code alone does not say which cloud.", exit=Exit.USAGE, hint=hint)
        code = enrol_link(url, cloud_pin, code)
    asked = await api.post("/api/cloud", {"code": code})
    answer(
        asked,
        f"[green]✓[/] {plain(asked['name'])} was asked to take this hub in",
        f"  number  [bold]{asked['number']}[/]",
        "  [dim]→ Compare it with the one the cloud shows, and confirm there if they are the same.[/]",
    )


@cloud.command()
@api_verb
async def show(api: Client) -> None:
    """How this hub stands with its cloud."""
    shown = await api.get("/api/cloud")
    facts = {name: plain(str(shown[name])) for name in ("name", "url")}
    lines = [SENTENCES[shown["state"]].format(**facts)]
    if shown["state"] == "asked":
        lines.append(f"  number  [bold]{shown['number']}[/] [dim]the cloud must show it too[/]")
    if shown["state"] == "enrolled":
        lines.append(f"  connected  {'yes' if shown['connected'] else 'no'}")
        lines.append(f"  last heard {shown['contact_at'] or 'not since the hub was started'}")
    answer(shown, *lines)


@cloud.command()
@api_verb
async def leave(api: Client) -> None:
    """Have no cloud any more. What is in the hub's homes stays here."""
    await api.delete("/api/cloud")
    answer({"left": True}, "[green]✓[/] this hub has no cloud any more")
