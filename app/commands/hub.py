"""`doorstep hub`: the hubs of a cloud."""

import asyncio
from typing import Any, Final

import click
import segno

from app.client import Client
from app.commands.exits import Exit
from app.commands.reach import api_verb, home_of, named
from app.commands.terminal import CommandError, answer, event, out, plain, table, wants_json

LOOK_S: Final = 1.0


@click.group()
def hub() -> None:
    """Hubs of this cloud: enrol, confirm, list, attach, revoke, ... At a hub: let others of its homes in."""


@hub.command()
@click.option("--wait/--no-wait", default=True, help="Wait for the hub, and ask whether to confirm it (default).")
@api_verb
async def enrol(api: Client, *, wait: bool) -> None:
    """Make a code for a hub, and let the hub that takes it up in."""
    made = await api.post("/api/hubs/enrolments")
    shown = {"event": "code", **{name: made[name] for name in ("id", "code", "link", "expires_at")}}
    answer(
        shown,
        f"code  [bold green]{plain(made['code'])}[/]  [dim]until {made['expires_at']}[/]",
        f"link  {plain(made['link'])}",
        "  [dim]→ At the hub: doorstep cloud join 'LINK', or scan it in the app.[/]",
    )
    if out().is_terminal and not wants_json():
        segno.make(made["link"], micro=False).terminal(compact=True)
    if not wait:
        return
    asked = await _asked(api, made["id"])
    event(
        {"event": "asked", **asked},
        f"[bold]{plain(asked['hub_name'])}[/] [dim]{plain(asked['hub_id'])}[/] asks. Its number: "
        f"[bold]{asked['number']}[/]",
    )
    if click.confirm("Does the hub show the same number?", err=True):
        await _confirm(api, made["id"])
    else:
        await _refuse(api, made["id"])
        raise CommandError("The hub was not let in.", exit=Exit.REFUSED, code="enrolment_refused")


async def _asked(api: Client, enrolment_id: str) -> dict[str, Any]:
    """The enrolment once a hub has taken it up."""
    while True:
        found: dict[str, Any] = await api.get(f"/api/hubs/enrolments/{enrolment_id}")
        if found["state"] == "asked":
            return found
        if found["state"] != "offered":
            hint = "Make another: doorstep hub enrol"
            raise CommandError(f"The code is {found['state']}.", exit=Exit.CONFLICT, code="enrolment_ended", hint=hint)
        await asyncio.sleep(LOOK_S)


@hub.command()
@click.argument("enrolment", metavar="ENROLMENT")
@click.option("--number", required=True, help="What the hub shows; it is compared with what the cloud shows.")
@api_verb
async def confirm(api: Client, *, enrolment: str, number: str) -> None:
    """Let in the hub that has taken up a code, if it shows this number."""
    found = await api.get(f"/api/hubs/enrolments/{enrolment}")
    if found["number"] is not None and found["number"] != number.replace(" ", ""):
        raise CommandError(
            "The numbers differ: it is another hub that asks here.", exit=Exit.REFUSED, code="number_differs"
        )
    await _confirm(api, enrolment)


@hub.command()
@click.argument("enrolment", metavar="ENROLMENT")
@api_verb
async def refuse(api: Client, *, enrolment: str) -> None:
    """End a code, and do not let in the hub that has taken it up."""
    await _refuse(api, enrolment)
    answer({"refused": enrolment}, "[green]✓[/] refused")


async def _confirm(api: Client, enrolment_id: str) -> None:
    hub = await api.post(f"/api/hubs/enrolments/{enrolment_id}/confirm")
    answer({"event": "enrolled", **hub}, f"[green]✓[/] {plain(hub['name'])} [dim]{plain(hub['id'])}[/] is enrolled")


async def _refuse(api: Client, enrolment_id: str) -> None:
    await api.post(f"/api/hubs/enrolments/{enrolment_id}/refuse")


@hub.command("list")
@api_verb
async def list_(api: Client) -> None:
    """Your hubs, revoked ones too."""
    hubs = [item async for item in api.pages("/api/hubs")]
    table(hubs, ("id", "name", "homes", "heard_at", "revoked_at"), empty="No hub yet: doorstep hub enrol")


@hub.command()
@click.argument("which", metavar="HUB")
@click.argument("name")
@api_verb
async def rename(api: Client, *, which: str, name: str) -> None:
    """Call a hub something else, here at the cloud."""
    found = await named(api, "/api/hubs", which, "hub")
    renamed = await api.patch(f"/api/hubs/{found['id']}", {"name": name})
    answer(renamed, f"[green]✓[/] {plain(renamed['name'])}")


