"""A link whose devices are there when the test says so."""

import asyncio
from collections.abc import Callable, Collection
from typing import Any

import httpx2

from app.control.model import OF_THE_MODEL, Command, Kind
from tests.api.harness import Api
from tests.api.things import bind, home_of

ON = {"service": "light", "values": {"on": True}}
WAIT = 20.0


class FakeLink:
    """A `Link` whose devices are there when the test says so, and do nothing by themselves."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.there: set[str] = set()
        self.kinds: Collection[Kind] = OF_THE_MODEL
        self.sent: asyncio.Queue[Command] = asyncio.Queue()
        self.on_send: Callable[[Command], None] = lambda command: None
        api.services.control.links["lan"] = self

    @property
    def carries(self) -> Collection[Kind]:
        return self.kinds

    def is_online(self, device_id: str) -> bool:
        return device_id in self.there

    def send(self, device_id: str, command: Command) -> bool:
        if device_id in self.there:
            self.sent.put_nowait(command)
            self.on_send(command)
        return device_id in self.there

    def up(self, device_id: str) -> None:
        self.there.add(device_id)
        self.api.services.devices.online(device_id, "lan")

    async def next(self) -> Command:
        async with asyncio.timeout(WAIT):
            return await self.sent.get()

    async def answer(self, command: Command, **how: Any) -> None:
        said: dict[str, Any] = {"ok": True, "values": command.body.values, "error": None, **how}
        await self.api.services.control.answered(command.device_id, command.id, **said)


async def lamp_of(api: Api, client: httpx2.AsyncClient) -> tuple[str, str]:
    """(device id, path of its commands)."""
    device_id = await bind(api, await home_of(client))
    return device_id, f"/api/devices/{device_id}/commands"
