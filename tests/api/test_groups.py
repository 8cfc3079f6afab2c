"""Groups over the companion API: members, rights of their own, controlled as one."""

import asyncio
from typing import Any

import httpx2

from app.control.model import MAX_OPEN_PER_DEVICE
from app.policy import Grant, Level
from app.store.tx import Reader
from tests.api.fake_link import FakeLink
from tests.api.harness import Api
from tests.api.households import join
from tests.api.things import bind, home_of, room_of, without_request_id

ON = {"kind": "set", "service": "light", "values": {"on": True}}


async def group_of(client: httpx2.AsyncClient, home_id: str, **fields: Any) -> str:
    """A new group."""
    made = await client.post(f"/api/homes/{home_id}/groups", json={"name": "Ceiling", **fields})
    assert made.status_code == 201
    group_id: str = made.json()["id"]
    return group_id


async def test_a_group_is_made_changed_ordered_and_removed(api: Api) -> None:
    anna = await api.person("anna")
    home_id = await home_of(anna)
    lamps = [await bind(api, home_id, f"d-{n}") for n in range(3)]
    path = f"/api/groups/{await group_of(anna, home_id, devices=lamps)}"
    made = await anna.get(path)
    assert (made.json()["devices"], made.headers["etag"]) == (lamps, '"1"')
    turned = lamps[::-1]
    changes = [anna.patch(path, json={"devices": turned}, headers={"If-Match": '"1"'}) for _ in range(2)]
    assert sorted(answer.status_code for answer in await asyncio.gather(*changes)) == [200, 412]
    assert (await anna.get(path)).json()["devices"] == turned
    listed = (await anna.get(f"/api/homes/{home_id}/groups")).json()["items"]
    assert [f"/api/groups/{each['id']}" for each in listed] == [path]
    assert (await anna.delete(path)).status_code == 204
    assert (await anna.get(path)).status_code == 404
    assert (await anna.get(f"/api/devices/{lamps[0]}")).status_code == 200


async def test_only_devices_of_the_home_each_once(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    home_id = await home_of(anna)
    mine, other = await bind(api, home_id), await bind(api, await home_of(ben), "d-2")
    path = f"/api/homes/{home_id}/groups"
    elsewhere = await anna.post(path, json={"name": "G", "devices": [mine, other]})
    nowhere = await anna.post(path, json={"name": "G", "devices": [mine, "none"]})
    twice = await anna.post(path, json={"name": "G", "devices": [mine, mine]})
    assert elsewhere.status_code == 400
    assert without_request_id(elsewhere) == without_request_id(nowhere) == without_request_id(twice)
    assert (await anna.get(path)).json()["items"] == []


async def test_strangers_are_told_nothing(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    home_id = await home_of(anna)
    group_id = await group_of(anna, home_id, devices=[await bind(api, home_id)])
    for verb, suffix, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "x"}),
        ("DELETE", "", None),
        ("POST", "/commands", ON),
    ):
        hidden = await ben.request(verb, f"/api/groups/{group_id}{suffix}", json=body)
        missing = await ben.request(verb, f"/api/groups/none{suffix}", json=body)
        assert hidden.status_code == 404
        assert without_request_id(hidden) == without_request_id(missing)


async def test_a_group_is_controlled_as_one(api: Api) -> None:
    anna = await api.person("anna")
    home_id = await home_of(anna)
    lamps = [await bind(api, home_id, f"d-{n}") for n in range(2)]
    plug = await bind(api, home_id, "d-p", product="plug")
    group_id = await group_of(anna, home_id, devices=[lamps[0], plug, lamps[1]])
    path = f"/api/groups/{group_id}/commands"
    repeats = await asyncio.gather(*(anna.post(path, json=ON, headers={"Idempotency-Key": "k"}) for _ in range(3)))
    assert {answer.status_code for answer in repeats} == {202}
    assert len({answer.content for answer in repeats}) == 1
    answer = repeats[0].json()
    assert [command["device_id"] for command in answer["commands"]] == lamps
    assert [(each["device_id"], each["code"]) for each in answer["unable"]] == [(plug, "value_unfit")]
    rows = await api.store.read(lambda r: r.all("SELECT device_id, group_id, state FROM commands ORDER BY n"))
    assert rows == [(lamp, group_id, "queued") for lamp in lamps]
    nobody = await anna.post(path, json={"kind": "call", "service": "cover", "name": "open"})
    assert (nobody.status_code, nobody.json()["code"]) == (400, "value_unfit")
    assert await api.store.read(lambda r: r.one("SELECT count(*) FROM commands")) == (2,)


