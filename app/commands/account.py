"""`doorstep account`: become the hub's owner, sign in elsewhere, get back in on the machine itself."""

import asyncio
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from app import admin_client
from app.client import Client
from app.commands.account_keys import keys, link, unlink
from app.commands.failures import told
from app.commands.reach import api_verb, data_folder, data_option, own_folder, secret_of
from app.commands.terminal import answer, json_option, plain
from app.errors import NotFound
from app.services import Services
from app.store.folder import DATABASE
from app.store.prepare import open_store

password_option = click.option(
    "--password-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Read the password from this file instead of asking.  [env: DOORSTEP_PASSWORD]",
)
WRITE_IT_DOWN = "  [dim]→ Write it down: it is the way back in without the password, and is not shown again.[/]"


@click.group()
def account() -> None:
    """Accounts: claim a new hub, sign in, recover one on the machine itself, link yours at other hubs."""


account.add_command(link)
account.add_command(unlink)
account.add_command(keys)


@account.command()
@click.argument("login")
@click.option("--name", help="What others call you (the login, when left out).")
@click.option("--clock-is-right", is_flag=True, help="Vouch for this machine's clock, where no NTP does.")
@data_option
@password_option
@json_option
def claim(login: str, name: str | None, clock_is_right: bool, data: Path | None, password_file: Path | None) -> None:
    """Become the owner of the new hub on this machine. Shows a recovery code, once."""
    with told():
        status = admin_client.call(data_folder(data), "status")
        password = _password(password_file, confirm=True)
        who = {"login": login, "password": password, "name": name or login, "phone": socket.gethostname()}
        if clock_is_right:
            who["time"] = datetime.now(UTC).isoformat()
        claimed = asyncio.run(_claim(status, {"code": status["claim_code"] or "-", **who}))
    code = plain(claimed["recovery_code"])
    answer(claimed, f"[green]✓[/] {plain(login)} owns this hub", f"  recovery code  [bold]{code}[/]", WRITE_IT_DOWN)


async def _claim(status: Any, who: dict[str, str]) -> Any:
    async with Client(status["url"], pin=status["pin"]) as api:
        return await api.post("/api/hub/claim", who)


@account.command("sign-in")
@click.argument("login")
@password_option
@api_verb
async def sign_in(api: Client, login: str, password_file: Path | None) -> None:
    """Sign in with a password; prints the tokens of a new session (use --json in scripts)."""
    who = {"login": login, "password": _password(password_file, confirm=False), "phone": socket.gethostname()}
    session = await api.post("/api/sign-in", who)
    answer(session, f"export DOORSTEP_TOKEN={session['access_token']}")


@account.command("digest-login")
@click.argument("state", type=click.Choice(["on", "off"]))
@password_option
@api_verb
async def digest_login(api: Client, state: str, password_file: Path | None) -> None:
    """Let clients of other APIs sign you in with a digest of your password, which is all they send."""
    if state == "on":
        await api.put("/api/me/digest-login", {"password": _password(password_file, confirm=False)})
    else:
        await api.delete("/api/me/digest-login")
    answer({"digest_login": state}, f"[green]✓[/] signing in with a digest of your password is {state}")


@account.command()
@click.argument("login")
@data_option
@password_option
@json_option
def recover(login: str, data: Path | None, password_file: Path | None) -> None:
    """Set a new password on the hub's own machine, without the old one or the recovery code.

    Every session and key of the account ends, and the other members of its homes are told.
    """
    with told():
        folder = data_folder(data)
        request: dict[str, object] = {"login": login, "password": _password(password_file, confirm=True)}
        try:
            code = admin_client.call(folder, "recover", request)["recovery_code"]
        except admin_client.NoHub:
            code = asyncio.run(_recover_without_hub(own_folder(folder), login, str(request["password"])))
    lines = (f"[green]✓[/] {plain(login)} can sign in with the new password", f"  recovery code  [bold]{code}[/]")
    answer({"login": login, "recovery_code": code}, *lines, WRITE_IT_DOWN)


async def _recover_without_hub(folder: Path, login: str, password: str) -> str:
    if not (folder / DATABASE).exists():
        raise NotFound(f"There is no hub in {folder}.")
    store = await open_store(folder)
    try:
        services = Services(store)
        await store.load()
        return await services.signing_in.recover_on_the_machine(login=login, password=password)
    finally:
        await store.close()


def _password(file: Path | None, *, confirm: bool) -> str:
    return secret_of("Password", "DOORSTEP_PASSWORD", file, confirm=confirm)
