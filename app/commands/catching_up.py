"""How a home stands to its cloud, in words; and a first sync as it goes on."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from app.client import Client
from app.commands.following import listening
from app.commands.terminal import answer, event, out, plain, wants_json

Standing = dict[str, Any]

STATES: Final = {
    "alone": "[dim]kept by this hub alone[/]",
    "authority": "[green]kept here[/], for its hubs",
    "joining": "[yellow]being given to the cloud[/]",
    "snapshot": "[yellow]being fetched from the cloud[/]",
    "synced": "[green]connected[/]",
    "offline": "[yellow]without its cloud[/]",
    "refused": "[red]sent away by its cloud[/]",
}
# What to do about it; where nothing stands here, nothing is to be done.
STEPS: Final = {
    "alone": "doorstep sync give HOME, to have a cloud keep it too",
    "offline": "nothing is lost: it goes on here, and catches up by itself; `doorstep doctor` looks at the way there",
    "refused": "join again with a new code: doorstep hub enrol, at the cloud; doorstep cloud join, here",
}
_UNITS: Final = (("day", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def ago(then: str | None, now: datetime | None = None) -> str:
    """A time of the API's as what people say: "3 min ago"."""
    if then is None:
        return "never"
    seconds = int(((now or datetime.now(UTC)) - datetime.fromisoformat(then)).total_seconds())
    if seconds < 1:
        return "now"
    name, size = next((name, size) for name, size in _UNITS if seconds >= size)
    count = seconds // size
    return f"{count} {name}{'s' if name == 'day' and count > 1 else ''} ago"


def is_level(it: Standing) -> bool:
    """Whether nothing is on its way in either direction."""
    level = it["state"] == "synced" and not it["to_push"] and not it["to_pull"]
    return level or it["state"] in ("alone", "authority", "refused")


def lines(name: str, it: Standing) -> Iterator[str]:
    """A home's standing for people."""
    cloud = f" with {plain(it['cloud'])}" if it["cloud"] else ""
    yield f"[bold]{plain(name)}[/]  {STATES[it['state']]}{cloud}"
    if it["state"] == "authority":
        yield f"  hubs connected  {it['hubs']}"
    elif it["state"] != "alone":
        yield f"  last contact    {ago(it['last_contact_at'])}"
        yield f"  to push         {it['to_push']}"
        yield f"  to pull         {it['to_pull']}"
    if it["progress"] is not None:
        yield f"  first sync      {it['progress']:.0%}"
    if it["conflicts"]:
        yield f"  conflicts       [yellow]{it['conflicts']}[/] [dim]→ doorstep sync conflicts {plain(name)}[/]"
    if it["problem"]:
        yield f"  problem         {plain(it['problem'])}"
    if (step := STEPS.get(it["state"])) is not None:
        yield f"  [dim]→ {step.replace('HOME', plain(name))}[/]"


async def standings(api: Client, home_id: str) -> AsyncGenerator[Standing, None]:
    """A home's standing each time it is another, until it is level."""
    path = f"/api/homes/{home_id}/sync"
    told: Standing | None = None
    async with listening(api) as news:
        while True:
            now = await api.get(path)
            if now != told:
                told = now
                yield now
            if is_level(now):
                return
            await news()


async def follow(api: Client, home: dict[str, Any]) -> None:
    """Show a first sync until the home is level: a bar at a terminal, else a line a step; at the end how it stands."""
    last: Standing = {}
    with _bar(home["name"]) as show:
        async with aclosing(standings(api, home["id"])) as moments:
            async for now in moments:
                last = now
                show(now)
    answer({"event": "level", "home": home["name"], **last}, *lines(home["name"], last))


@contextmanager
def _bar(name: str) -> Iterator[Any]:
    console = out()
    if wants_json() or not console.is_terminal:
        yield lambda it: event({"event": "sync", "home": name, **it}, _step(it))
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task: TaskID = progress.add_task(plain(name), total=1.0)
        yield lambda it: progress.update(task, completed=_done(it), description=f"{plain(name)}  {_step(it)}")


def _done(it: Standing) -> float:
    if it["progress"] is not None:
        return float(it["progress"])
    return 1.0 if is_level(it) else 0.0


def _step(it: Standing) -> str:
    if it["progress"] is not None:
        return f"{STATES[it['state']]} {it['progress']:.0%}"
    return f"{STATES[it['state']]}  to push {it['to_push']}, to pull {it['to_pull']}"
