"""Devices over the companion API: entries, rooms, values, presence, and their end."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from app.caller import Caller
from app.devices.absence_queries import left_online
from app.devices.model import BoundElsewhere, GatewayUnfit, NewDevice, ProductUnknown, RoomUnknown
from app.devices.shadows import NOTED_UNFIT
from app.errors import NotFound
from app.policy import Grant, Level
from app.store.tx import Event, Reader
from tests.api.harness import Api
from tests.api.things import bind, home_of, room_of, without_request_id


async def test_a_device_is_seen_by_its_home_and_by_nobody_else(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    home_id = await home_of(anna)
    device_id = await bind(api, home_id)
    path = f"/api/devices/{device_id}"
    seen = await anna.get(path)
    assert seen.status_code == 200
    assert seen.headers["etag"] == '"1"'
    assert seen.headers["content-type"] == "application/json"
    assert (seen.json()["name"], seen.json()["product_id"], seen.json()["online"]) == ("Lamp", "lamp", False)
    listed = await anna.get(f"/api/homes/{home_id}/devices")
    assert listed.json() == {"items": [seen.json()], "next": None}
    for verb, suffix, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "mine"}),
        ("DELETE", "", None),
        ("GET", "/services/light", None),
        ("PATCH", "/services/light/desired", {"values": {"on": True}}),
        ("GET", "/journal", None),
    ):
        hidden = await ben.request(verb, path + suffix, json=body)
        missing = await ben.request(verb, "/api/devices/none" + suffix, json=body)
        assert hidden.status_code == 404
        assert without_request_id(hidden) == without_request_id(missing)
    assert (await ben.get(f"/api/homes/{home_id}/devices")).status_code == 404


async def test_an_entry_changes_for_who_saw_its_version(api: Api) -> None:
    anna = await api.person("anna")
    home_id = await home_of(anna)
    room_id = await room_of(anna, home_id)
    path = f"/api/devices/{await bind(api, home_id)}"
    seen = {"If-Match": (await anna.get(path)).headers["etag"]}
    change = {"name": "Reading lamp", "icon": "desk-lamp", "position": 3, "room_id": room_id}
    first, second = await asyncio.gather(
        anna.patch(path, json=change, headers=seen), anna.patch(path, json={"name": "Lamp 2"}, headers=seen)
    )
    assert sorted((first.status_code, second.status_code)) == [200, 412]
    assert (await anna.get(path)).headers["etag"] == '"2"'
    assert (await anna.patch(path, json=change)).json() | {"version": 0} == {
        **change,
        "id": path.rpartition("/")[2],
        "home_id": home_id,
        "product_id": "lamp",
        "frozen": False,
        "offline_alert_after": None,
        "version": 0,
    }
    for wrong in ({"name": ""}, {"name": "a\nb"}, {"icon": "A B"}, {"position": -1}, {"colour": "red"}):
        assert (await anna.patch(path, json=wrong)).status_code == 400


async def test_a_device_moves_within_its_home_only(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    home_id, other_home = await home_of(anna), await home_of(ben)
    room_id, other_room = await room_of(anna, home_id), await room_of(ben, other_home)
    device_id = await bind(api, home_id)
    path = f"/api/devices/{device_id}"
    elsewhere = await anna.patch(path, json={"room_id": other_room})
    nowhere = await anna.patch(path, json={"room_id": "none"})
    assert elsewhere.status_code == 400
    assert without_request_id(elsewhere) == without_request_id(nowhere)
    assert (await anna.patch(path, json={"room_id": room_id})).status_code == 200
    rooms = f"/api/homes/{home_id}/devices"
    assert [d["id"] for d in (await anna.get(rooms, params={"room_id": room_id})).json()["items"]] == [device_id]
    assert (await anna.get(rooms, params={"room_id": other_room})).json()["items"] == []
    assert (await anna.delete(f"/api/homes/{home_id}/rooms/{room_id}")).status_code == 204
    assert (await anna.get(path)).json()["room_id"] is None
    assert (await anna.get(rooms, params={"room_id": room_id})).json()["items"] == []


async def test_a_list_comes_in_pages(api: Api) -> None:
    anna = await api.person("anna")
    home_id = await home_of(anna)
    made = [await bind(api, home_id, f"d-{n}") for n in range(7)]
    seen: list[str] = []
    cursor: dict[str, Any] = {}
    while True:
        page = (await anna.get(f"/api/homes/{home_id}/devices", params={"limit": 3, **cursor})).json()
        seen += [device["id"] for device in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert seen == sorted(made)
    assert (await anna.get(f"/api/homes/{home_id}/devices", params={"cursor": "x"})).status_code == 400


async def test_reports_are_the_shadow_and_survive_a_restart(tmp_path: Path) -> None:
    async with Api(tmp_path / "data") as api:
        anna = await api.person("anna")
        home_id = await home_of(anna)
        device_id = await bind(api, home_id)
        said = {"on": True, "brightness": 333, "sparkle": 1, "mode": "disco"}
        assert await api.services.devices.reported(device_id, "light", said) == 1
        assert await api.services.devices.reported(device_id, "light", {"brightness": 400}) == 2
        assert await api.services.devices.reported(device_id, "turbo", {"on": True}) is None
        service = (await anna.get(f"/api/devices/{device_id}/services/light")).json()
        assert {n: p["value"] for n, p in service["reported"].items()} == {"on": True, "brightness": 400}
        before = (await anna.get(f"/api/devices/{device_id}")).json()
        assert before["services"] == {"light": service}
        journal = (await anna.get(f"/api/devices/{device_id}/journal")).json()["items"]
        unfit = {entry["code"]: entry["value"]["value"] for entry in journal if entry["type"] == "unfit"}
        assert unfit == {"sparkle": "1", "mode": "disco", "turbo": "None"}
        token = anna.headers["authorization"].removeprefix("Bearer ")
    async with Api(tmp_path / "data") as api:
        again = (await api.client(token).get(f"/api/devices/{device_id}")).json()
        assert again == before


async def test_many_reports_in_one_batch_leave_memory_as_the_disk_is(api: Api) -> None:
    anna = await api.person("anna")
    device_id = await bind(api, await home_of(anna))
    await asyncio.gather(
        *(api.services.devices.reported(device_id, "light", {"brightness": 10 + n}) for n in range(50)),
        *(api.services.devices.reported(device_id, "light", {"temperature": n}) for n in range(50)),
    )
    shown = (await anna.get(f"/api/devices/{device_id}/services/light")).json()
    rows: dict[str, str] = await api.store.read(lambda r: dict(r.all("SELECT property, reported FROM shadow")))
    assert shown["version"] == 100
    assert {name: str(point["value"]) for name, point in shown["reported"].items()} == rows


async def test_of_a_report_of_nonsense_a_little_is_noted(api: Api) -> None:
    anna = await api.person("anna")
    device_id = await bind(api, await home_of(anna))
    nonsense = {f"p{n}": n for n in range(128)}
    assert await api.services.devices.reported(device_id, "light", nonsense | {"on": True}) == 1
    noted = (await anna.get(f"/api/devices/{device_id}/journal", params={"type": "unfit"})).json()["items"]
    assert len(noted) == NOTED_UNFIT


async def test_values_are_wanted_under_the_version_that_was_seen(api: Api) -> None:
    anna = await api.person("anna")
    path = f"/api/devices/{await bind(api, await home_of(anna))}/services/light"
    assert (await anna.get(path)).headers["etag"] == '"0"'
    wish = {"values": {"on": True, "brightness": 700}}
    first, second = await asyncio.gather(
        *(anna.patch(path + "/desired", json=wish, headers={"If-Match": '"0"'}) for _ in range(2))
    )
    assert sorted((first.status_code, second.status_code)) == [200, 412]
    dropped = await anna.patch(path + "/desired", json={"values": {"on": None}}, headers={"If-Match": '"1"'})
    assert {n: p["value"] for n, p in dropped.json()["desired"].items()} == {"brightness": 700}
    assert (await anna.get(path)).json() == dropped.json()
    for wrong in ({"on": 1}, {"shine": True}, {"shine": None}, {"brightness": 5}):
        assert (await anna.patch(path + "/desired", json={"values": wrong})).status_code == 400
    assert (await anna.get(path.replace("light", "sound"))).status_code == 404


async def test_a_short_absence_does_not_blink(api: Api) -> None:
    anna = await api.person("anna")
    device_id = await bind(api, await home_of(anna))
    devices, path = api.services.devices, f"/api/devices/{device_id}"
    devices.presence.grace = 0.05
    devices.online(device_id, "lan", "1.2.0")
    assert (await anna.get(path)).json()["online"] is True
    devices.offline(device_id)
    devices.online(device_id, "lan", "1.2.0")
    gone = asyncio.Event()

    def listen(events: list[Event]) -> None:
        if any(event.type == "device.offline" for event in events):
            gone.set()

    api.store.listen(listen)
    devices.offline(device_id)
    assert (await anna.get(path)).json()["online"] is True
    async with asyncio.timeout(20):
        await gone.wait()
    seen = (await anna.get(path)).json()
    assert (seen["online"], seen["firmware"], seen["last_seen_at"] is None) == (False, "1.2.0", False)
    types = await api.store.read(lambda r: [t for (t,) in r.all("SELECT type FROM events ORDER BY seq")])
    assert [t for t in types if t.startswith("device.")][1:] == ["device.updated", "device.online", "device.offline"]


async def test_the_same_hardware_keeps_its_identity_in_its_home(api: Api) -> None:
    anna = await api.person("anna")
    home_id = await home_of(anna)
    room_id = await room_of(anna, home_id)
    device_id = await bind(api, home_id, firmware="1")
    await anna.patch(f"/api/devices/{device_id}", json={"name": "Mine", "room_id": room_id})
    assert await bind(api, home_id, firmware="2", name="Factory name") == device_id
    again = (await anna.get(f"/api/devices/{device_id}")).json()
    assert (again["name"], again["room_id"], again["firmware"]) == ("Mine", room_id, "2")
    device = api.services.devices.of_hardware("d-1")
    assert device is not None
    assert (device.id, device.owner_epoch) == (device_id, 2)


async def test_another_home_gets_it_only_once_it_is_free(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    annas, bens = await home_of(anna), await home_of(ben)
    device_id = await bind(api, annas)
    with pytest.raises(BoundElsewhere):
        await bind(api, bens)
    assert (await anna.delete(f"/api/devices/{device_id}")).status_code == 204
    new_id = await bind(api, bens)
    assert new_id != device_id
    assert (await anna.get(f"/api/devices/{device_id}")).status_code == 404
    await api.services.devices.was_reset(new_id)
    third = await bind(api, annas)
    assert (await ben.get(f"/api/devices/{new_id}")).status_code == 404
    device = api.services.devices.of_hardware("d-1")
    assert device is not None
    assert (device.id, device.owner_epoch) == (third, 3)


async def test_a_device_let_go_is_recognised_to_be_told_so(tmp_path: Path) -> None:
    left: list[str] = []
    async with Api(tmp_path / "data") as api:
        anna = await api.person("anna")
        device_id = await bind(api, await home_of(anna))
        bond = api.services.devices.bond_of("d-1")
        assert bond is not None
        assert not bond.removed
        api.services.devices.on_left.append(lambda device: left.append(device.hardware_id))
        stale = {"If-Match": '"7"'}
        assert (await anna.delete(f"/api/devices/{device_id}", headers=stale)).status_code == 412
        assert (await anna.delete(f"/api/devices/{device_id}")).status_code == 204
        assert left == ["d-1"]
    async with Api(tmp_path / "data") as api:
        after = api.services.devices.bond_of("d-1")
        assert after is not None
        assert (after.removed, after.credential) == (True, bond.credential)
        assert api.services.devices.of_hardware("d-1") is None


async def test_devices_behind_a_gateway_leave_with_it(api: Api) -> None:
    anna = await api.person("anna")
    home_id = await home_of(anna)
    gateway_id = await bind(api, home_id, "d-g", product="gateway")
    lamp_id = await bind(api, home_id, "d-l")
    sub_id = await bind(api, home_id, "d-s", product="climate_sensor", gateway_id=gateway_id, link="gateway")
    with pytest.raises(GatewayUnfit):
        await bind(api, home_id, "d-x", gateway_id=lamp_id)
    with pytest.raises(GatewayUnfit):
        await bind(api, home_id, "d-y", product="gateway", gateway_id=gateway_id)
    assert (await anna.get(f"/api/devices/{sub_id}")).json()["gateway_id"] == gateway_id
    assert (await anna.delete(f"/api/devices/{gateway_id}")).status_code == 204
    listed = (await anna.get(f"/api/homes/{home_id}/devices")).json()["items"]
    assert [device["id"] for device in listed] == [lamp_id]


async def test_devices_behind_a_gateway_are_gone_when_it_is(api: Api) -> None:
    anna = await api.person("anna")
    home_id = await home_of(anna)
    gateway_id = await bind(api, home_id, "d-g", product="gateway")
    sub_id = await bind(api, home_id, "d-s", product="climate_sensor", gateway_id=gateway_id, link="gateway")
    devices = api.services.devices
    devices.presence.grace = 0.01
    devices.online(gateway_id)
    devices.online(sub_id)
    heard: asyncio.Queue[str] = asyncio.Queue()

    def listen(events: list[Event]) -> None:
        for event in events:
            if event.type == "device.offline":
                heard.put_nowait(event.id)

    api.store.listen(listen)
    devices.offline(gateway_id)
    async with asyncio.timeout(20):
        assert [await heard.get() for _ in range(2)] == [gateway_id, sub_id]
    assert (await anna.get(f"/api/devices/{sub_id}")).json()["online"] is False


async def test_what_cannot_be_bound_is_refused_by_name(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    home_id, other = await home_of(anna), await home_of(ben)
    room = await room_of(ben, other)
    with pytest.raises(ProductUnknown):
        await bind(api, home_id, product="teapot")
    with pytest.raises(RoomUnknown):
        await bind(api, home_id, room_id=room)


async def test_a_home_with_devices_is_dissolved_only_on_purpose(api: Api) -> None:
    anna = await api.person("anna")
    home_id = await home_of(anna)
    await bind(api, home_id)
    path = f"/api/homes/{home_id}/dissolve"
    refused = await anna.post(path, json={"name": "Lindenweg"})
    assert (refused.status_code, refused.json()["facts"]) == (409, {"devices": 1})
    assert api.services.devices.of_hardware("d-1") is not None
    assert (await anna.post(path, json={"name": "Lindenweg", "devices": "remove"})).status_code == 204
    assert api.services.devices.of_hardware("d-1") is None
    assert api.services.devices.memory.count(home_id) == 0


class Shared:
    """Stands in for shares: everybody may view."""

    def grants_of(self, account_id: str, things: tuple[str, ...]) -> tuple[Grant, ...]:
        return (Grant(Level.VIEW),)

    def grants_of_in(self, reader: Reader, account_id: str, things: tuple[str, ...]) -> tuple[Grant, ...]:
        return (Grant(Level.VIEW),)


async def test_a_receiver_sees_the_device_and_not_where_it_stands(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    home_id = await home_of(anna)
    device_id = await bind(api, home_id, room_id=await room_of(anna, home_id), serial="SN1", link="lan")
    api.services.devices.access.granting = Shared()
    inside, outside = [await client.get(f"/api/devices/{device_id}") for client in (anna, ben)]
    seen = inside.json()
    hidden = {name for name, value in outside.json().items() if value != seen[name]}
    assert hidden == {"home_id", "room_id", "serial", "link", "trust"}
    assert home_id not in outside.text
    assert (await ben.patch(f"/api/devices/{device_id}", json={"name": "x"})).status_code == 403
    assert (await ben.get(f"/api/homes/{home_id}/devices")).status_code == 404


async def test_an_idempotent_removal_answers_the_same_twice(api: Api) -> None:
    anna = await api.person("anna")
    path = f"/api/devices/{await bind(api, await home_of(anna))}"
    twice = [await anna.delete(path, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert [answer.status_code for answer in twice] == [204, 204]


async def test_products_are_for_everybody(api: Api) -> None:
    nobody = api.client()
    listed = (await nobody.get("/api/products")).json()["items"]
    assert len(listed) == 17
    lamp = (await nobody.get("/api/products/lamp")).json()
    assert lamp in listed
    assert (await nobody.get("/api/products/teapot")).status_code == 404


async def test_who_may_not_pair_binds_nothing(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    home_id = await home_of(anna)
    new = NewDevice(home_id=home_id, hardware_id="d-9", product_id="lamp")
    stranger = Caller(api.actor(ben.headers["authorization"].removeprefix("Bearer ")))
    with pytest.raises(NotFound):
        await api.store.write(lambda tx: api.services.devices.bind_in(tx, stranger, new))
    assert api.services.devices.of_hardware("d-9") is None


async def test_who_does_not_come_back_after_a_restart_is_told_as_gone(tmp_path: Path) -> None:
    async with Api(tmp_path / "data") as api:
        home_id = await home_of(await api.person("anna"))
        back, lost, long_lost, never = [await bind(api, home_id, f"d-{n}") for n in range(4)]
        devices = api.services.devices
        devices.presence.grace = 0
        devices.online(long_lost, "lan")
        devices.offline(long_lost)
        await _told(api, "device.offline", long_lost)
        for device_id in (back, lost):
            devices.online(device_id, "lan")
            await _told(api, "device.online", device_id)
    async with Api(tmp_path / "data") as api:
        presence = api.services.devices.presence
        presence.grace = 0
        await presence.resume()
        presence.online(back, "lan")
        await _told(api, "device.offline", lost)
        events = await api.store.read(lambda r: r.all("SELECT entity_id FROM events WHERE type='device.offline'"))
        assert [device_id for (device_id,) in events] == [long_lost, lost]
        assert never not in await api.store.read(left_online)


async def _told(api: Api, kind: str, device_id: str) -> None:
    """Returns once listeners have been told."""
    async with asyncio.timeout(20):
        while not await api.store.read(
            lambda r: r.one("SELECT 1 FROM events WHERE type=? AND entity_id=?", (kind, device_id))
        ):
            await asyncio.sleep(0.01)
