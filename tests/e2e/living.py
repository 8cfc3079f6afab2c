"""A whole hub in this process, with a home and its owner, over real loopback TCP and mDNS."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx2
from msgspec import structs

from app.node import Node
from app.settings import Limits, Settings

WAIT = 60.0
PATIENT = Limits(anonymous_per_minute=1_000_000, requests_per_second=1_000_000, request_burst=1_000_000)


def patient(folder: Path) -> Settings:
    """Of a hub for tests: on free ports of this machine, and nobody asks too often, or for too long."""
    return Settings(
        data=folder,
        port=0,
        link_port=0,
        mqtt_port=0,
        mqtt_tls_port=0,
        tls=False,
        limits=PATIENT,
        access_token_life=86_400.0,
    )


class Reached:
    """A hub as its owner's client reaches it, once there is one."""

    owner: httpx2.AsyncClient
    home_id = ""

    @property
    def pairing(self) -> str:
        """The path of the home's pairing sessions."""
        return f"/api/homes/{self.home_id}/pairing"

    async def start_pairing(self, **wanted: Any) -> str:
        """A new session; returns its path."""
        started = await self.owner.post(self.pairing, json=wanted)
        assert started.status_code == 201, started.text
        return f"{self.pairing}/{started.json()['id']}"

    async def until(self, path: str, *states: str) -> dict[str, Any]:
        """The session once it is in one of these states."""
        async with asyncio.timeout(WAIT):
            while True:
                session: dict[str, Any] = (await self.owner.get(path)).json()
                if session["state"] in states:
                    return session
                await asyncio.sleep(0.02)


class Living(Reached):
    """A started node, and the owner's client once it is claimed."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def client(self, token: str | None = None) -> httpx2.AsyncClient:
        """A client of this hub."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        transport = httpx2.ASGITransport(app=cast("Any", self.node.asgi))
        return httpx2.AsyncClient(transport=transport, base_url="http://hub", headers=headers, timeout=WAIT)

    async def claim(self) -> None:
        """Make the owner and a home."""
        claim = {
            "code": self.node.services.hub.claim_code,
            "login": "anna",
            "password": "correct horse battery",
            "name": "Anna",
            "phone": "Anna's phone",
        }
        async with self.client() as anybody:
            claimed = await anybody.post("/api/hub/claim", json=claim)
        assert claimed.status_code == 201, claimed.text
        self.owner = self.client(claimed.json()["session"]["access_token"])
        made = await self.owner.post("/api/homes", json={"name": "Lindenweg", "time_zone": "Europe/Berlin"})
        self.home_id = made.json()["id"]


@asynccontextmanager
async def living(folder: Path, *, bluetooth: str = "off", **more: Any) -> AsyncIterator[Living]:
    """A hub over `folder` while the context lasts, unclaimed if it is new; `more` are settings."""
    node = Node(structs.replace(patient(folder), bluetooth=bluetooth, **more))
    await node.start()
    hub = Living(node)
    try:
        yield hub
    finally:
        if hasattr(hub, "owner"):
            await hub.owner.aclose()
        node.end_streams()
        await node.stop()
