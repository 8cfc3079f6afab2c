"""What `doorstep demo --cloud` tells: a hub and its cloud, edited apart, are the same again."""

import asyncio
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime
from typing import Any, Final

from app.client import Client
from app.commands.catching_up import ago, standings
from app.commands.child import PATIENCE_SECONDS, Child, HubProcess
from app.commands.tale import Tale, WentWrong

LOOK_S: Final = 0.1


class CloudTale(Tale):
    """The cloud is a process as well, stopped and started again where the story has the internet fail and come back."""

    what = "Hub and cloud"
    cloud: HubProcess
    _cloud_token = ""

    async def tell(self, running: AsyncExitStack) -> None:
        """All of it."""
        self.running = running
        anna = await self.begin_hub()
        there = await self._begin_cloud()
        await self._enrol(anna, there)
        await self._link(anna, there)
        home, room = await self._give(anna, there)
        await self._apart(anna, home, room)
        await self._together(anna, home, room)

    @property
    def processes(self) -> list[Child]:
        """What runs, in the order in which it is to be stopped."""
        return [self.hub, self.cloud]

    async def _begin_cloud(self) -> Client:
        self.story.begin("A cloud: the same program in another role")
        await self._serve_cloud()
        ready = self.cloud.ready
        who = {"code": ready["claim_code"], "login": "anna", "name": "Anna", "time": datetime.now(UTC).isoformat()}
        claimed = await (await self._at_cloud()).post("/api/hub/claim", {**who, **self._login})
        self._cloud_token = claimed["session"]["access_token"]
        self.story.step("the cloud answers, and Anna has an account there", url=ready["url"])
        return await self._at_cloud()

    async def _serve_cloud(self, port: int = 0) -> None:
        log = self.folder / "cloud-log"
        log.mkdir(exist_ok=True)
        serving = HubProcess(self.folder / "cloud", "--role", "cloud", port=port, folder=log)
        self.cloud = await self.running.enter_async_context(serving)

    async def _at_cloud(self) -> Client:
        return await self.running.enter_async_context(self.cloud.client(self._cloud_token or None))

    async def _enrol(self, anna: Client, there: Client) -> None:
        self.story.begin("The hub is enrolled with it")
        made = await there.post("/api/hubs/enrolments")
        self.story.step("the cloud makes a code", code=made["code"])
        asked = await anna.post("/api/cloud", {"code": made["link"]})
        seen = await there.get(f"/api/hubs/enrolments/{made['id']}")
        if asked["number"] != seen["number"]:
            raise WentWrong("hub and cloud show different numbers: somebody stands between them")
        self.story.step("hub and cloud show the same number; Anna says yes at the cloud", number=asked["number"])
        await there.post(f"/api/hubs/enrolments/{made['id']}/confirm")
        await self._until(anna, "/api/cloud", connected=True)
        self.story.step("the hub is connected to its cloud")

    async def _link(self, anna: Client, there: Client) -> None:
        challenge = await there.post("/api/sign-in/key-challenges")
        asked = {"audience": challenge["audience"], "nonce": challenge["nonce"], "purpose": "link"}
        await there.post("/api/me/public-keys", await anna.post("/api/me/proofs", asked))
        self.story.step("her account at the hub proves its key to the cloud: at both she is one person")

    async def _give(self, anna: Client, there: Client) -> tuple[str, str]:
        self.story.begin("Anna gives her home to the cloud")
        home = await anna.post("/api/homes", {"name": "Our home", "time_zone": "Europe/Berlin"})
        path = f"/api/homes/{home['id']}"
        rooms = [await anna.post(f"{path}/rooms", {"name": name}) for name in ("Living room", "Hall")]
        self.story.step("a home with rooms, at the hub", rooms=", ".join(room["name"] for room in rooms))
        await anna.post(f"{path}/sync")
        await self._level(anna, home["id"])
        seen = [room["name"] async for room in there.pages(f"{path}/rooms")]
        if sorted(seen) != ["Hall", "Living room"]:
            raise WentWrong(f"the cloud has other rooms: {seen}")
        self.story.step("the cloud has them, too", rooms=", ".join(seen))
        return path, rooms[0]["id"]

    async def _apart(self, anna: Client, home: str, room: str) -> None:
        self.story.begin("The internet fails")
        port = int(self.cloud.ready["port"])
        await self.cloud.stop()
        await self._until(anna, f"{home}/sync", state="offline")
        self.story.step("the hub goes on without its cloud")
        await anna.patch(f"{home}/rooms/{room}", {"name": "Library"})
        await anna.post(f"{home}/rooms", {"name": "Attic"})
        waiting = await anna.get(f"{home}/sync")
        self.story.step("in the house Anna renames a room and makes one", waiting=waiting["to_push"])
        await self._serve_cloud()  # behind another port: outside it is reached, and not by the hub
        there = await self._at_cloud()
        await there.patch(f"{home}/rooms/{room}", {"name": "Salon"})
        await there.post(f"{home}/rooms", {"name": "Garage"})
        self.story.step("outside she renames the same room at the cloud, and makes another one")
        await self.cloud.stop()
        await self._serve_cloud(port)

    async def _together(self, anna: Client, home: str, room: str) -> None:
        self.story.begin("The internet is back")
        await self._until(anna, f"{home}/sync", state="synced")
        self.story.step("the hub has found its cloud")
        await self._level(anna, home.rpartition("/")[2])
        there = await self._at_cloud()
        await self._same(anna, there, home)
        (conflict,) = [item async for item in anna.pages(f"{home}/conflicts", state="open")]
        kept, lost = conflict["kept"], conflict["lost"]
        text = "of two names one was kept, and the other is not forgotten"
        self.story.step(text, kept=kept["value"], lost=lost["value"], by=lost["name"], at=ago(lost["at"]))
        await anna.post(f"{home}/conflicts/{conflict['id']}/undo")
        await self._level(anna, home.rpartition("/")[2])
        name = (await there.get(f"{home}/rooms/{room}"))["name"]
        if name != lost["value"]:
            raise WentWrong(f"the room is called {name} at the cloud, not {lost['value']}")
        self.story.step("Anna would rather have the other: undone at the hub, and so at the cloud", name=name)

    async def _same(self, anna: Client, there: Client, home: str) -> None:
        names = [{it["id"]: it["name"] async for it in at.pages(f"{home}/rooms")} for at in (anna, there)]
        if names[0] != names[1]:
            raise WentWrong(f"hub and cloud differ: {names}")
        self.story.step("hub and cloud are the same again", rooms=", ".join(sorted(names[0].values())))

    async def _level(self, anna: Client, home_id: str) -> None:
        said: dict[str, Any] = {}
        async with asyncio.timeout(PATIENCE_SECONDS):
            async with aclosing(standings(anna, home_id)) as moments:
                async for now in moments:
                    said = now
        self.story.step("nothing is on its way any more", state=said["state"], head=said["head"])

    async def _until(self, anna: Client, path: str, **so: object) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                shown = await anna.get(path)
                if so.items() <= shown.items():
                    return
                await asyncio.sleep(LOOK_S)
