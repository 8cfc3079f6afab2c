"""The real command, killed -9 around an upgrade: what was offered to a device that is away reaches it when it comes."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGKILL
from typing import Any

from msgspec import Struct

from tests.crash.served import Hub, claim, client_of, serving
from tests.links.iotda.house import SECRET
from tests.links.iotda.paho_device import PahoDevice

WIRE_ID = "lamp_1"
PACKAGE = b"the firmware of a lamp, version 2" * 10_000


class Story(Struct):
    """What outlives the hub's lives: whose it is, and the lamp, which is told to become another version."""

    owner: str = ""
    path: str = ""
    package_id: str = ""
    version: str = "v1"

    async def offer(self, hub: Hub) -> None:
        """To a lamp that has never been there; then the hub ends as it says yes."""
        self.owner = await claim(hub)
        async with client_of(hub, self.owner) as owner:
            made = await owner.post("/api/homes", json={"name": "Lindenweg", "time_zone": "Europe/Berlin"})
            new = {"product_id": "lamp", "node_id": "1", "secret": SECRET}
            lamp = await owner.post(f"/api/homes/{made.json()['id']}/devices", json=new)
            self.path = f"/api/devices/{lamp.json()['device']['id']}/upgrades"
            params = {"product_id": "lamp", "kind": "firmware", "version": "v2"}
            self.package_id = (await owner.post("/api/packages", params=params, content=PACKAGE)).json()["id"]
            answer = await owner.post(self.path, json={"package_id": self.package_id})
            assert (answer.status_code, answer.json()["state"]) == (201, "offered"), answer.text

    async def hear(self, hub: Hub) -> None:
        """The lamp comes, is asked and told, and the hub ends before it could fetch anything."""
        async with self.lamp(hub) as lamp:
            assert (await self.told(lamp))["sign"] == hashlib.sha256(PACKAGE).hexdigest()

    async def fetch(self, hub: Hub) -> None:
        """It is told again, fetches, and the hub ends as it has acknowledged how far that is."""
        async with self.lamp(hub) as lamp:
            told = await self.told(lamp)
            async with client_of(hub) as client:
                headers = {"Authorization": f"Bearer {told['access_token']}"}
                fetched = await client.get(told["url"], headers=headers)
            assert fetched.content == PACKAGE
            await self.say(lamp, "upgrade_progress_report", result_code=0, progress=50, version="v1")

    async def install(self, hub: Hub) -> None:
        """It comes back with the new version, and the hub ends as it has acknowledged that."""
        assert (await self.state(hub))["progress"] == 50
        async with self.lamp(hub) as lamp:
            assert await self.next(lamp, "version_query") == {}
            self.version = "v2"
            await self.say(lamp, "version_report", fw_version=self.version)

    async def look(self, hub: Hub) -> None:
        """It has been upgraded, and is asked nothing more."""
        done = await self.state(hub)
        assert (done["state"], done["progress"], done["package_id"]) == ("succeeded", 100, self.package_id)
        async with self.lamp(hub) as lamp:
            await self.say(lamp, "version_report", fw_version=self.version)
            assert lamp.heard.empty()

    async def state(self, hub: Hub) -> Any:
        async with client_of(hub, self.owner) as owner:
            return (await owner.get(self.path)).json()["items"][0]

    async def told(self, lamp: PahoDevice) -> Any:
        """What it is told of the package, having said which version it runs."""
        assert await self.next(lamp, "version_query") == {}
        await self.say(lamp, "version_report", fw_version=self.version)
        return await self.next(lamp, "firmware_upgrade")

    async def next(self, lamp: PahoDevice, kind: str) -> Any:
        path, said = await lamp.next()
        (event,) = said["services"]
        assert (path, event["service_id"], event["event_type"]) == ("sys/events/down", "$ota", kind)
        return event["paras"]

    async def say(self, lamp: PahoDevice, kind: str, **paras: Any) -> None:
        """Returns when it is acknowledged."""
        await lamp.publish("sys/events/up", {"services": [{"service_id": "$ota", "event_type": kind, "paras": paras}]})

    @asynccontextmanager
    async def lamp(self, hub: Hub) -> AsyncIterator[PahoDevice]:
        """It is there until the hub has ended."""
        device = PahoDevice(WIRE_ID, SECRET)
        try:
            assert await device.connect(int(hub.ready["mqtt_ports"]["tcp"])) == "Success"
            yield device
            hub.process.send_signal(SIGKILL)
        finally:
            await device.close()


def test_an_upgrade_outlives_every_life_of_the_hub(tmp_path: Path, figure: Callable[[str], None]) -> None:
    story = Story()
    parts: tuple[Callable[[Hub], Awaitable[None]], ...] = (
        story.offer,
        story.hear,
        story.fetch,
        story.install,
        story.look,
    )

    async def live(part: Callable[[Hub], Awaitable[None]], hub: Hub) -> None:
        async with asyncio.timeout(120):
            await part(hub)
        hub.process.send_signal(SIGKILL)

    for part in parts:
        with serving(tmp_path / "data") as hub:
            asyncio.run(live(part, hub))
            assert hub.process.wait() == -SIGKILL
    figure(f"kill -9 x {len(parts)} around an upgrade offered to a device that was away: told, fetched, installed once")
