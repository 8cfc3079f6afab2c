"""What homes, rooms, members and shares are read from memory is what is on disk, whatever people did before."""

from random import Random
from typing import Any

import httpx2
import pytest

from app.homes import queries
from app.policy import Actor, Resource
from app.sharing import queries as share_queries
from app.store.resident import Resident
from app.store.tx import Reader
from tests.api.harness import Api
from tests.api.households import account_of

PEOPLE = 5
STEPS = 160
FULL_STEPS = 1_500
ROUND = 20
QUARTER_MS = 15 * 60 * 1000


class OneLamp:
    """Stands in for devices: one thing, in one home."""

    def __init__(self, api: Api, home: str) -> None:
        self._standings = api.services.standings
        self._home_id = home.rpartition("/")[2]

    def resource(self, actor: Actor, thing_id: str) -> Resource:
        return self._standings.home(actor, self._home_id) if thing_id == "lamp" else Resource()

    def resource_in(self, reader: Reader, actor: Actor, thing_id: str) -> Resource:
        return self._standings.home_in(reader, actor, self._home_id) if thing_id == "lamp" else Resource()

    def name_of(self, thing_id: str) -> str:
        return "Lamp"


class Crowd:
    """People who do whatever comes to their mind; what they may not do is refused."""

    def __init__(self, api: Api, random: Random, people: list[httpx2.AsyncClient]) -> None:
        self._api, self._random, self._people = api, random, people
        self._homes: list[str] = []
        self._codes: list[str] = []
        self._shares: list[str] = []

    async def step(self) -> int:
        """One of them does something; returns the status of the answer."""
        verbs = (
            self._create, self._room, self._order, self._unroom, self._invite, self._invite, self._accept,
            self._accept, self._change, self._change, self._remove, self._leave, self._hand_over, self._dissolve,
            self._move, self._share, self._share, self._take, self._take, self._end,
        )  # fmt: skip
        # One of them owns the most, so that something comes of it.
        by = self._people[0] if self._random.random() < 0.5 else self._random.choice(self._people)
        answer: httpx2.Response = await (self._random.choice(verbs) if self._homes else self._create)(by)
        assert answer.status_code < 500, answer.text
        if answer.status_code == 201 and "code" in answer.json():
            (self._shares if "share" in answer.json() else self._codes).append(answer.json()["code"])
        return answer.status_code

    async def _create(self, by: httpx2.AsyncClient) -> httpx2.Response:
        made = await by.post("/api/homes", json={"name": "Home", "time_zone": "Europe/Berlin"})
        self._homes.append(f"/api/homes/{made.json()['id']}")
        return made

    async def _room(self, by: httpx2.AsyncClient) -> httpx2.Response:
        return await by.post(f"{self._home()}/rooms", json={"name": "Room"})

    async def _order(self, by: httpx2.AsyncClient) -> httpx2.Response:
        home = self._home()
        ids = await self._room_ids(by, home)
        self._random.shuffle(ids)
        return await by.put(f"{home}/rooms/order", json={"rooms": ids})

    async def _unroom(self, by: httpx2.AsyncClient) -> httpx2.Response:
        home = self._home()
        ids = await self._room_ids(by, home)
        return await by.delete(f"{home}/rooms/{self._random.choice(ids or ['none'])}")

    async def _invite(self, by: httpx2.AsyncClient) -> httpx2.Response:
        role = self._random.choice(["admin", "member", "guest"])
        return await by.post(f"{self._home()}/invitations", json={"role": role})

    async def _accept(self, by: httpx2.AsyncClient) -> httpx2.Response:
        return await by.post(
            "/api/invitations/accept", json={"code": self._random.choice(self._codes[-3:] or ["none"])}
        )

    async def _change(self, by: httpx2.AsyncClient) -> httpx2.Response:
        change = self._random.choice([{"role": r} for r in ("admin", "member", "guest")] + [{"remark": "x"}])
        return await by.patch(f"{self._home()}/members/{self._somebody()}", json=change)

    async def _remove(self, by: httpx2.AsyncClient) -> httpx2.Response:
        return await by.delete(f"{self._home()}/members/{self._somebody()}")

    async def _leave(self, by: httpx2.AsyncClient) -> httpx2.Response:
        return await by.post(f"{self._home()}/leave")

    async def _hand_over(self, by: httpx2.AsyncClient) -> httpx2.Response:
        return await by.post(f"{self._home()}/hand-over", json={"account_id": self._somebody()})

    async def _dissolve(self, by: httpx2.AsyncClient) -> httpx2.Response:
        body: dict[str, Any] = {"name": "Home"}
        if self._random.random() < 0.2:
            body["members"] = "remove"
        return await by.post(f"{self._home()}/dissolve", json=body)

    async def _move(self, by: httpx2.AsyncClient) -> httpx2.Response:
        return await by.patch(self._home(), json={"time_zone": self._random.choice(["Asia/Tokyo", "UTC"])})

    async def _share(self, by: httpx2.AsyncClient) -> httpx2.Response:
        self._api.services.sharable["device"] = OneLamp(self._api, self._home())
        return await by.post("/api/devices/lamp/shares", json={})

    async def _take(self, by: httpx2.AsyncClient) -> httpx2.Response:
        return await by.post("/api/shares/accept", json={"code": self._random.choice(self._shares[-3:] or ["none"])})

    async def _end(self, by: httpx2.AsyncClient) -> httpx2.Response:
        shares = (await by.get("/api/me/shares")).json().get("items", [])
        share_id = self._random.choice(shares)["id"] if shares else "none"
        return await by.delete(f"/api/me/shares/{share_id}")

    async def _room_ids(self, by: httpx2.AsyncClient, home: str) -> list[str]:
        return [room["id"] for room in (await by.get(f"{home}/rooms")).json().get("items", [])]

    def _home(self) -> str:
        return self._random.choice(self._homes[-2:] or ["/api/homes/none"])

    def _somebody(self) -> str:
        return account_of(self._random.choice(self._people))


