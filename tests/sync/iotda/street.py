"""Two nodes in this process: a platform where a gateway is registered, and a hub whose home is shown there."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from app.caller import BY_SYSTEM, Caller
from app.devices.model import NewDevice
from app.policy import Actor
from tests.api.fake_link import FakeLink
from tests.api.harness import Api
from tests.e2e.living import Living, living
from tests.waiting import WAIT, until

SECRET = "a-secret-of-24-letters.."
HOME = {"name": "Lindenweg", "time_zone": "Europe/Berlin"}


class Street:
    """`hub` is the gateway that `platform` knows as `gateway`."""

    def __init__(self, platform: Living, hub: Living, node_id: str = "lindenweg") -> None:
        self.platform = platform
        self.hub = hub
        self.node_id = node_id

    @property
    def gateway(self) -> str:
        """What it is called there."""
        return f"gateway_{self.node_id}"

    @property
    def path(self) -> str:
        """Of the home's upstream."""
        return f"/api/homes/{self.hub.home_id}/iotda-upstream"

    @property
    def url(self) -> str:
        """Of the platform, for its devices."""
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        """Of the platform's MQTT."""
        assert self.platform.node.mqtt is not None
        return self.platform.node.mqtt.ports["tcp"]

    async def register(self) -> None:
        """The gateway, at the platform."""
        body = {"product_id": "gateway", "node_id": self.node_id, "secret": SECRET}
        made = await self.platform.owner.post(f"/api/homes/{self.platform.home_id}/devices", json=body)
        assert made.status_code == 201, made.text

    async def attach(self, **fields: Any) -> Any:
        """Show the home there."""
        body = {"url": self.url, "device_id": self.gateway, "secret": SECRET, **fields}
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
        new = NewDevice(home_id=self.hub.home_id, hardware_id=f"{name}-{self.node_id}", product_id=product, name=name)
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
        return str(await until(lambda: self.there(device_id)))

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
        return await until(lambda: got(self.platform, f"{path}/{made['id']}"), lambda it: "ended_at" in it)

    def asking(self, there_id: str, **body: Any) -> "asyncio.Task[Any]":
        """`command`, for who has something to do meanwhile."""
        return asyncio.create_task(self.command(there_id, **body))

    def link(self) -> FakeLink:
        """By which the hub reaches its devices."""
        return FakeLink(cast("Api", self.hub.node))

    @property
    def owner(self) -> str:
        """The account of the hub's owner."""
        return self.hub.node.services.standings.owner_of(self.hub.home_id) or ""

    async def desire(self, node: Living, device_id: str, **values: Any) -> None:
        """A wish at either end."""
        shadows, actor = node.node.services.devices.shadows, Actor(self.owner_at(node), home_id=node.home_id)
        await shadows.desire(Caller(actor), device_id, "light", values)

    def owner_at(self, node: Living) -> str:
        """The account of a node's owner."""
        return node.node.services.standings.owner_of(node.home_id) or ""

    async def until_gateway(self, *, online: bool) -> None:
        """Once the platform has the gateway so."""
        devices = self.platform.node.services.devices
        known = devices.of_hardware(self.gateway)
        assert known is not None
        await self.until_seen(known.id, lambda it: it["online"] is online)

    async def hand_over(self) -> Living:
        """The hub's home to Bob; returns the hub as he reaches it."""
        home = f"/api/homes/{self.hub.home_id}"
        made = (await self.hub.owner.post(f"{home}/invitations", json={"role": "admin"})).json()
        person = {"login": "bob", "password": "correct horse battery", "name": "Bob", "phone": "Bob's phone"}
        async with self.hub.client() as anybody:
            joined = (await anybody.post("/api/invitations/sign-up", json={"code": made["code"], **person})).json()
        bob = Living(self.hub.node)
        bob.owner, bob.home_id = self.hub.client(joined["session"]["access_token"]), self.hub.home_id
        me = (await bob.owner.get("/api/me")).json()["id"]
        answer = await self.hub.owner.post(f"{home}/hand-over", json={"account_id": me})
        assert answer.is_success, answer.text
        return bob


async def got(node: Living, path: str) -> Any:
    """What a node's owner reads there."""
    return (await node.owner.get(path)).json()


def value(shown: Any, name: str) -> Any:
    """A lamp's value, None where it has said none."""
    return shown["services"].get("light", {"reported": {}})["reported"].get(name, {}).get("value")


async def moved_in(node: Living) -> Living:
    """The same node, with another home of its owner's."""
    made = Living(node.node)
    made.owner = node.owner
    made.home_id = (await node.owner.post("/api/homes", json=HOME)).json()["id"]
    return made


@asynccontextmanager
async def town(folder: Path) -> AsyncIterator[tuple[Living, Living]]:
    """A platform and a hub, claimed, that know the time."""
    async with living(folder / "platform", role="cloud", mqtt=True) as platform, living(folder / "hub") as hub:
        platform.node.services.devices.presence.grace = 0.01
        for node in (platform, hub):
            await node.claim()
            told = await node.owner.put("/api/hub/clock", json={"time": datetime.now(UTC).isoformat()})
            assert told.is_success, told.text
        yield platform, hub