async def test_an_empty_group_does_nothing(api: Api) -> None:
    anna = await api.person("anna")
    group_id = await group_of(anna, await home_of(anna))
    done = await anna.post(f"/api/groups/{group_id}/commands", json=ON)
    assert (done.status_code, done.json()["commands"], done.json()["unable"]) == (202, [], [])


async def test_each_member_has_its_result_and_being_away_is_no_reason(api: Api) -> None:
    anna, link = await api.person("anna"), FakeLink(api)
    home_id = await home_of(anna)
    here, away, reset, full, plug = [
        await bind(api, home_id, f"d-{name}", product="plug" if name == "plug" else "lamp")
        for name in ("here", "away", "reset", "full", "plug")
    ]
    group_id = await group_of(anna, home_id, devices=[here, away, reset, full, plug])
    assert (await anna.post(f"/api/devices/{reset}/reset", json={"record": "keep"})).status_code < 300
    one = (await anna.post(f"/api/devices/{full}/commands", json=ON)).json()["id"]
    known = api.services.control.dispatch.get(full, one)
    assert known is not None
    for n in range(MAX_OPEN_PER_DEVICE):
        api.services.control.dispatch._open[full][str(n)] = known
    link.up(here)
    path = f"/api/groups/{group_id}/commands"
    asked = (await anna.post(path, json=ON | {"expires_in": 60})).json()
    assert [each["device_id"] for each in asked["commands"]] == [here, away]
    reasons = {each["device_id"]: each["code"] for each in asked["unable"]}
    assert reasons == {reset: "device_unbound", full: "too_many_commands", plug: "value_unfit"}
    await link.answer(await link.next())
    seen = (await anna.get(f"{path}/{asked['id']}")).json()
    assert [(each["device_id"], each["state"]) for each in seen["commands"]] == [(here, "answered"), (away, "queued")]
    assert seen["unable"] == asked["unable"]
    assert (await anna.delete(f"/api/devices/{away}")).status_code == 204
    seen = (await anna.get(f"{path}/{asked['id']}")).json()
    assert [each["device_id"] for each in seen["commands"]] == [here]
    assert (seen["unable"][-1]["device_id"], seen["unable"][-1]["code"]) == (away, "device_removed")


