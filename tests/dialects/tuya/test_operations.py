"""The operations, each against what the companion API says of the same home."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.dialects.tuya.routes import OPERATIONS
from tests.api.harness import Api
from tests.api.households import join
from tests.api.things import bind, home_of, room_of
from tests.dialects.tuya.signer import TuyaClient, tuya_client

CATALOGUE = json.loads((Path(__file__).parents[3] / "fixtures/tuya/catalogue.json").read_text())["operations"]
DEVICE_FIELDS = next(set(op["result_fields"]) for op in CATALOGUE if op["path"] == "/v1.0/devices/{device_id}")


class House:
    """Anna's home with a lamp and a switch, and her client."""

    def __init__(self, api: Api, anna: httpx2.AsyncClient, client: TuyaClient, home_id: str, lamp: str) -> None:
        self.api = api
        self.anna = anna
        self.client = client
        self.home_id = home_id
        self.lamp = lamp
        self.ask = client.ask
        self.code = client.code

    async def report(self, service: str, **values: Any) -> None:
        await self.api.services.devices.reported(self.lamp, service, values)

    async def companion(self, path: str) -> Any:
        return (await self.anna.get(f"/api{path}")).json()


@pytest.fixture
async def house(api: Api) -> House:
    anna = await api.person("anna")
    home_id = await home_of(anna)
    lamp = await bind(api, home_id)
    return House(api, anna, await tuya_client(api, anna), home_id, lamp)


async def test_a_device_has_every_field_of_its_table(house: House) -> None:
    await house.report("light", on=True, brightness=500)
    shown = await house.ask("GET", f"/v1.0/devices/{house.lamp}")
    companion = await house.companion(f"/devices/{house.lamp}")
    assert set(shown) == DEVICE_FIELDS
    assert shown["status"] == [{"code": "switch_led", "value": True}, {"code": "bright_value_v2", "value": 500}]
    assert (shown["id"], shown["name"], shown["online"]) == (companion["id"], companion["name"], companion["online"])
    assert (shown["owner_id"], shown["uid"], shown["category"]) == (house.home_id, house.client.uid, "dj")
    assert len(shown["local_key"]) == 16
    assert shown["time_zone"] in ("+01:00", "+02:00")


async def test_lists_page_by_number_and_by_last_id(house: House) -> None:
    plugs = [await bind(house.api, house.home_id, f"more-{n}", product="plug") for n in range(4)]
    ids = sorted([house.lamp, *plugs])
    whole = await house.ask("GET", "/v1.0/devices?page_no=1&page_size=100")
    assert ([d["id"] for d in whole["devices"]], whole["total"]) == (ids, 5)
    numbered = [(await house.ask("GET", f"/v1.0/devices?page_no={n}&page_size=2"))["devices"] for n in (0, 1, 2, 3, 4)]
    assert [[d["id"] for d in page] for page in numbered] == [ids[:2], ids[:2], ids[2:4], ids[4:], []]
    found, last = [], ""
    while page := await house.ask("GET", f"/v1.0/devices?page_size=2&last_id={last}"):
        found += [d["id"] for d in page["devices"]]
        last = page["last_id"]
        if not page["has_more"]:
            break
    assert found == ids
    kind = await house.ask("GET", "/v1.0/devices?page_no=1&page_size=20&product_id=plug")
    assert [d["id"] for d in kind["devices"]] == sorted(plugs)
    two = await house.ask("GET", f"/v1.0/devices?page_no=1&page_size=20&device_ids={ids[1]},{ids[3]}")
    assert [d["id"] for d in two["devices"]] == [ids[1], ids[3]]
    now = house.api.clock.now().ms // 1000
    for span, n in ((f"start_time={now - 60}&end_time={now + 60}", 5), (f"end_time={now - 60}", 0)):
        assert (await house.ask("GET", f"/v1.0/devices?page_no=1&page_size=20&{span}"))["total"] == n
    assert await house.code("GET", f"/v1.0/devices?start_time=1&end_time={now}") == 1101


