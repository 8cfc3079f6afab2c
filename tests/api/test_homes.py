"""Homes over the companion API."""

from tests.api.harness import Api

HOME = {"name": "Lindenweg", "time_zone": "Europe/Berlin"}


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
