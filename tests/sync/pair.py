"""A cloud and a hub in one process: what the hub asks reaches the cloud over ASGI."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx2
import msgspec

from app.sync.enrolment.link import enrol_link
from tests.api.harness import Api
from tests.waiting import WAIT


async def owner(api: Api, name: str) -> httpx2.AsyncClient:
    """Somebody who owns the node."""
    client = await api.person(name)
    account_id = str(client.headers["authorization"]).removeprefix("Bearer ")
    accounts = api.services.credentials.accounts

    def crown(tx: Any) -> None:
        account = accounts.get(account_id)
        assert account is not None
        tx.run("UPDATE accounts SET hub_owner=1 WHERE id=?", (account_id,))
        accounts.put(tx, account_id, msgspec.structs.replace(account, hub_owner=True))

    await api.store.write(crown)
    return client


class Ends:
    """Both ends; `anna` has an account at the cloud and owns the hub: `at_cloud` and `at_hub` are her clients."""

    def __init__(self, cloud: Api, hub: Api, at_cloud: httpx2.AsyncClient, at_hub: httpx2.AsyncClient) -> None:
        self.cloud = cloud
        self.hub = hub
        self.at_cloud = at_cloud
        self.at_hub = at_hub

    @property
    def hub_id(self) -> str:
        """As it calls itself."""
        return self.hub.services.hub.view().id

    async def code(self, client: httpx2.AsyncClient | None = None) -> dict[str, Any]:
        """A new code of Anna's, or of whoever's client that is."""
        made = await (client or self.at_cloud).post("/api/hubs/enrolments")
        assert made.status_code == 201, made.text
        body: dict[str, Any] = made.json()
        return body

    async def ask(self) -> tuple[str, dict[str, Any]]:
        """Anna tells the hub a code; the enrolment's path, and what the hub shows."""
        made = await self.code()
        asked = await self.at_hub.post("/api/cloud", json={"code": made["link"]})
        assert asked.status_code == 200, asked.text
        return f"/api/hubs/enrolments/{made['id']}", asked.json()

    async def enrol(self) -> None:
        """All of it: when this returns the hub knows that it is enrolled."""
        known = enrolled(self.hub)
        path, _ = await self.ask()
        confirmed = await self.at_cloud.post(f"{path}/confirm")
        assert confirmed.status_code == 200, confirmed.text
        async with asyncio.timeout(WAIT):
            await known.wait()


def enrolled(hub: Api) -> asyncio.Event:
    """Set once a hub has been taken in."""
    event = asyncio.Event()
    hub.services.enrolment.door.on_enrolled.append(event.set)
    return event


def joined(hub: Api, cloud: Api) -> None:
    """What the hub asks of any cloud reaches this one, without a network."""
    enrolment = hub.services.enrolment
    enrolment.connector.transport = httpx2.ASGITransport(app=cast("Any", cloud.app), client=("192.0.2.7", 1))
    enrolment.hub_end.pauses = (0.01, 0.05)


@asynccontextmanager
async def ends(folder: Path) -> AsyncIterator[Ends]:
    """A cloud at https://cloud.example, and a hub."""
    async with Api(folder / "cloud", is_cloud=True) as cloud, Api(folder / "hub") as hub:
        cloud.services.enrolment.cloud_end.known("https://cloud.example", None)
        joined(hub, cloud)
        yield Ends(cloud, hub, await owner(cloud, "anna"), await owner(hub, "anna"))


def link_of(code: str) -> str:
    """What a cloud would show of a code."""
    return enrol_link("https://cloud.example", None, code)