async def test_a_users_devices_are_their_own_and_those_shared_with_them(house: House, api: Api) -> None:
    ben = await api.person("ben")
    bens = await tuya_client(api, ben)
    own = f"/v1.0/users/{house.client.uid}/devices"
    assert [d["id"] for d in await house.ask("GET", own)] == [house.lamp]
    assert await house.ask("GET", f"{own}?from=sharing") == []
    share = (await house.anna.post(f"/api/devices/{house.lamp}/shares", json={"login": "ben"})).json()["share"]
    await ben.post(f"/api/me/shares/{share['id']}/accept")
    path = f"/v1.0/users/{bens.uid}/devices"
    for where, found in (("", [house.lamp]), ("?from=sharing", [house.lamp]), ("?from=home", [])):
        assert [d["id"] for d in await bens.ask("GET", path + where)] == found
    (seen,) = await bens.ask("GET", f"{path}?from=sharing")
    assert (seen["local_key"], seen["ip"], seen["owner_id"], seen["uuid"]) == ("", "", "", "")
    assert await bens.code("GET", own) == 1106
    assert await bens.code("GET", f"{path}?from=elsewhere") == 1101


async def test_a_member_sees_no_keys_and_changes_nothing(house: House, api: Api) -> None:
    ben = await api.person("ben")
    await join(api, f"/api/homes/{house.home_id}", ben, "member")
    bens = await tuya_client(api, ben)
    assert (await bens.ask("GET", f"/v1.0/devices/{house.lamp}"))["local_key"] == ""
    assert await bens.code("PUT", f"/v1.0/devices/{house.lamp}", {"name": "mine"}) == 1106
    assert await bens.code("DELETE", f"/v1.0/devices/{house.lamp}") == 1106


async def test_a_device_is_renamed_and_removed(house: House) -> None:
    assert await house.ask("PUT", f"/v1.0/devices/{house.lamp}", {"name": "Reading lamp"}) is True
    assert (await house.companion(f"/devices/{house.lamp}"))["name"] == "Reading lamp"
    assert await house.ask("DELETE", f"/v1.0/devices/{house.lamp}") is True
    assert (await house.anna.get(f"/api/devices/{house.lamp}")).status_code == 404


async def test_both_resets_end_the_binding(house: House) -> None:
    other = await bind(house.api, house.home_id, "other")
    assert await house.ask("PUT", f"/v1.0/devices/{house.lamp}/reset-factory") is True
    assert await house.ask("POST", f"/v2.0/cloud/thing/{other}/reset") is True
    assert (await house.ask("GET", "/v1.0/devices?page_no=1&page_size=9"))["devices"] == []
    resets = (await house.companion(f"/homes/{house.home_id}/resets"))["items"]
    assert {reset["device_id"] for reset in resets} == {house.lamp, other}


async def test_children_and_factory_data(house: House, api: Api) -> None:
    gateway = await bind(api, house.home_id, "gw", product="gateway")
    child = await bind(api, house.home_id, "gw/child", gateway_id=gateway)
    (shown,) = await house.ask("GET", f"/v1.0/devices/{gateway}/sub-devices")
    assert shown["id"] == child
    assert set(shown) == {"id", "name", "online", "owner_id", "category", "product_id", "active_time", "update_time"}
    infos = await house.ask("GET", f"/v1.0/devices/factory-infos?device_ids={house.lamp},{gateway},none")
    assert [info["id"] for info in infos] == [house.lamp, gateway]
    assert await house.code("GET", "/v1.0/devices/factory-infos") == 1100


async def test_commands_reach_who_is_there(house: House, api: Api) -> None:
    path, on = f"/v1.0/devices/{house.lamp}/commands", {"commands": [{"code": "switch_led", "value": True}]}
    assert await house.code("POST", path, on) == 2001
    api.services.devices.online(house.lamp)
    assert await house.ask("POST", path, on) is True
    colour = {"commands": [{"code": "colour_data_v2", "value": {"h": 1, "s": 2, "v": 3}}, on["commands"][0]]}
    assert await house.ask("POST", path, colour) is True
    given = (await house.companion(f"/devices/{house.lamp}/commands"))["items"]
    assert given[0]["values"] == {"colour": '{"h":1,"s":2,"v":3}', "on": True}
    for wrong in (
        {"code": "none", "value": 1},
        {"code": "switch_led", "value": 1},
        {"code": "bright_value_v2", "value": 9**9},
    ):
        assert await house.code("POST", path, {"commands": [wrong]}) == 2008
    assert await house.code("POST", path, {"commands": []}) == 1109


