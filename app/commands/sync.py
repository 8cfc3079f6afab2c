"""`doorstep sync`: how homes stand to their cloud, and what was lost when two edited the same."""

import json
from typing import Any, Final

import click

from app.client import Client
from app.commands.catching_up import ago, follow, lines
from app.commands.reach import api_verb, home_of
from app.commands.terminal import answer, plain, wants_json

WHY: Final = {
    "newer": "another edit was newer",
    "deleted": "it was removed meanwhile",
    "badref": "what it named is no more",
}
MOST_SHOWN: Final = 60


@click.group()
def sync() -> None:
    """Homes and their cloud: status, give, conflicts, undo, dismiss."""


@sync.command()
@click.argument("home_name", metavar="[HOME]", required=False)
@click.option("--follow", "wants_follow", is_flag=True, help="Show a first sync as it goes on, until all is level.")
@api_verb
async def status(api: Client, *, home_name: str | None, wants_follow: bool) -> None:
    """How a home, or each, stands to its cloud."""
    if home_name is not None or wants_follow:
        home = await home_of(api, home_name)
        if wants_follow:
            await follow(api, home)
            return
        shown = await api.get(f"/api/homes/{home['id']}/sync")
        answer({"name": home["name"], **shown}, *lines(home["name"], shown))
        return
    homes = [home async for home in api.pages("/api/homes")]
    shown = [{"name": home["name"], **await api.get(f"/api/homes/{home['id']}/sync")} for home in homes]
    if wants_json() or not shown:
        answer(shown, "[dim]No home yet: doorstep home create NAME[/]")
        return
    for each in shown:
        answer(each, *lines(each["name"], each))


@sync.command()
@click.argument("home_name", metavar="HOME")
@api_verb
async def give(api: Client, *, home_name: str) -> None:
    """Have this hub's cloud keep a home too, with all it holds; it goes on without the cloud as before."""
    home = await home_of(api, home_name)
    await api.post(f"/api/homes/{home['id']}/sync")
    await follow(api, home)


@sync.command()
@click.argument("home_name", metavar="HOME")
@click.option("--all", "wants_all", is_flag=True, help="Those that are settled, too.")
@api_verb
async def conflicts(api: Client, *, home_name: str, wants_all: bool) -> None:
    """What was lost when two edited the same without having seen each other."""
    home = await home_of(api, home_name)
    only: dict[str, str] = {} if wants_all else {"state": "open"}
    found = [item async for item in api.pages(f"/api/homes/{home['id']}/conflicts", **only)]
    if wants_json() or not found:
        answer(found, "[dim]Nothing was lost.[/]" if wants_all else "[dim]No open conflict.[/]")
        return
    for item in found:
        answer(item, *_told(item))
    answer(None, f"  [dim]→ doorstep sync undo {plain(home['name'])} CONFLICT; or dismiss[/]")


@sync.command()
@click.argument("home_name", metavar="HOME")
@click.argument("conflict")
@api_verb
async def undo(api: Client, *, home_name: str, conflict: str) -> None:
    """Write what was lost again, as your own act; what was removed is made anew."""
    await _settle(api, home_name, conflict, "undo")


@sync.command()
@click.argument("home_name", metavar="HOME")
@click.argument("conflict")
@api_verb
async def dismiss(api: Client, *, home_name: str, conflict: str) -> None:
    """It is well as it is."""
    await _settle(api, home_name, conflict, "dismiss")


async def _settle(api: Client, home_name: str, conflict: str, verb: str) -> None:
    home = await home_of(api, home_name)
    settled = await api.post(f"/api/homes/{home['id']}/conflicts/{conflict}/{verb}")
    done = "written again" if settled["state"] == "undone" else "dismissed"
    answer(settled, f"[green]✓[/] {_subject(settled)}: {done}")


def _told(item: dict[str, Any]) -> list[str]:
    why, _, reason = item["why"].partition(":")
    cause = f"refused: {reason.replace('_', ' ')}" if why == "denied" else WHY.get(why, why)
    state = "" if item["state"] == "open" else f"  [green]{item['state']}[/]"
    return [
        f"[bold]{_subject(item)}[/]  [dim]{item['id']}[/]{state}",
        f"  lost  {_side(item['lost'])}",
        f"  kept  {_side(item['kept'])}",
        f"  why   {plain(cause)}",
    ]


def _subject(item: dict[str, Any]) -> str:
    return plain(f"{item['entity_kind']} {item['field']}".strip())


def _side(side: dict[str, Any]) -> str:
    value = side["value"]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 3]}..."
    by = f"by {side['name']}" if side["name"] else ""
    at = ago(side["at"]) if side["at"] else ""
    return f"{plain(text)}  [dim]{plain(' '.join(filter(None, (by, at))))}[/]"