async def _compare(api: Api) -> None:
    services = api.services

    def on_disk(reader: Reader) -> list[dict[Any, Any]]:
        return [
            {home.id: home for home in queries.all_homes(reader)},
            {(m.home_id, m.account_id): m for m in queries.all_members(reader)},
            {room.id: room for room in queries.all_rooms(reader)},
            {share.id: share for share in share_queries.all_accepted(reader)},
        ]

    residents: tuple[Resident[Any, Any], ...] = (
        services.standings.homes,
        services.standings.members,
        services.rooms.rooms,
        services.shares.accepted,
    )
    for disk, resident in zip(await api.store.read(on_disk), residents, strict=True):
        assert {key: resident.get(key) for key in disk} == disk
        assert len(resident) == len(disk)
    assert {a for a, homes in services.standings.homes_of.items() if homes} == {
        m.account_id for m in services.standings.members.values()
    }
    owners = await api.store.read(lambda r: r.all("SELECT count(*) FROM members WHERE role='owner' GROUP BY home_id"))
    assert len(owners) == len(services.standings.homes)


async def _run(api: Api, seed: int, steps: int) -> None:
    crowd = Crowd(api, Random(seed), [await api.person(f"p{n}") for n in range(PEOPLE)])
    done = 0
    for _ in range(0, steps, ROUND):
        done += sum([(await crowd.step()) < 300 for _ in range(ROUND)])
        api.clock.set(api.clock.now().ms + QUARTER_MS)  # wrong codes are forgiven
    assert done > steps // 10
    taken = await api.store.read(lambda r: r.one("SELECT count(*) FROM events WHERE type LIKE '%.accepted'"))
    assert taken is not None
    assert taken[0] > 0
    await _compare(api)


@pytest.mark.parametrize("seed", [1, 2])
async def test_memory_is_what_is_on_disk(api: Api, seed: int) -> None:
    await _run(api, seed, STEPS)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(10))
async def test_memory_is_what_is_on_disk_after_much_more(api: Api, seed: int) -> None:
    await _run(api, 100 + seed, FULL_STEPS)
