"""Rooms over the companion API."""

import asyncio
from random import Random

import httpx2
import pytest

from app.store.retention import KEEP, Keep
from tests.api.harness import Api
from tests.api.households import join, new_home


async def _rooms(client: httpx2.AsyncClient, home: str, *names: str) -> list[str]:
    made = [await client.post(f"{home}/rooms", json={"name": name}) for name in names]
    assert {answer.status_code for answer in made} <= {201}
    return [answer.json()["id"] for answer in made]


async def _listed(client: httpx2.AsyncClient, home: str) -> list[str]:
    return [room["id"] for room in (await client.get(f"{home}/rooms")).json()["items"]]


async def test_rooms_are_made_changed_and_removed(api: Api) -> None:
    anna = await api.person("anna")
    home = await new_home(anna)
    hall, bath = await _rooms(anna, home, "Hall", "Bath")
    assert await _listed(anna, home) == [hall, bath]
    seen = (await anna.get(f"{home}/rooms/{hall}")).headers["etag"]
    renamed = await anna.patch(f"{home}/rooms/{hall}", json={"name": "Entrance"}, headers={"If-Match": seen})
    assert renamed.json()["name"] == "Entrance"
    stale = await anna.patch(f"{home}/rooms/{hall}", json={"icon": "door"}, headers={"If-Match": seen})
    assert stale.status_code == 412
    assert (await anna.delete(f"{home}/rooms/{hall}", headers={"If-Match": seen})).status_code == 412
    assert (await anna.delete(f"{home}/rooms/{hall}")).status_code == 204
    assert await _listed(anna, home) == [bath]
    assert (await anna.get(f"{home}/rooms/{hall}")).status_code == 404


async def test_one_call_sets_the_order(api: Api) -> None:
    anna = await api.person("anna")
    home = await new_home(anna)
    rooms = await _rooms(anna, home, "a", "b", "c", "d")
    Random(7).shuffle(rooms)
    answer = await anna.put(f"{home}/rooms/order", json={"rooms": rooms})
    assert [room["id"] for room in answer.json()["items"]] == rooms == await _listed(anna, home)
    assert (await anna.put(f"{home}/rooms/order", json={"rooms": [rooms[0], rooms[0]]})).status_code == 400


async def test_an_order_fits_rooms_made_and_removed_meanwhile(api: Api) -> None:
    anna = await api.person("anna")
    home = await new_home(anna)
    a, b, c = await _rooms(anna, home, "a", "b", "c")
    answers = await asyncio.gather(
        anna.put(f"{home}/rooms/order", json={"rooms": [c, b, a]}),
        anna.delete(f"{home}/rooms/{b}"),
        anna.post(f"{home}/rooms", json={"name": "d"}),
        anna.put(f"{home}/rooms/order", json={"rooms": [c, a, b]}),
    )
    assert [answer.status_code for answer in answers] == [200, 204, 201, 200]
    assert await _listed(anna, home) == [c, a, answers[2].json()["id"]]
    positions = [room["position"] for room in (await anna.get(f"{home}/rooms")).json()["items"]]
    assert positions == sorted(set(positions))


async def test_members_see_rooms_and_admins_manage_them(api: Api) -> None:
    anna, ben, cleo = await api.person("anna"), await api.person("ben"), await api.person("cleo")
    home = await new_home(anna)
    await join(api, home, ben, "member")
    (hall,) = await _rooms(anna, home, "Hall")
    assert await _listed(ben, home) == [hall]
    assert (await ben.patch(f"{home}/rooms/{hall}", json={"name": "x"})).status_code == 403
    assert (await ben.put(f"{home}/rooms/order", json={"rooms": [hall]})).status_code == 403
    assert (await cleo.get(f"{home}/rooms/{hall}")).status_code == 404


async def test_a_room_is_nowhere_but_in_its_home(api: Api) -> None:
    anna = await api.person("anna")
    first, second = await new_home(anna), await new_home(anna)
    (hall,) = await _rooms(anna, first, "Hall")
    assert (await anna.get(f"{second}/rooms/{hall}")).status_code == 404
    assert (await anna.delete(f"{second}/rooms/{hall}")).status_code == 404
    (bath,) = await _rooms(anna, second, "Bath")
    await anna.put(f"{second}/rooms/order", json={"rooms": [hall, bath]})
    assert (await _listed(anna, first), await _listed(anna, second)) == ([hall], [bath])


async def test_a_home_holds_so_many_rooms(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KEEP, "rooms", Keep("two", most=2, per="home_id"))
    anna = await api.person("anna")
    home = await new_home(anna)
    await _rooms(anna, home, "a", "b")
    full = await anna.post(f"{home}/rooms", json={"name": "c"})
    assert (full.status_code, full.json()["code"]) == (429, "too_many")


async def test_rooms_go_with_their_home(api: Api) -> None:
    anna = await api.person("anna")
    home = await new_home(anna)
    await _rooms(anna, home, "a", "b")
    await anna.post(f"{home}/dissolve", json={"name": "Lindenweg"})
    assert len(api.services.rooms.rooms) == 0