async def test_instruction_sets_are_the_products(house: House) -> None:
    functions = await house.ask("GET", f"/v1.0/devices/{house.lamp}/functions")
    assert functions["category"] == "dj"
    bright = next(f for f in functions["functions"] if f["code"] == "bright_value_v2")
    assert (bright["type"], json.loads(bright["values"])) == (
        "Integer",
        {"unit": "", "min": 10, "max": 1000, "step": 1, "scale": 0},
    )
    both = await house.ask("GET", f"/v1.1/devices/{house.lamp}/specifications")
    assert both["functions"] == functions["functions"]
    assert {s["code"] for s in both["status"]} >= {"switch_led", "work_mode"}
    assert (await house.ask("GET", "/v1.0/functions/dj"))["functions"] == functions["functions"]
    assert await house.code("GET", "/v1.0/functions/none") == 2003


async def test_a_home_is_made_changed_and_dissolved_when_it_is_empty(house: House) -> None:
    home = {"name": "Hut", "geo_name": "In the woods", "lat": 60.5, "lon": 11.25}
    made = await house.ask(
        "POST", "/v1.0/home/create-home", {"uid": house.client.uid, "home": home, "rooms": ["Loft", "Hall"]}
    )
    rooms = await house.ask("GET", f"/v1.0/homes/{made}/rooms")
    assert [room["name"] for room in rooms["rooms"]] == ["Loft", "Hall"]
    assert (rooms["name"], rooms["lat"], rooms["geo_name"]) == ("Hut", 60.5, "In the woods")
    assert await house.ask("PUT", f"/v1.0/homes/{made}", {"name": "Cabin"}) is True
    homes = await house.ask("GET", f"/v1.0/users/{house.client.uid}/homes")
    assert {(h["home_id"], h["name"], h["role"]) for h in homes} >= {(made, "Cabin", "OWNER")}
    assert await house.code("DELETE", f"/v1.0/homes/{house.home_id}") not in (None, 500)
    assert await house.ask("DELETE", f"/v1.0/homes/{made}") is True
    assert await house.code("GET", f"/v1.0/homes/{made}") == 1106


async def test_rooms_hold_the_devices_they_are_given(house: House, api: Api) -> None:
    other = await bind(api, house.home_id, "other")
    room = await house.ask("POST", f"/v1.0/homes/{house.home_id}/room", {"name": "Attic"})
    path = f"/v1.0/homes/{house.home_id}/rooms/{room}"

    async def inside() -> list[str]:
        return [d["id"] for d in await house.ask("GET", f"{path}/devices")]

    assert await house.ask("POST", f"{path}/devices", {"device_ids": [house.lamp]}) is True
    assert await inside() == [house.lamp]
    assert await house.ask("PUT", f"{path}/devices", {"device_ids": [other]}) is True
    assert await inside() == [other]
    assert await house.ask("DELETE", f"{path}/devices?device_ids={other}") is True
    assert await inside() == []
    assert await house.ask("POST", f"{path}/devices", {"device_ids": [house.lamp, other]}) is True
    assert await house.ask("DELETE", f"{path}/devices", {"device_ids": [other]}) is True
    assert await inside() == [house.lamp]
    assert (await house.ask("GET", f"/v1.0/devices/{house.lamp}/room"))["name"] == "Attic"
    assert await house.ask("PUT", path, {"name": "Loft"}) is True
    assert await house.ask("DELETE", path) is True
    assert await house.code("GET", f"{path}/devices") == 1106


async def test_members_are_listed_changed_and_invited(house: House, api: Api) -> None:
    ben = await api.person("ben")
    await join(api, f"/api/homes/{house.home_id}", ben, "member")
    path = f"/v1.0/homes/{house.home_id}/members"
    listed = {m["name"]: m for m in await house.ask("GET", path)}
    assert (listed["anna"]["owner"], listed["ben"]["owner"], listed["ben"]["admin"]) == (True, False, False)
    uid = listed["ben"]["uid"]
    assert await house.ask("PUT", f"{path}/{uid}", {"admin": True, "name": "Benny"}) is True
    assert {m["name"] for m in await house.ask("GET", path) if m["admin"]} == {"anna", "Benny"}
    assert await house.ask("DELETE", f"{path}/{uid}") is True
    assert len(await house.ask("GET", path)) == 1
    new = {"app_schema": "x", "member": {"country_code": "49", "member_account": "ben", "admin": False, "name": "Ben"}}
    assert await house.ask("POST", path, new) is True
    invited = (await house.companion(f"/homes/{house.home_id}/invitations"))["items"]
    assert [(i["login"], i["role"], i["state"]) for i in invited] == [("ben", "member", "pending")]


