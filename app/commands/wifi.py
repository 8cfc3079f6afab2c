"""`doorstep wifi`: the Wi-Fi networks a home's devices are told, and the one they are on."""

import os
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

import click

from app.client import Client
from app.commands.exits import Exit
from app.commands.following import changes
from app.commands.reach import api_verb, home_of, home_option
from app.commands.terminal import CommandError, answer, event, plain, table, wants_json

PASSWORD: Final = "DOORSTEP_WIFI_PASSWORD"  # noqa: S105 - the name of a variable
_FLAG: Final = "--wifi-password-file"
_COLUMNS: Final = ("ssid", "bssid", "secured", "used_at", "id")

# What has become of a device, in English; a state that is not here is shown as it is.
_MOVED: Final = {
    "unreachable": "[yellow]is not reached[/]",
    "told": "is told",
    "trying": "leaves the old network",
    "keeping": "is back over the new one",
    "done": "[green]has moved[/]",
    "wired": "hangs on a cable",
    "refused": "[yellow]would not[/]",
    "rolled_back": "[yellow]has gone back to the old network[/]",
}

wifi_password_option = click.option(
    _FLAG,
    "password_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help=f"Read the Wi-Fi password from this file instead of asking.  [env: {PASSWORD}]",
)


def wifi_password(file: Path | None, ssid: str) -> str:
    """A network's password, "" for an open one: from a file, the environment, or typed unseen; never an argument."""
    if file is not None:
        return file.read_text().rstrip("\r\n")
    if (given := os.environ.get(PASSWORD)) is not None:
        return given
    if wants_json():
        raise CommandError("Nobody can be asked with --json.", exit=Exit.USAGE, code="usage", hint=f"Give {_FLAG}.")
    question = f"Password of {plain(ssid)} (none: it is open)"
    typed: str = click.prompt(question, hide_input=True, default="", show_default=False, err=True)
    return typed


async def wifi_fields(api: Client, home: dict[str, Any], ssid: str, file: Path | None) -> dict[str, Any]:
    """The network of a pairing: by its name alone where the home knows it and nothing else was said."""
    said = file is not None or PASSWORD in os.environ
    if not said and any(known["ssid"] == ssid for known in (await api.get(_path(home)))["items"]):
        return {"ssid": ssid}
    return {"ssid": ssid, "wifi_password": wifi_password(file, ssid)}


@click.group()
def wifi() -> None:
    """Wi-Fi networks a home knows, and the one its devices are on. Passwords go in and are never shown."""


@wifi.command("list")
@home_option
@api_verb
async def list_(api: Client, home_name: str | None) -> None:
    """The networks offered at the next pairing, the one used last first."""
    home = await home_of(api, home_name)
    found = (await api.get(_path(home)))["items"]
    table(found, _COLUMNS, empty="No network yet: doorstep wifi add SSID")


@wifi.command()
@click.argument("ssid")
@click.option("--bssid", default="", help="Of the 2.4 GHz radio, where it matters which.")
@wifi_password_option
@home_option
@api_verb
async def add(api: Client, ssid: str, bssid: str, password_file: Path | None, home_name: str | None) -> None:
    """Know a network, or its new password. It is asked for, not given as an argument."""
    home = await home_of(api, home_name)
    body = {"ssid": ssid, "password": wifi_password(password_file, ssid), "bssid": bssid}
    made = await api.post(_path(home), body)
    answer(made, f"[green]✓[/] {plain(made['ssid'])} [dim]{made['id']}[/]")


@wifi.command()
@click.argument("which", metavar="NETWORK")
@home_option
@api_verb
async def remove(api: Client, which: str, home_name: str | None) -> None:
    """Forget a network, by its name or id; devices that use it stay on it."""
    path = _path(await home_of(api, home_name))
    known = (await api.get(path))["items"]
    found = next((network for network in known if which in (network["ssid"], network["id"])), None)
    if found is None:
        names = ", ".join(network["ssid"] for network in known) or "none"
        missing = f"The home knows no Wi-Fi network {which}."
        raise CommandError(missing, exit=Exit.NOT_FOUND, code="not_found", hint=f"There is: {names}")
    await api.delete(f"{path}/{found['id']}")
    answer({"removed": found["id"]}, f"[green]✓[/] {plain(found['ssid'])} is forgotten")


@wifi.command()
@click.argument("ssid")
@click.option("--bssid", default="", help="Of the 2.4 GHz radio, where it matters which.")
@wifi_password_option
@home_option
@api_verb
async def change(api: Client, ssid: str, bssid: str, password_file: Path | None, home_name: str | None) -> None:
    """Move the home's devices to another network (a new router), while the old one is still there.

    Each device that does not reach the hub from the new network goes back to the old one by itself.
    """
    home = await home_of(api, home_name)
    network = await wifi_fields(api, home, ssid, password_file)
    body = {"ssid": ssid, "bssid": bssid}
    if "wifi_password" in network:
        body["password"] = network["wifi_password"]
    path = f"/api/homes/{home['id']}/wifi-change"
    began = moved = await api.post(path, body)
    async with aclosing(changes(api, f"{path}/{began['id']}", began)) as moments:
        async for now in moments:
            moved = now
            for device in now["devices"]:
                text = _MOVED.get(device["state"], device["state"])
                event(device, f"  {plain(device['device_id'])} {text} [dim]{plain(device['hint'])}[/]")
    left = [device for device in moved["devices"] if device["state"] not in ("done", "wired")]
    if left:
        raise CommandError(
            f"{len(left)} of {len(moved['devices'])} devices are not on {ssid}.",
            exit=Exit.DEVICE,
            code=left[0]["cause"] or left[0]["state"],
            hint=left[0]["hint"],
        )


def _path(home: dict[str, Any]) -> str:
    return f"/api/homes/{home['id']}/networks"
