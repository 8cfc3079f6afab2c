"""The people of a device over the companion API."""

from typing import Any

import httpx2
import pytest

from app.caller import Caller
from app.devices import user_queries
from app.devices.user_model import NewDeviceUser, Sex
from app.store.retention import KEEP
from tests.api.harness import Api
from tests.api.households import account_of, join
from tests.api.things import bind, home_of

ANNA = {"nick_name": "Anna", "sex": "female", "birthday": "1988-04-21", "height": 171, "weight": 64500}


async def scale_of(api: Api, client: httpx2.AsyncClient) -> tuple[str, str]:
    """(device id, path of its users)."""
    device_id = await bind(api, await home_of(client))
    return device_id, f"/api/devices/{device_id}/users"


async def add(client: httpx2.AsyncClient, path: str, **fields: Any) -> dict[str, Any]:
    answer = await client.post(path, json={**ANNA, **fields})
    assert answer.status_code == 201, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def test_a_person_is_added_changed_and_forgotten(api: Api) -> None:
    anna = await api.person("anna")
    device_id, path = await scale_of(api, anna)
    made = await add(anna, path)
    assert made == {**ANNA, "id": made["id"], "device_id": device_id, "contact": "", "version": 1}
    one = f"{path}/{made['id']}"
    read = await anna.get(one)
    assert (read.json(), read.headers["etag"]) == (made, '"1"')
    changed = await anna.patch(one, json={"weight": 63900, "birthday": None}, headers={"If-Match": '"1"'})
    assert changed.json() == {**made, "weight": 63900, "birthday": None, "version": 2}
    assert (await anna.patch(one, json={"height": 170}, headers={"If-Match": '"1"'})).status_code == 412
    assert (await anna.delete(one)).status_code == 204
    assert [
        (await anna.request(verb, one, json=body)).status_code
        for verb, body in (("GET", None), ("PATCH", {"height": 1}), ("DELETE", None))
    ] == [404, 404, 404]


async def test_nothing_of_a_person_is_in_what_is_kept_longer(api: Api) -> None:
    anna = await api.person("anna")
    device_id, path = await scale_of(api, anna)
    made = await add(anna, path, nick_name="Rumpelstiltskin", contact="in the forest")
    await anna.patch(f"{path}/{made['id']}", json={"contact": "in the forest, behind"})
    assert (await anna.delete(f"/api/devices/{device_id}")).status_code == 204

    def kept(reader: Any) -> list[str]:
        tables = [row[0] for row in reader.all("SELECT name FROM sqlite_schema WHERE type='table'")]
        rows = ((table, row) for table in tables for row in reader.all(f"SELECT * FROM {table}"))
        return [table for table, row in rows if "Rumpelstiltskin" in repr(row) or "forest" in repr(row)]

    assert await api.store.read(kept) == []


async def test_they_come_in_pages_and_only_so_many(api: Api) -> None:
    anna = await api.person("anna")
    _, path = await scale_of(api, anna)
    most = KEEP["device_users"].most or 0
    made = [(await add(anna, path, nick_name=f"p{n}"))["id"] for n in range(most)]
    refused = await anna.post(path, json=ANNA)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many")
    found: list[str] = []
    cursor = None
    while True:
        page = (await anna.get(path, params={"limit": 30, **({"cursor": cursor} if cursor else {})})).json()
        found += [each["id"] for each in page["items"]]
        if (cursor := page["next"]) is None:
            break
    assert found == sorted(made)
    # Another device has its own.
    other = await bind(api, await home_of(anna), "d-2")
    assert (await anna.get(f"/api/devices/{other}/users")).json() == {"items": [], "next": None}
    assert (await anna.get(f"/api/devices/{other}/users/{made[0]}")).status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"nick_name": ""},
        {"nick_name": "a\x00b"},
        {"sex": "3"},
        {"birthday": "1799-12-31"},
        {"birthday": "21.4.1988"},
        {"height": 301},
        {"weight": -1},
        {"contact": "x" * 129},
        {"shoe_size": 40},
    ],
)
async def test_what_fits_nobody_is_refused(api: Api, wrong: dict[str, Any]) -> None:
    anna = await api.person("anna")
    _, path = await scale_of(api, anna)
    refused = await anna.post(path, json={**ANNA, **wrong})
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid")
    made = await add(anna, path)
    assert (await anna.patch(f"{path}/{made['id']}", json=wrong)).status_code == 400
    assert (await anna.get(f"{path}/{made['id']}")).json() == made


async def test_a_guest_and_a_receiver_do_not_see_them(api: Api) -> None:
    anna, gil, rea, mia = [await api.person(name) for name in ("anna", "gil", "rea", "mia")]
    device_id, path = await scale_of(api, anna)
    home = f"/api/homes/{(await anna.get(f'/api/devices/{device_id}')).json()['home_id']}"
    await join(api, home, gil, "guest")
    await join(api, home, mia, "member")
    share = (await anna.post(f"/api/devices/{device_id}/shares", json={"login": "rea"})).json()["share"]["id"]
    assert (await rea.post(f"/api/me/shares/{share}/accept")).status_code == 200
    made = await add(mia, path)
    for who in (gil, rea):
        assert (await who.get(f"/api/devices/{device_id}")).status_code == 200
        for verb, where, body in (("GET", path, None), ("POST", path, ANNA), ("DELETE", f"{path}/{made['id']}", None)):
            assert (await who.request(verb, where, json=body)).status_code == 403, verb
    assert account_of(mia) not in (await anna.get(path)).text


async def test_a_time_of_birth_is_kept_as_it_was_given(api: Api) -> None:
    """Tuya's callers say it in ms, and read what they said."""
    anna = await api.person("anna")
    device_id, path = await scale_of(api, anna)
    by = Caller(api.actor(account_of(anna)))
    new = NewDeviceUser(nick_name="", sex=Sex.MALE, birthday=1_544_996_327_422, height=178, weight=160)
    made = await api.services.devices.users.add(by, device_id, new)
    assert made.birthday == 1_544_996_327_422
    shown = (await anna.get(f"{path}/{made.id}")).json()
    assert (shown["birthday"], shown["nick_name"]) == ("2018-12-16", "")
    await anna.patch(f"{path}/{made.id}", json={"weight": 161})
    found = await api.store.read(lambda reader: user_queries.user(reader, device_id, made.id))
    assert found is not None
    assert (found.birthday, found.weight) == (1_544_996_327_422, 161)