async def test_groups_in_both_editions(house: House, api: Api) -> None:
    other = await bind(api, house.home_id, "other")
    body = {"space_id": house.home_id, "name": "Ceiling", "product_id": "lamp", "device_ids": f"{house.lamp}"}
    made = await house.ask("POST", "/v2.0/cloud/thing/group", body)
    group = made["id"]
    task = await house.ask("PUT", f"/v2.1/cloud/thing/group/{group}/devices", {"device_ids": [other]})
    assert (await house.ask("GET", f"/v2.1/cloud/thing/group/task/{group}/{task['task_id']}"))["progress"] == 100
    assert [d["id"] for d in await house.ask("GET", f"/v2.0/cloud/thing/group/{group}/devices")] == [house.lamp, other]
    sent = {"group_id": group, "properties": json.dumps({"switch_led": True})}
    assert await house.ask("POST", "/v2.0/cloud/thing/group/properties", sent) is True
    for device in (house.lamp, other):
        (command,) = (await house.companion(f"/devices/{device}/commands"))["items"]
        assert (command["values"], command["group_id"]) == ({"on": True}, group)
    await house.ask("DELETE", f"/v2.1/cloud/thing/group/{group}/devices", {"device_ids": [house.lamp]})
    assert [g["id"] for g in await house.ask("GET", f"/v2.0/cloud/thing/group/device/{other}")] == [group]
    assert await house.ask("PUT", f"/v2.0/cloud/thing/group/{group}/Roof") is True
    (listed,) = await house.ask("GET", f"/v2.0/cloud/thing/group?space_id={house.home_id}")
    assert (listed["name"], listed["owner_id"]) == ("Roof", house.home_id)
    assert await house.ask("DELETE", f"/v2.0/cloud/thing/group/{group}") is True
    assert await house.code("GET", f"/v2.0/cloud/thing/group/{group}") == 1106


async def test_things_in_spaces(house: House, api: Api) -> None:
    room = await room_of(house.anna, house.home_id)
    other = await bind(api, house.home_id, "other", room_id=room)
    query = f"/v2.0/cloud/thing/space/device?page_size=20&space_ids={house.home_id}"
    assert [d["id"] for d in await house.ask("GET", query)] == [house.lamp]
    assert [d["id"] for d in await house.ask("GET", f"{query}&is_recursion=True")] == [house.lamp, other]
    inside = await house.ask("GET", f"/v2.0/cloud/thing/space/device?page_size=20&space_ids={room}")
    assert [(d["id"], d["bind_space_id"], d["bindSpaceId"]) for d in inside] == [(other, room, room)]
    assert await house.ask("GET", f"/v2.0/cloud/space/child?space_id={house.home_id}") == [room]
    held = await house.ask("GET", f"/v2.0/cloud/space/{room}/resource")
    assert [r["res_id"] for r in held] == [other]
    assert len(await house.ask("GET", f"/v2.0/cloud/thing/batch?device_ids={house.lamp},{other}")) == 2
    space = await house.ask("POST", "/v2.0/cloud/space/creation", {"name": "Shed", "parent_id": house.home_id})
    assert await house.ask("PUT", f"/v2.0/cloud/space/{space}", {"name": "Barn"}) is True
    assert (await house.ask("GET", f"/v2.0/cloud/space/{space}"))["name"] == "Barn"
    assert await house.ask("DELETE", f"/v2.0/cloud/space/{space}") is True


async def test_properties_as_they_are_and_as_they_are_wanted(house: House) -> None:
    await house.report("light", on=False)
    path = f"/v2.0/cloud/thing/{house.lamp}/shadow/properties"
    (held,) = (await house.ask("GET", f"{path}?codes=switch_led"))["properties"]
    assert (held["code"], held["dp_id"], held["value"]) == ("switch_led", 20, False)
    wish = {"properties": '{"switch_led":true}', "duration": 60, "type": 1}
    await house.ask("POST", f"{path}/desired", wish)
    (wanted,) = (await house.ask("GET", f"{path}/desired"))["properties"]
    assert (wanted["code"], wanted["dpId"], wanted["value"], wanted["status"]) == ("switch_led", 20, True, 0)
    await house.report("light", on=True)
    assert await house.code("POST", f"{path}/issue", {"properties": {"switch_led": True}}) == 2001
    model = json.loads((await house.ask("GET", f"/v2.0/cloud/thing/{house.lamp}/model"))["model"])
    assert [service["code"] for service in model["services"]] == ["light"]


