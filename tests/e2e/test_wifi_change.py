"""`doorstep wifi change`, as a user runs it: what hangs on a cable is let be, who is away is listed with a hint."""

import asyncio
from pathlib import Path

from app.commands.child import Child, ChildEnded, HubProcess
from tests.e2e.claimed import hub, pair
from tests.security.canaries import Canaries

__all__ = ["hub"]

PASSWORD = "a canary that sings of routers"


def found_below(folder: Path) -> set[str]:
    """The files the password stands in."""
    canaries = Canaries()
    canaries.add("the new password", PASSWORD)
    return {path.name for path in folder.rglob("*") if path.is_file() and canaries.found_in_file(path)}


async def test_who_is_away_is_listed_and_the_password_stands_nowhere(hub: HubProcess) -> None:
    async with Child("device", "--product", "plug") as plug:
        ready = await plug.until(event="ready")
        assert (await pair(hub, "--device", ready["id"], "--yes"))[0] == 0
        await plug.until(event="linked")
        async with Child("device", "--product", "lamp") as lamp:
            ready = await lamp.until(event="ready")
            assert (await pair(hub, "--device", ready["id"], "--yes"))[0] == 0
        async with hub.client(hub.ready["token"]) as api:
            (home,) = [home async for home in api.pages("/api/homes")]
        lines = []
        secret = {"DOORSTEP_WIFI_PASSWORD": PASSWORD}
        async with Child("wifi", "change", "Lindenweg", "--data", hub.ready["data"], environ=secret) as changing:
            try:
                while True:
                    lines.append(await changing.line())
            except ChildEnded:
                code = await changing.ended()
        error = lines[-1]["error"]
        assert (code, error["code"]) == (7, "unreachable")
        assert "keeps its place" in error["hint"]
        assert {line["state"] for line in lines[:-1]} >= {"wired", "unreachable"}
        async with hub.client(hub.ready["token"]) as api:
            events = [e async for e in api.pages(f"/api/homes/{home['id']}/audit")]
    assert await hub.stop() == 0
    assert PASSWORD not in repr((lines, events)) + await hub.last_words()
    assert await asyncio.to_thread(found_below, Path(hub.ready["data"])) == set()
