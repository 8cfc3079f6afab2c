"""A hub and its cloud with all their tables and the companion API of both; the line between them can be cut."""

from typing import Any

import httpx2

from app.accounts import queries
from app.sync.engine import Engine
from tests.api.harness import Api
from tests.api.households import account_of, new_home
from tests.sync.direct import DirectDoor
from tests.sync.pair import Ends
from tests.waiting import until


class Together:
    """Anna's home at her hub, kept by her cloud too; one key names her at both."""

    def __init__(self, both: Ends, door: DirectDoor | None = None) -> None:
        self.hub, self.cloud = both.hub, both.cloud
        self.at_hub, self.at_cloud = both.at_hub, both.at_cloud
        self.door = door or DirectDoor(self.cloud, self.hub)
        self.engine: Engine
        self.home = ""
        self.both = both

    async def begin(self) -> None:
        """Anna gives a home of her hub's to the cloud."""
        await self.meet()
        await link(self.hub, self.at_hub, self.cloud, self.at_cloud)
        await self.give()

    async def give(self) -> None:
        """A new home of the hub's, which the cloud keeps too."""
        self.home = await new_home(self.at_hub)
        given = await self.at_hub.post(f"{self.home}/sync")
        assert given.status_code == 200, given.text
        await self.keyed()
        await self.level()

    async def keyed(self) -> None:
        """The hub has made the home a key, which it does by itself."""
        sql = "SELECT 1 FROM sync_entities WHERE home_id=? AND kind='home_key'"
        await until(lambda: self.cloud.store.read(lambda reader: reader.one(sql, (self.home_id,))))

    async def another(self) -> "Together":
        """The same two with another home; the line stands."""
        other = Together(self.both, self.door)
        other.engine = self.engine
        self.door.up.set()
        await until(lambda: self.engine.line is not None)
        await other.give()
        return other

    async def meet(self) -> None:
        """The hub is enrolled, and talks; there is no home yet."""
        await self.both.enrol()
        await self.hub.services.sync.close()
        cloud_id = self.cloud.services.hub.view().id
        self.engine = self.hub.services.sync.join(cloud_id, "Cloud", self.door)
        self.engine.start()
        await until(lambda: self.engine.line is not None)

    async def invited(self, guest: httpx2.AsyncClient, role: str, *, by: httpx2.AsyncClient, **terms: Any) -> None:
        """Somebody joins the home where they are, by a code that `by` has made there, or elsewhere."""
        made = await by.post(f"{self.home}/invitations", json={"role": role, **terms})
        assert made.status_code == 201, made.text
        taken = await guest.post("/api/invitations/accept", json={"code": made.json()["code"]})
        assert taken.status_code == 200, taken.text

    async def room(self, name: str = "Kitchen") -> str:
        """A room that both have; returns its path."""
        made = await self.at_hub.post(f"{self.home}/rooms", json={"name": name})
        assert made.status_code == 201, made.text
        await self.level()
        return f"{self.home}/rooms/{made.json()['id']}"

    async def member_at_cloud(self, name: str) -> str:
        """The path of a member at the cloud."""
        members = (await self.at_cloud.get(f"{self.home}/members")).json()["items"]
        (found,) = [it["account_id"] for it in members if it["name"] == name]
        return f"{self.home}/members/{found}"

    async def conflicts(self, **query: str) -> list[dict[str, Any]]:
        """As the hub has them."""
        listed = await self.at_hub.get(f"{self.home}/conflicts", params=query)
        assert listed.status_code == 200, listed.text
        items: list[dict[str, Any]] = listed.json()["items"]
        return items

    async def again(self) -> None:
        """The line stands again, and both are level."""
        self.door.up.set()
        await self.level()

    @property
    def home_id(self) -> str:
        return self.home.rpartition("/")[2]

    async def apart(self, path: str, at_hub: dict[str, Any], at_cloud: dict[str, Any]) -> None:
        """The same thing is changed at both while they do not hear of each other; then they do."""
        self.door.cut()
        for client, fields in ((self.at_hub, at_hub), (self.at_cloud, at_cloud)):
            changed = await client.patch(path, json=fields)
            assert changed.status_code == 200, changed.text
        self.door.up.set()
        await self.level()

    async def level(self) -> None:
        """Both ends have everything, and show it."""
        await level(self.home, self.hub, self.at_hub, self.cloud)


async def level(home: str, hub: Api, at_hub: httpx2.AsyncClient, cloud: Api) -> None:
    """Both ends have everything of a home, by its path, and show it."""
    home_id = home.rpartition("/")[2]

    async def is_level() -> bool:
        view = (await at_hub.get(f"{home}/sync")).json()
        head = cloud.services.sync.cloud_end.heads.get(home_id)
        return view["state"] == "synced" and not view["to_push"] and (view["epoch"], view["head"]) == head

    await until(is_level)
    for node in (hub, cloud):
        await node.services.sync.behind.level(home_id)


async def link(hub: Api, at_hub: httpx2.AsyncClient, cloud: Api, at_cloud: httpx2.AsyncClient) -> None:
    """Anna's key of the hub names her account at the cloud, too."""
    key = await hub.store.read(lambda reader: queries.keys_naming(reader, account_of(at_hub))[0])
    await cloud.store.write(lambda tx: queries.link_key(tx, key, account_of(at_cloud)))
