"""A hub as a process, with an owner and a home, and `doorstep pair` at it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from app.commands.child import Child, ChildEnded, HubProcess

PIN = "12345678"


@asynccontextmanager
async def claimed(data: Path) -> AsyncIterator[HubProcess]:
    """A hub with an owner, whose token `ready` tells as well."""
    async with HubProcess(data, environ={"DOORSTEP_LOG_LEVEL": "debug"}) as running:
        who = {"code": running.ready["claim_code"], "login": "anna", "password": "correct horse", "phone": "test"}
        async with running.client() as api:
            made = await api.post("/api/hub/claim", {**who, "name": "Anna"})
        running.ready["token"] = made["session"]["access_token"]
        yield running


async def home_at(hub: HubProcess) -> str:
    """A new home there; `ready` tells which is the test's."""
    async with hub.client(hub.ready["token"]) as api:
        made = await api.post("/api/homes", {"name": "Home", "time_zone": "Etc/UTC"})
    hub.ready["home"] = made["id"]
    return str(made["id"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def claimed_hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[HubProcess]:
    async with claimed(tmp_path_factory.mktemp("pair") / "hub") as running:
        yield running


@pytest.fixture
async def shared(claimed_hub: HubProcess) -> HubProcess:
    """The hub of all tests of a module, with a home for this one."""
    await home_at(claimed_hub)
    return claimed_hub


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[HubProcess]:
    """A hub of the test's own, with one home."""
    async with claimed(tmp_path / "hub") as running:
        await home_at(running)
        yield running


def at(hub: HubProcess) -> tuple[str, ...]:
    """Where a verb is to act: at the hub, in the test's home where it has its own."""
    home = ("--home", hub.ready["home"]) if "home" in hub.ready else ()
    return ("--data", hub.ready["data"], *home)


async def pair(
    hub: HubProcess, *options: str, environ: dict[str, str] | None = None
) -> tuple[int, list[dict[str, Any]]]:
    """The exit code of `doorstep pair`, and what it printed."""
    lines = []
    async with Child("pair", *at(hub), *options, environ=environ) as pairing:
        try:
            while True:
                lines.append(await pairing.line())
        except ChildEnded:
            return await pairing.ended(), lines


async def ended_as(hub: HubProcess) -> list[str]:
    """The states of the home's pairing sessions."""
    async with hub.client(hub.ready["token"]) as api:
        return [session["state"] async for session in api.pages(f"/api/homes/{hub.ready['home']}/pairing")]
