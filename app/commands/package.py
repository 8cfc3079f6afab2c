"""`doorstep package`: firmware and software, and the devices that are to take them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import click

from app.client import Client
from app.commands.reach import api_verb, home_of, home_option, named
from app.commands.terminal import answer, plain, table

CHUNK = 256 * 1024


@click.group()
def package() -> None:
    """Packages of firmware and software: add, list, remove, offer to a device."""


@package.command("list")
@api_verb
async def list_(api: Client) -> None:
    """What the hub has."""
    found = [item async for item in api.pages("/api/packages")]
    table(found, ("id", "product_id", "kind", "version", "size", "sha256"), empty="No package: doorstep package add")


@package.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--product", required=True, help="What it is for: lamp, plug, ...")
@click.option("--version", required=True, help="What devices call it once they run it.")
@click.option("--software", is_flag=True, help="It is software, not firmware.")
@click.option("--info", default="", help="Told to the device with it.")
@api_verb
async def add(api: Client, *, file: Path, product: str, version: str, software: bool, info: str) -> None:
    """Put a package in."""
    kind = "software" if software else "firmware"
    query = {"product_id": product, "kind": kind, "version": version, "custom_info": info}
    made = await api.upload("/api/packages", _octets(file), **query)
    answer(made, f"[green]✓[/] {plain(made['version'])} [dim]{made['id']}[/]", f"  sha256  {plain(made['sha256'])}")


@package.command()
@click.argument("which", metavar="PACKAGE")
@api_verb
async def remove(api: Client, which: str) -> None:
    """Remove a package, and what is upgraded with it."""
    await api.delete(f"/api/packages/{which}")
    answer({"removed": which}, "[green]✓[/] removed")


@package.command()
@click.argument("which", metavar="PACKAGE")
@click.argument("device", metavar="DEVICE")
@home_option
@api_verb
async def offer(api: Client, which: str, device: str, home_name: str | None) -> None:
    """Have a device take a package: now, or when it next connects."""
    home = await home_of(api, home_name)
    found = await named(api, f"/api/homes/{home['id']}/devices", device, "device")
    made = await api.post(f"/api/devices/{found['id']}/upgrades", {"package_id": which})
    answer(made, f"[green]✓[/] {plain(found['name'])} is offered {plain(made['version'])}")


async def _octets(file: Path) -> AsyncIterator[bytes]:
    opened = await asyncio.to_thread(file.open, "rb")
    try:
        while chunk := await asyncio.to_thread(opened.read, CHUNK):
            yield chunk
    finally:
        opened.close()
