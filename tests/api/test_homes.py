"""Homes over the companion API."""

import pytest

from app.caller import BY_SYSTEM
from app.homes.members import homes_owned
from app.store.tx import Tx
from tests.api.harness import Api
from tests.api.households import HOME, account_of, join, new_home


async def test_a_home_is_its_makers_and_nobody_elses(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    made = await anna.post("/api/homes", json=HOME)
    assert made.status_code == 201
    path = f"/api/homes/{made.json()['id']}"
    assert (await anna.get(path)).json() == made.json()
    hidden, missing = await ben.get(path), await ben.get("/api/homes/none")
    assert hidden.status_code == missing.status_code == 404
    assert {**hidden.json(), "request_id": ""} == {**missing.json(), "request_id": ""}


async def test_a_change_states_the_version_it_saw(api: Api) -> None:
    anna = await api.person("anna")
    made = await anna.post("/api/homes", json=HOME)
    path, seen = f"/api/homes/{made.json()['id']}", made.headers["etag"]
    first = await anna.patch(path, json={"name": "Lindenweg 3"}, headers={"If-Match": seen})
    second = await anna.patch(path, json={"name": "Lindenweg 4"}, headers={"If-Match": seen})
    assert (first.status_code, second.status_code) == (200, 412)
    assert (await anna.get(path)).json()["name"] == "Lindenweg 3"


async def test_a_repeat_of_a_key_has_one_effect_and_one_answer(api: Api) -> None:
    anna = await api.person("anna")
    answers = [await anna.post("/api/homes", json=HOME, headers={"Idempotency-Key": "k"}) for _ in range(3)]
    assert len({(a.status_code, a.content, a.headers["etag"]) for a in answers}) == 1
    assert len((await anna.get("/api/homes")).json()["items"]) == 1


async def test_lists_come_in_pages(api: Api) -> None:
    anna = await api.person("anna")
    made = {(await anna.post("/api/homes", json=HOME)).json()["id"] for _ in range(5)}
    seen, cursor = [], None
    while True:
        page = (await anna.get("/api/homes", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
        seen += [home["id"] for home in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert sorted(made) == seen


async def test_a_home_is_dissolved_by_its_name_only(api: Api) -> None:
    anna = await api.person("anna")
    home = await new_home(anna)
    wrong = await anna.post(f"{home}/dissolve", json={"name": "Lindenweg 3"})
    assert (wrong.status_code, wrong.json()["code"]) == (409, "name_differs")
    assert (await anna.post(f"{home}/dissolve", json={"name": "Lindenweg"})).status_code == 204
    assert (await anna.get(home)).status_code == 404
    assert (await anna.get("/api/homes")).json()["items"] == []


async def test_what_is_still_there_keeps_a_home_unless_it_is_named(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    home = await new_home(anna)
    await join(api, home, ben, "member")
    gone: list[str] = []
    api.services.homes.on_dissolve_check.append(lambda reader, home_id: {"devices": 2})
    api.services.homes.on_dissolving.append(lambda tx, by, home: gone.append(home.id))
    body = {"name": "Lindenweg"}
    refused = await anna.post(f"{home}/dissolve", json=body)
    assert (refused.status_code, refused.json()["facts"]) == (409, {"members": 1, "devices": 2})
    half = await anna.post(f"{home}/dissolve", json=body | {"devices": "remove"})
    assert half.json()["facts"] == {"members": 1}
    assert gone == []
    done = await anna.post(f"{home}/dissolve", json=body | {"devices": "remove", "members": "remove"})
    assert (done.status_code, [f"/api/homes/{home_id}" for home_id in gone]) == (204, [home])
    assert (await ben.get(home)).status_code == 404
    told = await api.store.read(lambda r: r.all("SELECT account_id FROM events WHERE type='home.left'"))
    assert {row[0] for row in told} == {account_of(anna), account_of(ben)}


async def test_only_the_owner_dissolves(api: Api) -> None:
    anna, ben, cleo = await api.person("anna"), await api.person("ben"), await api.person("cleo")
    home = await new_home(anna)
    await join(api, home, ben, "admin")
    body = {"name": "Lindenweg", "members": "remove"}
    assert (await ben.post(f"{home}/dissolve", json=body)).status_code == 403
    assert (await cleo.post(f"{home}/dissolve", json=body)).status_code == 404


async def test_a_home_is_handed_over_to_a_full_member(api: Api) -> None:
    anna, ben, gil = await api.person("anna"), await api.person("ben"), await api.person("gil")
    nora = await api.person("nora", anonymous=True)
    home = await new_home(anna)
    await join(api, home, ben, "member")
    await join(api, home, gil, "guest")
    await join(api, home, nora, "member")
    for nobody in (gil, nora):
        refused = await anna.post(f"{home}/hand-over", json={"account_id": account_of(nobody)})
        assert (refused.status_code, refused.json()["code"]) == (409, "not_full_member")
    assert (await ben.post(f"{home}/hand-over", json={"account_id": account_of(ben)})).status_code == 403
    done = await anna.post(f"{home}/hand-over", json={"account_id": account_of(ben)})
    assert (done.status_code, done.json()["role"]) == (200, "admin")
    assert (await ben.get(home)).json()["role"] == "owner"
    assert (await anna.post(f"{home}/hand-over", json={"account_id": account_of(anna)})).status_code == 403


async def test_the_owner_stays_and_the_others_may_leave(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    home = await new_home(anna)
    await join(api, home, ben, "admin")
    stays = await anna.post(f"{home}/leave")
    assert (stays.status_code, stays.json()["code"]) == (403, "owner_stays")
    assert (await ben.post(f"{home}/leave")).status_code == 204
    assert (await ben.get(home)).status_code == (await ben.post(f"{home}/leave")).status_code == 404


async def test_nobody_is_in_more_homes_than_allowed(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.homes.members.MAX_HOMES_PER_ACCOUNT", 2)
    anna = await api.person("anna")
    answers = [(await anna.post("/api/homes", json=HOME)).status_code for _ in range(3)]
    assert answers == [201, 201, 409]


async def test_an_account_that_ends_leaves_its_homes_but_owns_none(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    home = await new_home(anna)
    await join(api, home, ben, "member")
    owned = await api.store.read(lambda r: homes_owned(r, account_of(anna)))
    assert owned == ["it owns the home Lindenweg"]
    assert await api.store.read(lambda r: homes_owned(r, account_of(ben))) == []

    def end(tx: Tx) -> None:
        accounts = api.services.accounts
        accounts.remove_in(tx, BY_SYSTEM, accounts.get_in(tx, account_of(ben)))

    await api.store.write(end)
    assert [m["name"] for m in (await anna.get(f"{home}/members")).json()["items"]] == ["anna"]
    assert (await ben.get(home)).status_code == 401
