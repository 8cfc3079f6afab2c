"""Two nodes in this process: a platform with a gateway registered, and a hub whose home is shown there."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from app.caller import BY_SYSTEM
from app.devices.model import NewDevice
from tests.e2e.living import Living, living

WAIT = 60.0
SECRET = "a-secret-of-24-letters.."
GATEWAY = "gateway_lindenweg"


class Street:
    """`hub` is the gateway that `platform` knows as `GATEWAY`."""

    def __init__(self, platform: Living, hub: Living) -> None:
        self.platform = platform
        self.hub = hub

    @property
    def path(self) -> str:
        """Of the home's upstream."""
        return f"/api/homes/{self.hub.home_id}/iotda-upstream"

    @property
    def url(self) -> str:
        """Of the platform, for its devices."""
        assert self.platform.node.mqtt is not None
        return f"mqtt://127.0.0.1:{self.platform.node.mqtt.ports['tcp']}"

    async def register(self) -> None:
        """The gateway, at the platform."""
        body = {"product_id": "gateway", "node_id": "lindenweg", "secret": SECRET}
        made = await self.platform.owner.post(f"/api/homes/{self.platform.home_id}/devices", json=body)
        assert made.status_code == 201, made.text

    async def attach(self, **fields: Any) -> Any:
        """Show the home there."""
        body = {"url": self.url, "device_id": GATEWAY, "secret": SECRET, **fields}
        answer = await self.hub.owner.put(self.path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def shown(self) -> Any:
        """The upstream as the hub shows it."""
        return (await self.hub.owner.get(self.path)).json()

    async def until(self, is_so: Callable[[Any], bool]) -> Any:
        """The upstream once it is so."""
        return await until(self.shown, is_so)

    async def until_there(self, count: int) -> Any:
        """Once so many are at the platform, and nothing is to be added or deleted."""
        whole = {"there": count, "wanted": 0, "leaving": 0}
        return await self.until(lambda shown: shown["devices"].items() >= whole.items())

    async def bind(self, name: str, product: str = "lamp") -> str:
        """A device of the hub's home; returns its id."""
        new = NewDevice(home_id=self.hub.home_id, hardware_id=name, product_id=product, name=name)
        services = self.hub.node.services
        device = await self.hub.node.store.write(lambda tx: services.devices.bind_in(tx, BY_SYSTEM, new))
        return device.id

    async def report(self, device_id: str, **values: Any) -> None:
        """A lamp of the hub's says so."""
        await self.hub.node.services.devices.reported(device_id, "light", values)

    def there(self, device_id: str) -> str | None:
        """The platform's id of a device of the hub's."""
        known = self.platform.node.services.devices.of_hardware(f"lamp_{device_id}")
        return None if known is None else known.id

    async def until_here(self, device_id: str) -> str:
        """The platform's id of it, once it has one."""
        async with asyncio.timeout(WAIT):
            while (found := self.there(device_id)) is None:
                await asyncio.sleep(0.01)
        return found

    async def seen(self, there_id: str) -> Any:
        """A device as the platform shows it."""
        return (await self.platform.owner.get(f"/api/devices/{there_id}")).json()

    async def until_seen(self, there_id: str, is_so: Callable[[Any], bool]) -> Any:
        """A device at the platform once it is so."""
        return await until(lambda: self.seen(there_id), is_so)

    async def command(self, there_id: str, **body: Any) -> Any:
        """A command given at the platform, once it has ended."""
        path = f"/api/devices/{there_id}/commands"
        made = (await self.platform.owner.post(path, json={"expires_in": WAIT, **body})).json()
        return await until(
            lambda: got(self.platform, f"{path}/{made['id']}"), lambda it: it.get("ended_at") is not None
        )


async def got(node: Living, path: str) -> Any:
    """What a node's owner reads there."""
    return (await node.owner.get(path)).json()


async def until(ask: Callable[[], Awaitable[Any]], is_so: Callable[[Any], bool]) -> Any:
    """What is answered once it is so."""
    async with asyncio.timeout(WAIT):
        while not is_so(found := await ask()):
            await asyncio.sleep(0.02)
    return found


def value(shown: Any, name: str) -> Any:
    """A lamp's value, None where it has said none."""
    return shown["services"].get("light", {"reported": {}})["reported"].get(name, {}).get("value")


@asynccontextmanager
async def street(folder: Path) -> AsyncIterator[Street]:
    """Both, claimed."""
    async with living(folder / "platform", role="cloud", mqtt=True) as platform, living(folder / "hub") as hub:
        await platform.claim()
        await hub.claim()
        made = Street(platform, hub)
        await made.register()
        yield made
