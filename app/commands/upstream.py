"""`doorstep upstream`: a home's devices shown to another platform that speaks IoTDA, the hub being their gateway."""

import asyncio
from pathlib import Path
from typing import Any, Final

import click

from app.client import Client
from app.commands.reach import api_verb, home_of, home_option, secret_of
from app.commands.terminal import answer, plain

SECRET: Final = "DOORSTEP_UPSTREAM_SECRET"  # noqa: S105 - the name of a variable
_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.group()
def upstream() -> None:
    """Another platform that speaks IoTDA (Huawei's, or a cloud of your own) as a second view on a home."""


@upstream.command()
@click.argument("url")
@click.argument("device_id", metavar="GATEWAY")
@click.option("--secret-file", type=_FILE, help=f"Read the secret from this file.  [env: {SECRET}]")
@click.option("--ca", type=_FILE, help="Certificates (PEM) that the platform's leads to, where no public one does.")
@home_option
@api_verb
async def attach(
    api: Client, *, url: str, device_id: str, secret_file: Path | None, ca: Path | None, home_name: str | None
) -> None:
    """Show a home at URL (mqtts://host:port) as GATEWAY, the device id that the platform gave it.

    Register a gateway there first; its secret is asked for. Another platform takes the place of the former.
    """
    home = await home_of(api, home_name)
    body: dict[str, Any] = {"url": url, "device_id": device_id}
    body["secret"] = secret_of("Secret of the gateway", SECRET, secret_file, confirm=False)
    if ca is not None:
        body["ca"] = await asyncio.to_thread(ca.read_text)
    made = await api.put(_path(home), body)
    answer(made, f"[green]✓[/] {plain(home['name'])} is shown at {plain(made['url'])} as {plain(made['device_id'])}")


@upstream.command()
@home_option
@api_verb
async def show(api: Client, home_name: str | None) -> None:
    """Where a home is shown, whether it is connected, and which devices are there."""
    shown = await api.get(_path(await home_of(api, home_name)))
    answer(shown, *_lines(shown))


@upstream.command()
@home_option
@api_verb
async def detach(api: Client, home_name: str | None) -> None:
    """Show a home there no more. The platform keeps what it has until its gateway is deleted there."""
    home = await home_of(api, home_name)
    await api.delete(_path(home))
    answer({"detached": home["id"]}, f"[green]✓[/] {plain(home['name'])} is shown nowhere else")


def _path(home: dict[str, Any]) -> str:
    return f"/api/homes/{home['id']}/iotda-upstream"


def _lines(shown: dict[str, Any]) -> list[str]:
    colour = "green" if shown["state"] == "connected" else "yellow"
    cause = f": {shown['cause']}" if shown["cause"] else ""
    lines = [
        f"[bold]{plain(shown['url'])}[/] as {plain(shown['device_id'])}",
        f"  [{colour}]{shown['state']}{cause}[/]",
    ]
    if shown["hint"]:
        lines.append(f"  [dim]→ {plain(shown['hint'])}[/]")
    told = ", ".join(f"{count} {stage}" for stage, count in shown["devices"].items() if count) or "none yet"
    lines.append(f"  devices      {told}")
    if shown["next_try_at"]:
        lines.append(f"  next try     {shown['next_try_at']}")
    lines.append(f"  last contact {shown['last_contact_at'] or 'never'}")
    for each in shown["apart"]:
        lines.append(f"  [yellow]{each['stage']}[/] {plain(each['remote_id'])}  [dim]{plain(each['why'])}[/]")
    return lines