async def test_what_was_asked_of_a_group_is_its_own(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    home_id = await home_of(anna)
    device_id = await bind(api, home_id)
    group_id, other_id = [await group_of(anna, home_id, devices=[device_id]) for _ in range(2)]
    asked = (await anna.post(f"/api/groups/{group_id}/commands", json=ON)).json()["id"]
    for client, path in (
        (anna, f"/api/groups/{other_id}/commands/{asked}"),
        (anna, f"/api/groups/{group_id}/commands/none"),
        (ben, f"/api/groups/{group_id}/commands/{asked}"),
    ):
        assert (await client.get(path)).status_code == 404
    api.services.devices.access.granting = SharedGroup(group_id)
    shared = (await ben.get(f"/api/groups/{group_id}/commands/{asked}")).json()
    assert "account_id" not in shared["commands"][0]
    assert (await anna.delete(f"/api/groups/{group_id}")).status_code == 204
    assert await api.store.read(lambda r: r.one("SELECT count(*) FROM group_acts")) == (0,)


async def test_a_group_says_who_controls_it(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    home_id = await home_of(anna)
    group_id = await group_of(anna, home_id, devices=[await bind(api, home_id)], least="admin")
    await join(api, f"/api/homes/{home_id}", ben, "member")
    path = f"/api/groups/{group_id}"
    assert (await ben.get(path)).status_code == 200
    assert (await ben.post(path + "/commands", json=ON)).status_code == 403
    assert (await ben.patch(path, json={"least": "guest"})).status_code == 403
    assert (await anna.patch(path, json={"least": "member"})).status_code == 200
    assert (await ben.post(path + "/commands", json=ON)).status_code == 202


async def test_a_guest_of_one_group_sees_it_and_its_devices_alone(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    home_id = await home_of(anna)
    mine, other = await bind(api, home_id), await bind(api, home_id, "d-2")
    group_id, hidden_id = await group_of(anna, home_id, devices=[mine]), await group_of(anna, home_id, devices=[other])
    await join(api, f"/api/homes/{home_id}", ben, "guest", only=frozenset({group_id}))
    assert [d["id"] for d in (await ben.get(f"/api/homes/{home_id}/devices")).json()["items"]] == [mine]
    assert [g["id"] for g in (await ben.get(f"/api/homes/{home_id}/groups")).json()["items"]] == [group_id]
    assert (await ben.get(f"/api/groups/{hidden_id}")).status_code == 404
    assert (await ben.post(f"/api/devices/{mine}/commands", json=ON)).status_code == 202
    assert (await ben.post(f"/api/devices/{other}/commands", json=ON)).status_code == 404
    await anna.patch(f"/api/groups/{group_id}", json={"devices": []})
    assert (await ben.get(f"/api/devices/{mine}")).status_code == 404


class SharedGroup:
    """Stands in for shares: one group is shared with everybody, for control."""

    def __init__(self, group_id: str) -> None:
        self._group_id = group_id

    def grants_of(self, account_id: str, things: tuple[str, ...]) -> tuple[Grant, ...]:
        return (Grant(Level.CONTROL),) if self._group_id in things else ()

    def grants_of_in(self, reader: Reader, account_id: str, things: tuple[str, ...]) -> tuple[Grant, ...]:
        return self.grants_of(account_id, things)


async def test_a_shared_group_gives_its_devices(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    home_id = await home_of(anna)
    mine, other = await bind(api, home_id), await bind(api, home_id, "d-2")
    group_id = await group_of(anna, home_id, devices=[mine])
    api.services.devices.access.granting = SharedGroup(group_id)
    seen = await ben.get(f"/api/groups/{group_id}")
    assert (seen.status_code, seen.json()["home_id"]) == (200, None)
    assert (await ben.post(f"/api/groups/{group_id}/commands", json=ON)).status_code == 202
    assert (await ben.get(f"/api/devices/{mine}")).status_code == 200
    assert (await ben.get(f"/api/devices/{other}")).status_code == 404
    assert (await ben.patch(f"/api/groups/{group_id}", json={"name": "x"})).status_code == 403


async def test_a_device_that_leaves_leaves_its_groups(api: Api) -> None:
    anna = await api.person("anna")
    home_id = await home_of(anna)
    lamps = [await bind(api, home_id, f"d-{n}") for n in range(2)]
    path = f"/api/groups/{await group_of(anna, home_id, devices=lamps)}"
    assert (await anna.delete(f"/api/devices/{lamps[0]}")).status_code == 204
    seen = await anna.get(path)
    assert (seen.json()["devices"], seen.headers["etag"]) == ([lamps[1]], '"2"')
    assert api.services.groups.access.groups_of(lamps[0]) == ()


async def test_a_dissolved_home_takes_its_groups_along(api: Api) -> None:
    anna = await api.person("anna")
    home_id = await home_of(anna)
    await room_of(anna, home_id)
    group_id = await group_of(anna, home_id, devices=[await bind(api, home_id)])
    gone = await anna.post(f"/api/homes/{home_id}/dissolve", json={"name": "Lindenweg", "devices": "remove"})
    assert gone.status_code == 204
    assert group_id not in api.services.groups.access.groups
    assert await api.store.read(lambda r: r.one("SELECT count(*) FROM groups")) == (0,)