@hub.command()
@click.argument("which", metavar="HUB")
@click.argument("home_name", metavar="HOME")
@api_verb
async def attach(api: Client, *, which: str, home_name: str) -> None:
    """Have a hub of yours serve a home of this cloud's, too."""
    found, home = await named(api, "/api/hubs", which, "hub"), await home_of(api, home_name)
    made = await api.post(f"/api/homes/{home['id']}/hubs", {"hub_id": found["id"]})
    answer(made, f"[green]✓[/] {plain(found['name'])} serves {plain(home['name'])}")


@hub.command()
@click.argument("which", metavar="HUB")
@click.argument("home_name", metavar="HOME")
@click.option("--reset", is_flag=True, help="Have the devices reset for which no other hub stands by.")
@api_verb
async def detach(api: Client, *, which: str, home_name: str, reset: bool) -> None:
    """Have a hub serve a home no more; nothing of it stays there. Who stands by has its devices then."""
    home = await home_of(api, home_name)
    found = await named(api, f"/api/homes/{home['id']}/hubs", which, "hub")
    await api.delete(f"/api/homes/{home['id']}/hubs/{found['id']}", reset="true" if reset else "false")
    answer({"hub_id": found["id"], "home_id": home["id"]}, f"[green]✓[/] {plain(found['name'])} serves it no more")


@hub.command()
@click.argument("which", metavar="HUB")
@api_verb
async def revoke(api: Client, *, which: str) -> None:
    """End a hub's enrolment; it is out at once."""
    found = await named(api, "/api/hubs", which, "hub")
    await api.delete(f"/api/hubs/{found['id']}")
    answer({"revoked": found["id"]}, f"[green]✓[/] {plain(found['name'])} is revoked")


@hub.command()
@click.argument("which", metavar="HUB")
@click.option("--home", "home", metavar="HOME", help="Which home's; needed where there are several.")
@click.option("--code", help="What that hub shows; asked for where it is left out.")
@api_verb
async def admit(api: Client, *, which: str, home: str | None, code: str | None) -> None:
    """At a hub that has a home's secrets: let another in, by the code that `doorstep home keys` shows there."""
    found = await home_of(api, home)
    keys = await api.get(f"/api/homes/{found['id']}/keys")
    hub_id = hub_id_of(keys["hubs"], which)
    typed = code or await _typed("The code that hub shows")
    done = await api.post(f"/api/homes/{found['id']}/hubs/{hub_id}/admit", {"code": typed})
    lines = f"[green]✓[/] {plain(done['name'])} has the secrets of {plain(found['name'])}"
    answer(done, f"{lines} as soon as it hears of it")


@hub.command()
@click.option("--home", "home", metavar="HOME", help="Which home's; needed where there are several.")
@click.option("--code", help="The home's recovery code; asked for where it is left out.")
@api_verb
async def recover(api: Client, *, home: str | None, code: str | None) -> None:
    """Let this hub into a home's secrets by its recovery code, where no other hub is left to do it."""
    found = await home_of(api, home)
    typed = code or await _typed("The home's recovery code")
    done = await api.post(f"/api/homes/{found['id']}/recover", {"code": typed})
    answer(done, f"[green]✓[/] This hub has the secrets of {plain(found['name'])}")


async def _typed(what: str) -> str:
    if wants_json():
        raise CommandError("Nobody can be asked with --json.", exit=Exit.USAGE, code="usage", hint="Give --code.")
    typed: str = await asyncio.to_thread(click.prompt, what, err=True)
    return typed


def hub_id_of(hubs: list[dict[str, Any]], which: str) -> str:
    """Of the hub with this id or name; what is there no more is not meant."""
    there = [it for it in hubs if it.get("state") != "removed"]
    found = [it for it in there if which == it["id"]]
    found = found or [it for it in there if which.casefold() == it["name"].casefold()]
    if len(found) == 1:
        return str(found[0]["id"])
    choices = ", ".join(f"{it['name']} ({it['id']})" for it in there) or "none"
    problem = f"Several hubs are called {which}." if found else f"There is no hub {which} of this home."
    raise CommandError(problem, exit=Exit.CONFLICT if found else Exit.NOT_FOUND, hint=f"There is: {choices}")
