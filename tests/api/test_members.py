"""Members over the companion API."""

import pytest

from app.clock import to_time
from app.hours import Window
from tests.api.harness import Api
from tests.api.households import account_of, join, new_home
from tests.api.things import bind

ALL_WEEK = (0, 1, 2, 3, 4, 5, 6)
HOUR_MS = 3_600_000


async def _epoch(api: Api, home: str) -> int:
    found = api.services.standings.homes.get(home.rpartition("/")[2])
    assert found is not None
    return found.epoch


async def test_members_know_each_other_and_guests_do_not(api: Api) -> None:
    anna, ben, gil = await api.person("anna"), await api.person("ben"), await api.person("gil")
    home = await new_home(anna)
    await join(api, home, ben, "member")
    await join(api, home, gil, "guest")
    listed = (await ben.get(f"{home}/members")).json()["items"]
    assert {(m["name"], m["role"]) for m in listed} == {("anna", "owner"), ("ben", "member"), ("gil", "guest")}
    assert (await gil.get(f"{home}/members")).status_code == 403
    assert (await gil.get(f"{home}/membership")).json()["role"] == "guest"


async def test_members_come_in_pages(api: Api) -> None:
    anna = await api.person("anna")
    home = await new_home(anna)
    for n in range(4):
        await join(api, home, await api.person(f"m{n}"), "member")
    names, cursor = [], None
    while True:
        params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await anna.get(f"{home}/members", params=params)).json()
        names += [m["name"] for m in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert sorted(names) == ["anna", "m0", "m1", "m2", "m3"]


# specs/tuya/notes.md, 7: "add/modify/remove members: owner all, admin common members only (and below), member none".
ROLES = ("owner", "admin", "member", "guest")
MAY = {("owner", "admin"), ("owner", "member"), ("owner", "guest"), ("admin", "member"), ("admin", "guest")}


@pytest.mark.parametrize("actor", ROLES)
async def test_who_may_touch_whom(api: Api, actor: str) -> None:
    owner = await api.person("owner")
    home = await new_home(owner)
    people = {"owner": owner}
    for role in ("admin", "member", "guest"):
        people[role] = await api.person(role)
        await join(api, home, people[role], role)
    others = {}
    for role in ("admin", "member", "guest"):
        others[role] = await join(api, home, await api.person(f"other-{role}"), role)
    others["owner"] = f"{home}/members/{account_of(owner)}"
    by = people[actor]
    for role, path in others.items():
        allowed = (actor, role) in MAY
        assert (await by.patch(path, json={"remark": "x"})).status_code == (200 if allowed else 403), role
        assert (await by.delete(path)).status_code == (204 if allowed else 403), role


async def test_an_admin_makes_no_admins(api: Api) -> None:
    anna, ben, cleo = await api.person("anna"), await api.person("ben"), await api.person("cleo")
    home = await new_home(anna)
    await join(api, home, ben, "admin")
    path = await join(api, home, cleo, "member")
    assert (await ben.patch(path, json={"role": "admin"})).status_code == 403
    assert (await anna.patch(path, json={"role": "admin"})).json()["role"] == "admin"
    assert (await ben.patch(path, json={"role": "member"})).status_code == 403
    assert (await anna.patch(path, json={"role": "owner"})).status_code == 400


async def test_who_has_no_login_is_no_admin(api: Api) -> None:
    anna, nora = await api.person("anna"), await api.person("nora", anonymous=True)
    home = await new_home(anna)
    path = await join(api, home, nora, "member")
    assert (await anna.patch(path, json={"role": "admin"})).json()["code"] == "not_full_member"


async def test_a_guests_limits_are_stated_kept_and_left_behind(api: Api) -> None:
    anna, gil = await api.person("anna"), await api.person("gil")
    home = await new_home(anna)
    path = await join(api, home, gil, "guest")
    lamp = await bind(api, home.rpartition("/")[2])
    until = to_time(api.clock.now().ms + HOUR_MS).isoformat()
    limits = {"until": until, "hours": [{"days": [0, 1], "start": 480, "end": 1020}], "only": [lamp]}
    limited = (await anna.patch(path, json=limits)).json()
    assert (limited["hours"], limited["only"]) == (limits["hours"], [lamp])
    assert (await anna.patch(path, json={"only": [lamp, "elsewhere"]})).status_code == 400
    assert (await anna.patch(path, json={"role": "member", "only": [lamp]})).status_code == 400
    past = to_time(api.clock.now().ms - HOUR_MS).isoformat()
    assert (await anna.patch(path, json={"until": past})).status_code == 400
    full = (await anna.patch(path, json={"role": "member"})).json()
    assert (full["until"], full["hours"], full["only"]) == (None, [], None)


@pytest.mark.parametrize(
    "window",
    [
        {"days": [7], "start": 0, "end": 60},
        {"days": [], "start": 0, "end": 60},
        {"days": [0], "start": 1440, "end": 60},
        {"days": [0], "start": 0, "end": 1441},
        {"days": [0], "start": -1, "end": 60},
        {"days": [0], "start": 0, "end": 60, "zone": "UTC"},
    ],
)
async def test_hours_that_no_week_has_are_refused(api: Api, window: dict[str, object]) -> None:
    anna, gil = await api.person("anna"), await api.person("gil")
    path = await join(api, await new_home(anna), gil, "guest")
    assert (await anna.patch(path, json={"hours": [window]})).status_code == 400


async def test_a_guest_is_nothing_to_the_home_after_their_time(api: Api) -> None:
    anna, gil = await api.person("anna"), await api.person("gil")
    home = await new_home(anna)
    until = api.clock.now().ms + HOUR_MS
    await join(api, home, gil, "guest", until=until)
    assert (await gil.get(home)).status_code == 200
    api.clock.set(until)
    assert (await gil.get(home)).status_code == (await gil.get("/api/homes/none")).status_code == 404


async def test_a_guest_out_of_hours_waits(api: Api) -> None:
    anna, gil = await api.person("anna"), await api.person("gil")
    home = await new_home(anna, time_zone="UTC")
    monday = 1_893_456_000_000 - 1_893_456_000_000 % (7 * 24 * HOUR_MS) + 11 * 24 * HOUR_MS
    await join(api, home, gil, "guest", hours=(Window(ALL_WEEK, 8 * 60, 17 * 60),))
    api.clock.set(monday + 7 * HOUR_MS)
    assert (await gil.get(home)).status_code == 403
    api.clock.set(monday + 8 * HOUR_MS)
    assert (await gil.get(home)).status_code == 200
    api.clock.set(monday + 17 * HOUR_MS)
    assert (await gil.get(home)).status_code == 403


async def test_rights_taken_away_are_counted(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    home = await new_home(anna)
    path = await join(api, home, ben, "member")
    epochs = [await _epoch(api, home)]
    changes: list[dict[str, object]] = [{"remark": "x"}, {"role": "admin"}, {"role": "guest"}, {"only": []}]
    for change in changes:
        await anna.patch(path, json=change)
        epochs.append(await _epoch(api, home))
    await anna.delete(path)
    epochs.append(await _epoch(api, home))
    assert epochs == [1, 1, 1, 2, 3, 4]


async def test_the_one_sent_away_is_told_and_handlers_run(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    home = await new_home(anna)
    path = await join(api, home, ben, "member")
    left: list[str] = []
    api.services.members.on_leaving.append(lambda tx, by, member: left.append(member.account_id))
    assert (await anna.delete(path)).status_code == 204
    told = await api.store.read(
        lambda r: r.all(
            "SELECT type, home_id IS NULL FROM events WHERE account_id=? AND type LIKE 'home.%'", (account_of(ben),)
        )
    )
    assert (left, told) == ([account_of(ben)], [("home.left", 1)])
    assert (await ben.get(home)).status_code == 404
    assert (await anna.delete(path)).status_code == 404


async def test_a_device_that_leaves_is_in_no_guests_limits_nor_when_it_comes_back(api: Api) -> None:
    anna, gil = await api.person("anna"), await api.person("gil")
    home = await new_home(anna)
    home_id = home.rpartition("/")[2]
    lamp, plug = await bind(api, home_id, "d-1"), await bind(api, home_id, "d-2", product="plug")
    path = await join(api, home, gil, "guest", only=frozenset({lamp, plug}))
    assert (await gil.get(f"/api/devices/{lamp}")).status_code == 200
    assert (await anna.delete(f"/api/devices/{lamp}")).status_code == 204
    assert (await anna.get(path)).json()["only"] == [plug]
    again = await bind(api, home_id, "d-1")
    assert (await gil.get(f"/api/devices/{again}")).status_code == 404


async def test_a_guest_of_a_group_has_the_devices_in_it_for_as_long_as_there_is_one(api: Api) -> None:
    anna, gil = await api.person("anna"), await api.person("gil")
    home = await new_home(anna)
    lamp = await bind(api, home.rpartition("/")[2])
    group_id = (await anna.post(f"{home}/groups", json={"name": "g", "devices": [lamp]})).json()["id"]
    path = await join(api, home, gil, "guest")
    assert (await anna.patch(path, json={"only": [group_id]})).json()["only"] == [group_id]
    assert (await gil.get(f"/api/devices/{lamp}")).status_code == 200
    assert (await anna.delete(f"/api/groups/{group_id}")).status_code == 204
    assert (await anna.get(path)).json()["only"] == []
    assert (await gil.get(f"/api/devices/{lamp}")).status_code == 404


async def test_another_homes_device_is_in_no_guests_limits(api: Api) -> None:
    anna, gil = await api.person("anna"), await api.person("gil")
    home, other = await new_home(anna), await new_home(anna)
    path = await join(api, home, gil, "guest")
    lamp = await bind(api, other.rpartition("/")[2])
    assert (await anna.patch(path, json={"only": [lamp]})).status_code == 400


async def test_of_two_changes_to_what_both_saw_one_wins(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    path = await join(api, await new_home(anna), ben, "member")
    seen = (await anna.get(path)).headers["etag"]
    answers = [
        await anna.patch(path, json={"remark": remark}, headers={"If-Match": seen}) for remark in ("first", "second")
    ]
    assert [answer.status_code for answer in answers] == [200, 412]
    assert (await anna.get(path)).json()["remark"] == "first"
