"""Packages and upgrades, files, configuration and logs: what the hub offers devices, and what they make of it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import replace

from app.links.iotda import files
from app.links.iotda.packages import TOKEN_S
from app.store.retention import DAY_MS
from tests.links.iotda.house import House, Speaker, house_in

PACKAGE = b"the firmware of a lamp, version 2" * 1000


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_in(tmp_path) as house:
        yield house


async def package(house: House, version: str = "v2", kind: str = "firmware", body: bytes = PACKAGE) -> Any:
    owner = await house.api.person(f"owner-{version}-{kind}")
    token = owner.headers["authorization"].removeprefix("Bearer ")
    accounts = house.api.services.credentials.accounts
    account = accounts.get(token)
    assert account is not None
    await house.api.store.write(lambda tx: accounts.put(tx, token, replace(account, hub_owner=True)))
    params = {"product_id": "lamp", "kind": kind, "version": version, "custom_info": "new features"}
    answer = await owner.post("/api/packages", params=params, content=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def offered(house: House, lamp: Speaker, kind: str = "firmware") -> tuple[Any, Any]:
    """(the package, what the device is told of it)."""
    made = await package(house, kind=kind)
    path = f"/api/devices/{lamp.principal.device_id}/upgrades"
    answer = await house.client.post(path, json={"package_id": made["id"]})
    assert answer.status_code == 201, answer.text
    assert await lamp.told("version_query") == {}
    await lamp.event("$ota", "version_report", {"sw_version": "v1", "fw_version": "v1"})
    return made, await lamp.told(f"{made['kind']}_upgrade")


async def state(house: House, lamp: Speaker) -> Any:
    found = (await house.client.get(f"/api/devices/{lamp.principal.device_id}/upgrades")).json()["items"]
    return found[0]


@pytest.mark.parametrize("kind", ["firmware", "software"])
async def test_a_device_is_upgraded(house: House, kind: str) -> None:
    lamp = await house.connected("lamp", "1")
    made, told = await offered(house, lamp, kind=kind)
    assert made["sha256"] == hashlib.sha256(PACKAGE).hexdigest()
    assert told == {
        "version": "v2",
        "url": f"http://hub/iotda/packages/{made['id']}",
        "file_size": len(PACKAGE),
        "access_token": told["access_token"],
        "expires": TOKEN_S,
        "sign": made["sha256"],
        "custom_info": "new features",
    }
    client = house.api.client()
    headers = {"Authorization": f"Bearer {told['access_token']}"}
    fetched = await client.get(told["url"], headers=headers)
    assert (fetched.status_code, fetched.content) == (200, PACKAGE)
    rest = await client.get(told["url"], headers={**headers, "Range": "bytes=100-"})
    assert (rest.status_code, rest.content) == (206, PACKAGE[100:])
    await lamp.event("$ota", "upgrade_progress_report", {"result_code": 0, "progress": 80, "version": "v1"})
    running = await state(house, lamp)
    assert (running["state"], running["progress"]) == ("running", 80)
    await lamp.event("$ota", "upgrade_progress_report", {"result_code": 0, "progress": 100, "version": "v2"})
    done = await state(house, lamp)
    assert (done["state"], done["progress"], done["result"]) == ("succeeded", 100, "success")
    assert [each["value"]["state"] for each in await house.log(lamp.principal.device_id, "upgrade")] == [
        "succeeded",
        "offered",
    ]


async def test_a_device_that_comes_back_with_the_new_version_has_been_upgraded(house: House) -> None:
    lamp = await house.connected("lamp", "1")
    await offered(house, lamp)
    house.line.cut(lamp.principal.device_id)
    lamp = house.line.connect(lamp.principal.device_id, "lamp_1")
    await lamp.told("version_query")
    await lamp.event("$ota", "version_report", {"fw_version": "v2"})
    assert (await state(house, lamp))["state"] == "succeeded"
    await house.api.store.write(lambda tx: None)
    assert (await house.view(lamp.principal.device_id))["firmware"] == "v2"


async def test_a_device_that_was_away_is_offered_the_package_when_it_comes(house: House) -> None:
    device_id, wire_id = await house.register("lamp", "1")
    made = await package(house)
    path = f"/api/devices/{device_id}/upgrades"
    assert (await house.client.post(path, json={"package_id": made["id"]})).status_code == 201
    lamp = house.line.connect(device_id, wire_id)
    await lamp.told("version_query")
    await lamp.event("$ota", "version_report", {"fw_version": "v1"})
    assert (await lamp.told("firmware_upgrade"))["version"] == "v2"


@pytest.mark.parametrize("how", ["status", "report"])
async def test_a_device_behind_a_gateway_is_offered_the_package_when_it_comes(house: House, how: str) -> None:
    gateway = await house.connected("gateway", "1")
    child_id, child = await house.register("lamp", "a", gateway_id=gateway.principal.device_id)
    await gateway.told("add_sub_device_notify")
    house.line.cut(gateway.principal.device_id)
    made = await package(house)
    path = f"/api/devices/{child_id}/upgrades"
    assert (await house.client.post(path, json={"package_id": made["id"]})).status_code == 201
    gateway = house.line.connect(gateway.principal.device_id, gateway.wire_id)
    assert house.line.sent.empty()
    if how == "status":
        online = {"device_statuses": [{"device_id": child, "status": "ONLINE"}]}
        await gateway.event("$sub_device_manager", "sub_device_update_status", online)
        await gateway.told("sub_device_update_status_response")
    else:
        values = {"services": [{"service_id": "Light", "properties": {"brightness": 7}}]}
        devices = {"devices": [{"device_id": child, **values}]}
        await gateway.say("sys/gateway/sub_devices/properties/report", devices)
    assert await gateway.told("version_query") == {}
    said = {"service_id": "$ota", "event_type": "version_report", "paras": {"fw_version": "v1"}}
    await gateway.say("sys/events/up", {"object_device_id": child, "services": [said]})
    assert (await gateway.told("firmware_upgrade"))["version"] == "v2"


async def test_who_comes_before_the_hub_listens_is_told_of_packages_and_files_once_it_does(tmp_path: Path) -> None:
    async with house_in(tmp_path) as house:
        address = house.api.services.iotda.address
        address.known("")
        device_id, wire_id = await house.register("lamp", "1")
        made = await package(house)
        assert (
            await house.client.post(f"/api/devices/{device_id}/upgrades", json={"package_id": made["id"]})
        ).status_code == 201
        lamp = house.line.connect(device_id, wire_id)
        await lamp.told("version_query")
        for _ in range(2):
            await lamp.event("$ota", "version_report", {"fw_version": "v1"})
        await lamp.event("$file_manager", "get_upload_url", {"file_name": "a.jpg"})
        assert house.line.sent.empty()
        address.known("http://hub")
        assert (await lamp.told("firmware_upgrade"))["url"] == f"http://hub/iotda/packages/{made['id']}"
        assert (await lamp.told("get_upload_url_response"))["url"].startswith("http://hub/")
        assert house.line.sent.empty()


async def test_a_failure_is_told_and_another_may_follow(house: House) -> None:
    lamp = await house.connected("lamp", "1")
    made, _ = await offered(house, lamp)
    path = f"/api/devices/{lamp.principal.device_id}/upgrades"
    second = await house.client.post(path, json={"package_id": made["id"]})
    assert (second.status_code, second.json()["code"]) == (409, "upgrade_open")
    await lamp.event("$ota", "upgrade_progress_report", {"result_code": 4, "version": "v1", "description": "charge me"})
    failed = await state(house, lamp)
    assert (failed["state"], failed["result"], failed["description"]) == ("failed", "low_battery", "charge me")
    assert (await house.client.post(path, json={"package_id": made["id"]})).status_code == 201


async def test_a_package_is_fetched_by_its_device_in_time_and_by_nobody_else(house: House) -> None:
    lamp = await house.connected("lamp", "1")
    made, told = await offered(house, lamp)
    other = await package(house, version="v3", body=b"other")
    token, client = told["access_token"], house.api.client()
    for shown in ("", "x", token[:-1], f"{token}x", token.replace(lamp.principal.device_id, made["id"])):
        answer = await client.get(told["url"], headers={"Authorization": f"Bearer {shown}"})
        assert answer.status_code == 403
        assert answer.json()["error_code"] == "IOTDA.00004"
    assert (await client.get(told["url"])).status_code == 403
    elsewhere = told["url"].replace(made["id"], other["id"])
    headers = {"Authorization": f"Bearer {token}"}
    assert (await client.get(elsewhere, headers=headers)).status_code == 403
    house.api.forward(TOKEN_S * 1000 + 1000)
    assert (await client.get(told["url"], headers=headers)).status_code == 403


async def test_a_package_of_another_product_is_refused(house: House) -> None:
    plug = await house.connected("plug", "1")
    made = await package(house)
    path = f"/api/devices/{plug.principal.device_id}/upgrades"
    answer = await house.client.post(path, json={"package_id": made["id"]})
    assert (answer.status_code, answer.json()["code"]) == (400, "package_unfit")


def contents(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.iterdir()]


async def url_of(lamp: Speaker, kind: str, name: str = "a.jpg", **more: Any) -> str:
    await lamp.event("$file_manager", f"get_{kind}_url", {"file_name": name, **more})
    told = await lamp.told(f"get_{kind}_url_response")
    assert (told["object_name"], told["expire"]) == (name, files.URL_S)
    url: str = told["url"]
    return url


async def test_a_file_goes_up_and_comes_down_once_an_address(house: House) -> None:
    lamp = await house.connected("lamp", "1")
    device_id, client = lamp.principal.device_id, house.api.client()
    up = await url_of(lamp, "upload", file_attributes={"size": 9})
    assert (await client.get(up)).status_code == 403
    assert (await client.put(up, content=b"a picture")).status_code == 200
    assert (await client.put(up, content=b"another one")).status_code == 403
    result = {"object_name": "a.jpg", "result_code": 0, "status_code": 200}
    assert await lamp.event("$file_manager", "upload_result_report", result) is None
    (shown,) = (await house.client.get(f"/api/devices/{device_id}/files")).json()["items"]
    assert (shown["name"], shown["size"]) == ("a.jpg", 9)
    assert (await house.client.get(f"/api/devices/{device_id}/files/a.jpg")).content == b"a picture"
    down = await url_of(lamp, "download")
    assert (await client.get(down)).content == b"a picture"
    assert (await client.get(down)).status_code == 403


async def test_a_devices_files_are_its_own_and_go_with_it(house: House, tmp_path: Path) -> None:
    lamp, other = await house.connected("lamp", "1"), await house.connected("lamp", "2")
    client = house.api.client()
    await client.put(await url_of(lamp, "upload"), content=b"a picture")
    assert (await client.get(await url_of(other, "download"))).status_code == 403
    await client.put(await url_of(lamp, "upload"), content=b"a newer one")
    assert await asyncio.to_thread(contents, tmp_path / "files") == [b"a newer one"]
    assert (await house.client.delete(f"/api/devices/{lamp.principal.device_id}")).status_code == 204
    await house.api.services.iotda.stop()
    assert await asyncio.to_thread(contents, tmp_path / "files") == []


async def test_an_address_ends_and_only_so_many_are_open(house: House) -> None:
    lamp = await house.connected("lamp", "1")
    first, client = await url_of(lamp, "upload"), house.api.client()
    for _ in range(files.OPEN_PER_DEVICE):
        last = await url_of(lamp, "upload")
    assert (await client.put(first, content=b"x")).status_code == 403
    house.api.forward(files.URL_S * 1000 + 1000)
    assert (await client.put(last, content=b"x")).status_code == 403


async def test_what_is_too_large_is_not_kept(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_FILE", 1000)
    lamp = await house.connected("lamp", "1")
    answer = await house.api.client().put(await url_of(lamp, "upload"), content=b"x" * 1001)
    assert (answer.status_code, answer.json()["error_code"]) == (403, "IOTDA.021105")
    assert await asyncio.to_thread(contents, tmp_path / "files") == []


async def test_what_a_crash_left_half_written_goes(house: House, tmp_path: Path) -> None:
    await asyncio.to_thread((tmp_path / "files").mkdir)
    await asyncio.to_thread((tmp_path / "files" / "left.new").write_bytes, b"half")
    lamp = await house.connected("lamp", "1")
    await house.api.client().put(await url_of(lamp, "upload"), content=b"whole")
    assert await asyncio.to_thread(contents, tmp_path / "files") == [b"whole"]


async def test_what_is_no_name_of_a_file(house: House) -> None:
    lamp = await house.connected("lamp", "1")
    for name in ("", "../x", "a/b", "..", "x" * 200, "a\nb"):
        assert await lamp.event("$file_manager", "get_upload_url", {"file_name": name}) is not None
    assert house.line.sent.empty()


async def test_a_configuration_is_sent_until_it_is_answered(house: House) -> None:
    device_id, wire_id = await house.register("lamp", "1")
    path = f"/api/devices/{device_id}/config"
    content = {"config_key1": "device config1"}
    assert (await house.client.put(path, json={"content": content})).status_code == 200
    lamp = house.line.connect(device_id, wire_id)
    assert await lamp.told("config_update") == {"config_content": content}
    house.api.forward(DAY_MS + 1000)
    await house.api.store.housekeeping.run()
    assert await lamp.told("config_update") == {"config_content": content}
    await house.api.store.housekeeping.run()
    assert house.line.sent.empty()
    await lamp.event("$device_config", "config_update_response", {"result_code": 0, "description": "well"})
    (shown,) = (await house.client.get(path)).json()["items"]
    assert (shown["result_code"], shown["description"]) == (0, "well")
    house.api.forward(DAY_MS + 1000)
    await house.api.store.housekeeping.run()
    assert house.line.sent.empty()


async def test_a_configuration_nobody_answers_ends(house: House) -> None:
    lamp = await house.connected("lamp", "1")
    path = f"/api/devices/{lamp.principal.device_id}/config"
    assert (await house.client.put(path, json={"content": {}, "days": 1})).status_code == 200
    await lamp.told("config_update")
    house.api.forward(DAY_MS + 1000)
    await house.api.store.housekeeping.run()
    assert house.line.sent.empty()


async def test_a_device_is_told_to_send_its_log_and_to_stop(house: House) -> None:
    device_id, wire_id = await house.register("lamp", "1")
    path = f"/api/devices/{device_id}/log-collection"
    assert (await house.client.put(path, json={"until": "2090-01-01T00:00:00Z"})).status_code == 200
    lamp = house.line.connect(device_id, wire_id)
    assert await lamp.told("log_config") == {"switch": "on", "end_time": "20900101T000000Z"}
    assert (await house.client.put(path, json={"until": None})).status_code == 200
    assert (await lamp.told("log_config"))["switch"] == "off"