async def test_parts_are_named_and_outlets_are_listed(house: House, api: Api) -> None:
    strip = await bind(api, house.home_id, "strip", product="switch")
    path = f"/v1.0/devices/{strip}"
    before = await house.ask("GET", f"{path}/multiple-names")
    assert [outlet["identifier"] for outlet in before][:2] == ["switch_1", "switch_2"]
    assert await house.ask("PUT", f"{path}/multiple-name", {"identifier": "switch_1", "name": "Hall"}) is True
    assert await house.ask("PUT", f"{path}/functions/switch_2", {"name": "Stairs"}) is True
    names = {it["identifier"]: it["name"] for it in await house.ask("GET", f"{path}/multiple-names")}
    assert (names["switch_1"], names["switch_2"]) == ("Hall", "Stairs")
    assert await house.code("PUT", f"{path}/multiple-name", {"identifier": "switch_9", "name": "x"}) == 2008
    await house.report("light", on=True)
    shadow = f"/v2.0/cloud/thing/{house.lamp}/shadow/properties"
    assert await house.ask("POST", shadow, {"properties": [{"code": "switch_led", "custom_name": "Glow"}]}) is True
    assert [p["custom_name"] for p in (await house.ask("GET", shadow))["properties"]] == ["Glow"]


async def test_people_of_a_device_are_added_changed_and_forgotten(house: House) -> None:
    path = f"/v1.0/devices/{house.lamp}"
    anna = {"nick_name": "test", "sex": 1, "birthday": 1544996327422, "height": 178, "weight": 160, "contact": "x"}
    user = await house.ask("POST", f"{path}/user", anna)
    assert isinstance(user, str)
    assert await house.ask("GET", f"{path}/users/{user}") == {"device_id": house.lamp, "user_id": user, **anna}
    assert await house.ask("PUT", f"{path}/users/{user}", {"nick_name": "Anna", "sex": 2, "height": 170}) is True
    (listed,) = await house.ask("GET", f"{path}/users")
    assert (listed["nick_name"], listed["sex"], listed["height"], listed["weight"]) == ("Anna", 2, 170, 160)
    assert await house.code("POST", f"{path}/user", {"nick_name": "x", "sex": 3}) == 1101
    assert await house.ask("DELETE", f"{path}/users/{user}") is True
    assert await house.code("GET", f"{path}/users/{user}") == 1106


async def test_a_frozen_device_does_nothing(house: House, api: Api) -> None:
    path = f"/v2.0/cloud/thing/{house.lamp}"
    assert await house.ask("POST", f"{path}/freeze", {"state": 1}) is True
    assert await house.ask("GET", f"{path}/state") == {"state": 1}
    assert (await house.companion(f"/devices/{house.lamp}"))["frozen"] is True
    assert await house.ask("POST", f"{path}/freeze", {"state": 0}) is True
    assert await house.ask("GET", f"{path}/state") == {"state": 0}
    assert await house.code("POST", f"{path}/freeze", {"state": 2}) == 1109


async def test_scenes_and_timers_are_truthfully_none(house: House) -> None:
    assert await house.ask("GET", f"/v1.0/homes/{house.home_id}/scenes") == []
    assert await house.code("POST", f"/v1.0/homes/{house.home_id}/scenes", {"name": "x"}) == 2003
    assert await house.ask("GET", f"/v1.0/devices/{house.lamp}/timers") == []
    assert await house.code("POST", f"/v1.0/devices/{house.lamp}/timers", {}) == 2003


def test_every_operation_of_the_catalogue_has_its_route() -> None:
    ours = {(op.method, op.path) for op in OPERATIONS}
    assert len(ours) == len(OPERATIONS)
    wanted = {(op["method"], op["path"].partition("?")[0]) for op in CATALOGUE if op["tier"] in ("seed", "extended")}
    assert wanted - ours == set()
