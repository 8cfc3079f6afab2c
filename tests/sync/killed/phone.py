"""A phone beside one node: a process that edits a home through the companion API, and says what was acknowledged.

It stands in the node's own network, so that it reaches the node while the node reaches nobody. Lines on standard input:
`["ask", id, method, path, body, token]`, answered by `["answered", id, status, said]`; `["edit", settings]` begins to
edit and `["rest"]` ends that, once all that was asked has been answered: `["rested", refusals]`. Each edit that was
acknowledged is a line of its own (`app` of `tests.sync.history`).
"""

import asyncio
import contextlib
import random
import sys
from collections import Counter
from typing import Any
from uuid import uuid4

import msgspec

from app.client import ApiError, Client, HubUnreachable
from tests.sync.history import Edit

HANDS = 2
PAUSE_S = 0.15
MOST = {"rooms": 10, "devices": 10, "groups": 5, "members": 8}


def say(*what: Any) -> None:
    print(msgspec.json.encode(what).decode(), flush=True)


class Settings(msgspec.Struct):
    """`home` is its path; `people`: tokens by name; `seed` of what is done."""

    name: str
    home: str
    people: dict[str, str]
    seed: int


class Phone:
    """One, and everything it asks."""

    def __init__(self, api: Client) -> None:
        self._api = api
        self._hands: list[asyncio.Task[None]] = []
        self._resting = asyncio.Event()
        self._refused: Counter[str] = Counter()
        self.settings: Settings
        self.dice: random.Random
        self._made = 0
        # Of those who came in here.
        self._keys: dict[str, str] = {}

    async def ask(self, number: int, method: str, path: str, body: Any, token: str | None) -> None:
        try:
            said = await self._api.request(method, path, body, headers=_headers(token))
        except ApiError as error:
            say("answered", number, error.status, error.problem)
        except HubUnreachable as error:
            say("answered", number, 0, str(error))
        else:
            say("answered", number, 200, said)

    def edit(self, settings: Settings) -> None:
        self.settings, self.dice = settings, random.Random(settings.seed)
        self._resting.clear()
        self._hands = [asyncio.create_task(self._hand()) for _ in range(HANDS)]

    async def rest(self) -> None:
        self._resting.set()
        await asyncio.gather(*self._hands)
        say("rested", dict(self._refused))

    async def _hand(self) -> None:
        acts = [self.home, self.room, self.room, self.device, self.device, self.group, self.person, self.hand_over]
        while not self._resting.is_set():
            with contextlib.suppress(Refused):
                await self.dice.choice(acts)()
            await asyncio.sleep(PAUSE_S)

    async def sure(self, method: str, path: str, body: Any = None, *, by: str = "anna", version: int = 0) -> Any:
        """As a phone does it: the same again, under the same key, until there is an answer. Raises Refused."""
        token = self.settings.people.get(by, by)
        headers = _headers(token) | {"Idempotency-Key": uuid4().hex}
        if version:
            headers["If-Match"] = f'"{version}"'
        while True:
            try:
                return await self._api.request(method, path, body, headers=headers)
            except HubUnreachable:
                await asyncio.sleep(0.1)
            except ApiError as error:
                if error.status == 503:
                    await asyncio.sleep(0.1)
                    continue
                self._refused[f"{method} {error.status} {error.code}"] += 1
                raise Refused from error

    async def all(self, path: str) -> list[Any]:
        said = await self.sure("GET", f"{self.settings.home}/{path}?limit=100")
        return list(said["items"])

    def name(self, what: str) -> str:
        self._made += 1
        return f"{what} {self._made} of {self.settings.name}"

    def told(self, act: str, kind: str, entity_id: str, fields: dict[str, Any], over: dict[str, Any]) -> None:
        say("edit", Edit(self.settings.name, act, kind, entity_id, fields, over))

    async def rename(self, kind: str, path: str, old: Any) -> None:
        new = self.name(kind)
        await self.sure("PATCH", path, {"name": new}, version=old["version"])
        self.told("put", kind, old["id"], {"name": new}, {"name": old["name"]})

    async def remove(self, kind: str, path: str, old: Any, *fields: str) -> None:
        await self.sure("DELETE", path, version=old["version"])
        self.told("del", kind, old["id"], {}, {name: old[name] for name in fields})

    # what is edited

    async def home(self) -> None:
        old = await self.sure("GET", self.settings.home)
        await self.rename("home", self.settings.home, old)

    async def room(self) -> None:
        rooms, chance = await self.all("rooms"), self.dice.random()
        if not rooms or (len(rooms) < MOST["rooms"] and chance < 0.4):
            name = self.name("room")
            made = await self.sure("POST", f"{self.settings.home}/rooms", {"name": name})
            self.told("new", "room", made["id"], {"name": name}, {})
            return
        old = self.dice.choice(rooms)
        path = f"{self.settings.home}/rooms/{old['id']}"
        if chance > 0.8:
            await self.remove("room", path, old, "name")
        else:
            await self.rename("room", path, old)

    async def device(self) -> None:
        devices, chance = await self.all("devices"), self.dice.random()
        if not devices or (len(devices) < MOST["devices"] and chance < 0.3):
            await self._register()
            return
        old = self.dice.choice(devices)
        path = f"/api/devices/{old['id']}"
        if chance > 0.95:
            await self.remove("device", path, old, "name", "room_id")
        elif chance > 0.6:
            room_id = await self._some_room()
            await self.sure("PATCH", path, {"room_id": room_id}, version=old["version"])
            self.told("put", "device", old["id"], {"room_id": room_id}, {"room_id": old["room_id"]})
        else:
            await self.rename("device", path, old)

    async def _register(self) -> None:
        name, room_id = self.name("device"), await self._some_room()
        new = {"product_id": "lamp", "node_id": uuid4().hex, "name": name, "link": "heartbeat"}
        made = await self.sure("POST", f"{self.settings.home}/devices", {**new, "room_id": room_id})
        self.told("new", "device", made["device"]["id"], {"name": name, "room_id": room_id}, {})

    async def _some_room(self) -> str | None:
        rooms = [it["id"] for it in await self.all("rooms")]
        chosen: str | None = self.dice.choice([None, *rooms])
        return chosen

    async def group(self) -> None:
        groups, chance = await self.all("groups"), self.dice.random()
        if not groups or (len(groups) < MOST["groups"] and chance < 0.4):
            name, devices = self.name("group"), [it["id"] for it in await self.all("devices")]
            new = {"name": name, "devices": self.dice.sample(devices, min(3, len(devices)))}
            made = await self.sure("POST", f"{self.settings.home}/groups", new)
            self.told("new", "group", made["id"], {"name": name}, {})
            return
        old = self.dice.choice(groups)
        if chance > 0.85:
            await self.remove("group", f"/api/groups/{old['id']}", old, "name")
        else:
            await self.rename("group", f"/api/groups/{old['id']}", old)

    async def person(self) -> None:
        """Somebody is invited, and comes in at once, with whatever network there is; later they are shown out."""
        members = await self.all("members")
        if len(members) >= MOST["members"]:
            mine = [it for it in members if it["account_id"] in self._keys]
            if mine:
                old = self.dice.choice(mine)
                path = f"{self.settings.home}/members/{old['account_id']}"
                await self.sure("DELETE", path, version=old["version"])
                self.told("del", "member", self._keys[old["account_id"]], {}, {})
            return
        made = await self.sure("POST", f"{self.settings.home}/invitations", {"role": "member", "anonymous": True})
        invitation = made["invitation"]
        self.told("new", "invitation", invitation["id"], {}, {})
        if self.dice.random() < 0.2:
            await self.sure("DELETE", f"{self.settings.home}/invitations/{invitation['id']}")
            self.told("put", "invitation", invitation["id"], {"state": "revoked"}, {})
            return
        joining = {"code": made["code"], "name": self.name("person"), "phone": "a phone"}
        joined = await self.sure("POST", "/api/invitations/anonymous", joining, by="")
        key = await self._key_of(joined["session"]["access_token"])
        self._keys[joined["session"]["account_id"]] = key
        self.told("new", "member", key, {}, {})

    async def _key_of(self, token: str) -> str:
        keys = (await self.sure("GET", "/api/me/public-keys", by=token))["items"]
        return str(next(it["public_key"] for it in keys if it["own"]))

    async def hand_over(self) -> None:
        if self.dice.random() > 0.3:
            return
        members = await self.all("members")
        owner = next(it for it in members if it["role"] == "owner")
        giver, heir = ("anna", "ben") if owner["name"] == "Anna" else ("ben", "anna")
        to = next(it["account_id"] for it in members if it["name"] == heir.capitalize())
        await self.sure("POST", f"{self.settings.home}/hand-over", {"account_id": to}, by=giver)
        self.told("over", "home", self.settings.home, {}, {})


class Refused(Exception):
    """It was answered, and was not done."""


def _headers(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


async def main(url: str, pin: str) -> None:
    """Until standard input ends."""
    reader = asyncio.StreamReader(limit=1 << 22)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    asking: set[asyncio.Task[None]] = set()
    async with Client(url, pin=pin) as api:
        phone = Phone(api)
        say("ready")
        while line := await reader.readline():
            match msgspec.json.decode(line):
                case ["ask", *asked]:
                    task = asyncio.create_task(phone.ask(*asked))
                case ["edit", settings]:
                    phone.edit(msgspec.convert(settings, Settings))
                    continue
                case ["rest"]:
                    task = asyncio.create_task(phone.rest())
                case other:
                    raise ValueError(other)
            asking.add(task)
            task.add_done_callback(asking.discard)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
