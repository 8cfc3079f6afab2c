"""How a verb reaches a hub: the one on this machine through its admin socket, or any other by address and token."""

import asyncio
import functools
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import click
from msgspec import Struct

from app import admin_client
from app.client import Client
from app.commands.exits import Exit
from app.commands.failures import told
from app.commands.terminal import CommandError, json_option
from app.settings import load
from app.store.folder import DATABASE

P = ParamSpec("P")

data_option = click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), help="The hub's data folder.  [env: DOORSTEP_DATA]"
)


class Reach(Struct, frozen=True):
    """Where to ask, and as whom."""

    url: str
    token: str | None
    pin: str | None


def reach(hub: str | None, token: str | None, pin: str | None, data: Path | None) -> Reach:
    """`hub` with `token`, or the hub that runs on `data` with a short-lived token of its owner."""
    if hub:
        return Reach(hub, token, pin)
    granted = admin_client.call(data_folder(data), "token")
    return Reach(granted["url"], token or granted["token"], granted["pin"])


def data_folder(given: Path | None) -> Path:
    """The data folder this command is about. Raises SettingsError."""
    return load({"data": given}).data


def own_folder(folder: Path) -> Path:
    """`folder`, which this process is about to open itself; files made in it as another user would lock its hub out."""
    database = folder / DATABASE
    if database.exists() and (owner := database.stat().st_uid) != os.geteuid():
        hint = f"Run it as the hub's user: sudo -u '#{owner}' doorstep ... Or start the hub, where it can be asked."
        raise CommandError(f"{folder} is another user's hub.", exit=Exit.REFUSED, code="not_the_hubs_user", hint=hint)
    return folder


def api_verb(verb: Callable[Concatenate[Client, P], Awaitable[None]]) -> Callable[P, None]:
    """Make a coroutine over a connected `Client` a verb with `--hub`, `--token`, `--pin`, `--data` and `--json`."""

    @functools.wraps(verb)
    def command(*args: P.args, **options: P.kwargs) -> None:
        where = {name: options.pop(name) for name in ("hub", "token", "pin", "data")}
        with told():
            asyncio.run(_with_client(reach(**where), lambda api: verb(api, *args, **options)))  # type: ignore[arg-type]

    decorated: Callable[P, None] = json_option(command)
    for option in (
        click.option("--hub", envvar="DOORSTEP_HUB", metavar="URL", help="A hub elsewhere.  [env: DOORSTEP_HUB]"),
        click.option("--token", envvar="DOORSTEP_TOKEN", help="Act with this token.  [env: DOORSTEP_TOKEN]"),
        click.option("--pin", envvar="DOORSTEP_PIN", metavar="SHA256", help="Its certificate.  [env: DOORSTEP_PIN]"),
        data_option,
    ):
        decorated = option(decorated)
    return decorated


async def _with_client(where: Reach, act: Callable[[Client], Awaitable[None]]) -> None:
    async with Client(where.url, token=where.token, pin=where.pin) as api:
        await act(api)


async def named(api: Client, path: str, wanted: str, kind: str, *, key: str = "id") -> dict[str, Any]:
    """The item of the list at `path` with id or name `wanted`; a `CommandError` with the choices when it is not one."""
    items = [item async for item in api.pages(path)]
    found = [item for item in items if wanted == item[key]]
    found = found or [item for item in items if wanted.casefold() == str(item.get("name", "")).casefold()]
    if len(found) == 1:
        chosen: dict[str, Any] = found[0]
        return chosen
    if found:
        ids = ", ".join(item[key] for item in found)
        raise CommandError(f"{len(found)} of them are called {wanted}.", exit=Exit.CONFLICT, hint=f"Say which: {ids}")
    names = ", ".join(str(item.get("name") or item[key]) for item in items[:10]) or "none"
    missing = f"There is no {kind} {wanted}."
    raise CommandError(missing, exit=Exit.NOT_FOUND, code="not_found", hint=f"There is: {names}")


async def home_of(api: Client, wanted: str | None) -> dict[str, Any]:
    """The home called `wanted`; when nothing was said, the only one there is."""
    if wanted is not None:
        return await named(api, "/api/homes", wanted, "home")
    homes = [item async for item in api.pages("/api/homes")]
    if len(homes) == 1:
        only: dict[str, Any] = homes[0]
        return only
    names = ", ".join(home["name"] for home in homes)
    if homes:
        raise CommandError("There are several homes.", exit=Exit.USAGE, hint=f"Say which with --home: {names}")
    raise CommandError("There is no home yet.", exit=Exit.NOT_FOUND, hint="doorstep home create NAME")


home_option = click.option("--home", "home_name", metavar="HOME", help="By id or name; not needed when there is one.")


def secret_of(name: str, variable: str, file: Path | None, *, confirm: bool) -> str:
    """A secret from a file, an environment variable, or typed; never from an argument, which others can see."""
    if file is not None:
        return file.read_text().rstrip("\r\n")
    if given := os.environ.get(variable):
        return given
    typed: str = click.prompt(name, hide_input=True, confirmation_prompt=confirm, err=True)
    return typed
