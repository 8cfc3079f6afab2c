"""A hub, and a device that calls home by hand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from tests.api.harness import Api
from tests.api.things import home_of

PATH = "/v1/heartbeat"
WAIT = 20.0


class House:
    """One home of one person."""

    def __init__(self, api: Api, owner: httpx2.AsyncClient, home_id: str) -> None:
        self.api = api
        self.owner = owner
        self.home_id = home_id

    async def register(self, node_id: str = "1", product: str = "lamp") -> tuple[str, str]:
        """(the device's id, its token)."""
        body = {"product_id": product, "node_id": node_id, "link": "heartbeat"}
        made = await self.owner.post(f"/api/homes/{self.home_id}/devices", json=body)
        assert made.status_code == 201, made.text
        return made.json()["device"]["id"], made.json()["secret"]

    async def beat(self, token: str | None, **said: Any) -> httpx2.Response:
        """One heartbeat."""
        return await self.api.client(token).post(PATH, json=said)

    async def heard(self, token: str, **said: Any) -> Any:
        """What one is answered."""
        answer = await self.beat(token, **said)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def order(self, device_id: str, **command: Any) -> str:
        """A command's id."""
        asked = {"service": "light", "values": {"on": True}, "expires_in": 600, **command}
        answer = await self.owner.post(f"/api/devices/{device_id}/commands", json=asked)
        assert answer.status_code == 202, answer.text
        command_id: str = answer.json()["id"]
        return command_id

    async def get(self, path: str) -> Any:
        """As the owner reads it."""
        return (await self.owner.get(path)).json()

    async def reset(self, device_id: str, record: str = "keep") -> Any:
        """The reset, as it is shown."""
        answer = await self.owner.post(f"/api/devices/{device_id}/reset", json={"record": record})
        assert answer.status_code == 200, answer.text
        return answer.json()


@asynccontextmanager
async def house_in(folder: Path) -> AsyncIterator[House]:
    """A hub in `folder`."""
    async with Api(folder) as api:
        owner = await api.person("anna")
        yield House(api, owner, await home_of(owner))
