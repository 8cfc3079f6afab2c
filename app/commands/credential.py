"""`doorstep credential`: devices that have a secret or a certificate instead of being paired."""

import click

from app.client import Client
from app.commands.reach import api_verb, home_of, home_option, named
from app.commands.terminal import answer, plain


@click.group()
def credential() -> None:
    """Devices that speak MQTT or HTTPS or call home: register them, renew their secrets."""


@credential.command()
@click.argument("node_id", metavar="NODE")
@click.option("--product", default="lamp", show_default=True, help="What it is: lamp, plug, gateway, ...")
@click.option("--device-id", help="What it calls itself.  [default: PRODUCT_NODE]")
@click.option("--name", help="What people call it.")
@click.option("--link", type=click.Choice(["mqtt", "https", "heartbeat"]), default="mqtt", show_default=True)
@click.option("--secret", help="8 to 32 characters.  [default: one is made]")
@click.option("--certificate", is_flag=True, help="It has a certificate instead; the first one it shows counts.")
@click.option("--fingerprint", help="Of its certificate, SHA-1 or SHA-256 in hexadecimal.")
@click.option("--gateway", help="The gateway it is behind, by name or id.")
@home_option
@api_verb
async def register(
    api: Client,
    *,
    node_id: str,
    product: str,
    device_id: str | None,
    name: str | None,
    link: str,
    secret: str | None,
    certificate: bool,
    fingerprint: str | None,
    gateway: str | None,
    home_name: str | None,
) -> None:
    """Let a device in that cannot be paired. Its secret is shown once."""
    home = await home_of(api, home_name)
    wanted: dict[str, str] = {"node_id": node_id, "product_id": product, "link": link}
    given = {"device_id": device_id, "name": name, "secret": secret}
    wanted |= {key: value for key, value in given.items() if value is not None}
    if certificate or fingerprint:
        wanted["auth"] = "certificate"
    if fingerprint:
        wanted["fingerprint"] = fingerprint
    devices = f"/api/homes/{home['id']}/devices"
    if gateway:
        wanted["gateway_id"] = (await named(api, devices, gateway, "device"))["id"]
    made = await api.post(devices, wanted)
    device = made["device"]
    answer(made, f"[green]✓[/] {plain(device['name'])} [dim]{device['id']}[/]", *_lines(made))


@credential.command()
@click.argument("device", metavar="DEVICE")
@click.option("--secret", help="8 to 32 characters.  [default: one is made]")
@click.option("--fingerprint", help="Of its new certificate, SHA-1 or SHA-256 in hexadecimal.")
@click.option("--secondary", is_flag=True, help="Beside the one in use, to change over without a gap.")
@click.option("--disconnect", is_flag=True, help="End its connections.")
@home_option
@api_verb
async def renew(
    api: Client,
    *,
    device: str,
    secret: str | None,
    fingerprint: str | None,
    secondary: bool,
    disconnect: bool,
    home_name: str | None,
) -> None:
    """Give a device another secret. It is shown once."""
    home = await home_of(api, home_name)
    found = await named(api, f"/api/homes/{home['id']}/devices", device, "device")
    wanted = {"which": "secondary" if secondary else "primary", "disconnect": disconnect}
    given = {"secret": secret, "fingerprint": fingerprint}
    made = await api.post(
        f"/api/devices/{found['id']}/secret", wanted | {key: value for key, value in given.items() if value}
    )
    answer(made, f"[green]✓[/] {plain(found['name'])}", *_lines(made))


def _lines(made: dict[str, str | None]) -> list[str]:
    lines = [f"  device id  [bold]{plain(made['device_id'] or '')}[/]"]
    if made["secret"] is not None:
        lines += [f"  secret     [bold]{plain(made['secret'])}[/]", "  [dim]→ It is not shown again.[/]"]
    return lines
