"""A home with everything in it that there is, on a hub."""

from typing import Any

from msgspec import Struct

from app.clock import to_time
from tests.api.harness import Api
from tests.api.households import account_of, join, new_home
from tests.api.things import bind
from tests.sync.sides import carry, carry_things, facts_of, key_of, put

HOUR_MS = 3_600_000
EVERY_DAY = [0, 1, 2, 3, 4, 5, 6]
WINDOW = {"days": EVERY_DAY, "start": 480, "end": 1200}


class Inventory(Struct):
    """Who and what is there: people's tokens, which are their accounts' ids, and ids, by name."""

    home: str
    people: dict[str, str]
    lamp: str = ""
    group: str = ""
    rooms: list[str] = []
    shares: dict[str, str] = {}
    invitations: dict[str, str] = {}


class Household:
    """Anna's home, with everything in it that there is; Rosa and Ida are nobody there, and have shares."""

    def __init__(self, hub: Api, there: Inventory) -> None:
        self.hub = hub
        self.id, self.path = there.home, f"/api/homes/{there.home}"
        self.people = {name: hub.client(token) for name, token in there.people.items()}
        self.lamp, self.group = there.lamp, there.group
        self.rooms, self.shares, self.invitations = there.rooms, there.shares, there.invitations

    async def ask(self, asking: Any) -> Any:
        """What was answered, and that it was not refused."""
        answer = await asking
        assert answer.status_code in (200, 201, 204), answer.text
        return answer.json() if answer.content else None

    async def key(self, name: str) -> str:
        """How other nodes name one of them."""
        return await key_of(self.hub, account_of(self.people[name]))

    async def arrive(self, cloud: Api) -> None:
        """All of it is at the cloud as well."""
        await put(cloud, self.id, {"home": (await facts_of(self.hub, self.id))["home"]})
        await carry_things(self.hub, cloud)
        await carry(self.hub, cloud, self.id)

    def member(self, **fields: Any) -> dict[str, Any]:
        """Of Max, whom nobody knows yet."""
        return {"role": "member", "name": "Max", "joined_at": 1_000} | fields


class _Builder(Household):
    """What people do until it is as it is."""

    async def build(self) -> tuple[str, str]:
        """Returns the lamp and the group."""
        anna = self.people["anna"]
        place = {"latitude": 52.5, "longitude": 13.25, "address": "Lindenweg 3", "offline_alert_after": 0}
        await self.ask(anna.patch(self.path, json=place))
        await self._bring_in()
        self.lamp = await bind(self.hub, self.id)
        new = {"name": "Ceiling", "devices": [self.lamp]}
        self.group = (await self.ask(anna.post(f"/api/homes/{self.id}/groups", json=new)))["id"]
        await self._invite()
        await self._lend()
        return self.lamp, self.group

    async def _bring_in(self) -> None:
        anna, now = self.people["anna"], self.hub.clock.now().ms
        await join(self.hub, self.path, self.people["ben"], "admin")
        await join(self.hub, self.path, self.people["gil"], "guest", until=now + HOUR_MS, only=frozenset())
        for name in ("Kitchen", "Hall", "Bath"):
            made = await self.ask(anna.post(f"{self.path}/rooms", json={"name": name, "icon": name.lower()}))
            self.rooms.append(made["id"])

    async def _invite(self) -> None:
        anna = self.people["anna"]
        for name, fields in {
            "open": {"role": "guest", "hours": [WINDOW], "only": [self.lamp]},
            "revoked": {},
            "anonymous": {"anonymous": True},
            "addressed": {"login": "ida"},
        }.items():
            made = await self.ask(anna.post(f"{self.path}/invitations", json=fields))
            self.invitations[name] = made["invitation"]["id"]
            if name == "anonymous":
                joining = {"code": made["code"], "name": "Vic", "phone": "Vic's phone"}
                await self.ask(self.hub.client().post("/api/invitations/anonymous", json=joining))
        await self.ask(anna.delete(f"{self.path}/invitations/{self.invitations['revoked']}"))

    async def _lend(self) -> None:
        ben, lamp, group = self.people["ben"], f"/api/devices/{self.lamp}/shares", f"/api/groups/{self.group}/shares"
        until = to_time(self.hub.clock.now().ms + HOUR_MS).isoformat()
        for name, path, fields in (
            ("rosa", lamp, {"login": "rosa", "level": "view", "until": until, "remark": "next door"}),
            ("offered", lamp, {"login": "ida"}),
            ("code", group, {"hours": [WINDOW]}),
            ("ida", group, {"login": "ida"}),
            ("ended", lamp, {}),
        ):
            made = await self.ask(ben.post(path, json=fields))
            self.shares[name] = made["share"]["id"]
        for name in ("rosa", "ida"):
            await self.ask(self.people[name].post(f"/api/me/shares/{self.shares[name]}/accept"))
        await self.ask(ben.delete(f"{self.path}/shares/{self.shares['ended']}"))


async def build(hub: Api) -> Inventory:
    """Have it all at a hub."""
    people = {name: account_of(await hub.person(name)) for name in ("anna", "ben", "gil", "rosa", "ida")}
    anna = hub.client(people["anna"])
    it = Inventory((await new_home(anna)).rpartition("/")[2], people, rooms=[], shares={}, invitations={})
    it.lamp, it.group = await _Builder(hub, it).build()
    return it
