"""Factory resets: what ends with them at once, what is kept, and what the old credential is still good for."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.devices.model import BoundElsewhere
from app.devices.reset_model import EXPIRES_MS, KEEP_ENDED_MS
from app.errors import NotFound
from tests.api.harness import Api
from tests.api.things import bind, home_of, room_of

SECRET = "a-secret-of-24-letters.."
WAIT = 20.0
ON = {"service": "light", "values": {"on": True}}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with Api(tmp_path / "data") as api:
        yield api


async def reset(client: httpx2.AsyncClient, device_id: str, record: str = "keep") -> dict[str, Any]:
    answer = await client.post(f"/api/devices/{device_id}/reset", json={"record": record})
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def view(client: httpx2.AsyncClient, device_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = (await client.get(f"/api/devices/{device_id}")).json()
    return shown


async def state(client: httpx2.AsyncClient, device_id: str) -> str:
    found: str = (await client.get(f"/api/devices/{device_id}/reset")).json()["state"]
    return found


async def types(api: Api, home_id: str) -> list[str]:
    rows = await api.store.read(
        lambda reader: reader.all("SELECT type FROM events WHERE home_id=? AND kind='device' ORDER BY seq", (home_id,))
    )
    return [row[0] for row in rows]


async def register(client: httpx2.AsyncClient, home_id: str, **fields: Any) -> httpx2.Response:
    body = {"product_id": "lamp", "node_id": "1", "secret": SECRET, **fields}
    return await client.post(f"/api/homes/{home_id}/devices", json=body)


async def test_a_record_that_is_kept_stays_with_all_that_is_known_of_it(api: Api) -> None:
    anna = await api.person("anna")
    home_id = await home_of(anna)
    room_id = await room_of(anna, home_id)
    device_id = await bind(api, home_id, name="Mine", room_id=room_id)
    await api.services.devices.reported(device_id, "light", {"on": True})
    api.services.devices.online(device_id, "lan")
    shown = await reset(anna, device_id)
    assert (shown["device_id"], shown["record"], shown["state"]) == (device_id, "keep", "queued")
    assert (shown["delivered_at"], shown["ended_at"]) == (None, None)
    kept = await view(anna, device_id)
    assert (kept["name"], kept["room_id"], kept["online"]) == ("Mine", room_id, False)
    assert kept["unbound_at"] is not None
    assert kept["services"]["light"]["reported"]["on"]["value"] is True
    assert [each["id"] for each in (await anna.get(f"/api/homes/{home_id}/devices")).json()["items"]] == [device_id]
    async with asyncio.timeout(WAIT):
        while "device.offline" not in (told := await types(api, home_id)):
            await asyncio.sleep(0.01)
    assert told[-3:] == ["device.reset", "device.unbound", "device.offline"]
    await api.services.journal.flush()
    entries = (await anna.get(f"/api/devices/{device_id}/journal", params={"type": "reset"})).json()["items"]
    assert [each["source"] for each in entries] == [shown["account_id"]]


async def test_nothing_is_done_with_a_device_that_was_reset(api: Api) -> None:
    anna = await api.person("anna")
    home_id = await home_of(anna)
    device_id, other = await bind(api, home_id), await bind(api, home_id, "d-2")
    waiting = await anna.post(f"/api/devices/{device_id}/commands", json=ON)
    group = {"name": "Both", "devices": [device_id, other]}
    group_id = (await anna.post(f"/api/homes/{home_id}/groups", json=group)).json()["id"]
    await reset(anna, device_id)
    ended = (await anna.get(f"/api/devices/{device_id}/commands/{waiting.json()['id']}")).json()
    assert (ended["state"], ended["outcome"]) == ("failed", {"error": "device_reset"})
    for answer in (
        await anna.post(f"/api/devices/{device_id}/commands", json=ON),
        await anna.patch(f"/api/devices/{device_id}/services/light/desired", json={"values": {"on": True}}),
        await anna.post(f"/api/devices/{device_id}/secret", json={}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "device_unbound")
    told = (await anna.post(f"/api/groups/{group_id}/commands", json=ON)).json()
    assert [each["device_id"] for each in told["commands"]] == [other]
    assert [(each["device_id"], each["code"]) for each in told["unable"]] == [(device_id, "device_unbound")]
    assert api.services.devices.of_hardware("d-1") is None
    with pytest.raises(NotFound):
        await api.services.devices.reported(device_id, "light", {"on": False})
    api.services.devices.online(device_id, "lan")
    assert (await view(anna, device_id))["online"] is False


async def test_what_was_wanted_of_it_is_wanted_no_more(api: Api) -> None:
    anna = await api.person("anna")
    home_id = await home_of(anna)
    device_id = await bind(api, home_id)
    await api.services.devices.reported(device_id, "light", {"on": True})
    path = f"/api/devices/{device_id}/services/light/desired"
    assert (await anna.patch(path, json={"values": {"brightness": 300}})).status_code == 200
    await reset(anna, device_id)
    service = (await view(anna, device_id))["services"]["light"]
    assert (service["desired"], service["reported"]["on"]["value"]) == ({}, True)
    assert await bind(api, home_id) == device_id
    await api.services.devices.reported(device_id, "light", {"brightness": 1000})
    open_ones = (await anna.get(f"/api/devices/{device_id}/commands")).json()["items"]
    assert {each["state"] for each in open_ones} == {"failed"}


async def test_its_shares_end_and_those_of_others_do_not(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    home_id = await home_of(anna)
    device_id, other = await bind(api, home_id), await bind(api, home_id, "d-2")
    for each in (device_id, other):
        made = await anna.post(f"/api/devices/{each}/shares", json={"login": "ben"})
        share_id = made.json()["share"]["id"]
        assert (await ben.post(f"/api/me/shares/{share_id}/accept")).status_code == 200
    await reset(anna, device_id)
    assert (await ben.get(f"/api/devices/{device_id}")).status_code == 404
    assert (await ben.get(f"/api/devices/{other}")).status_code == 200


async def test_paired_again_in_the_same_home_it_is_the_same_device(api: Api) -> None:
    anna = await api.person("anna")
    home_id = await home_of(anna)
    device_id = await bind(api, home_id, name="Mine")
    before = await view(anna, device_id)
    await reset(anna, device_id)
    api.forward(60_000)
    assert await bind(api, home_id, name="Factory name") == device_id
    again = await view(anna, device_id)
    assert (again["name"], again["unbound_at"]) == ("Mine", None)
    assert again["bound_at"] > before["bound_at"]
    assert await state(anna, device_id) == "confirmed"
    assert (await anna.post(f"/api/devices/{device_id}/commands", json=ON)).status_code == 202


async def test_paired_in_another_home_the_kept_record_ends(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    annas, bens = await home_of(anna), await home_of(ben)
    device_id = await bind(api, annas)
    with pytest.raises(BoundElsewhere):
        await bind(api, bens)
    await reset(anna, device_id)
    second = await bind(api, bens)
    assert second != device_id
    assert (await anna.get(f"/api/devices/{device_id}")).status_code == 404
    assert (await ben.get(f"/api/devices/{second}/reset")).status_code == 404
    (listed,) = (await anna.get(f"/api/homes/{annas}/resets")).json()["items"]
    assert (listed["device_id"], listed["state"]) == (device_id, "confirmed")


async def test_a_name_that_is_registered_elsewhere_takes_no_kept_record(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    annas, bens = await home_of(anna), await home_of(ben)
    device_id = (await register(anna, annas)).json()["device"]["id"]
    await reset(anna, device_id)
    taken = await register(ben, bens)
    assert (taken.status_code, taken.json()["code"]) == (409, "device_id_taken")
    again = await register(anna, annas, secret="another-secret-of-24-let")
    assert (again.status_code, again.json()["device"]["id"]) == (201, device_id)
    assert await state(anna, device_id) == "superseded"
    device = api.services.devices.of_hardware("lamp_1")
    assert device is not None
    credential = api.services.devices.credentials.of(device)
    assert credential is not None
    # What was given out for the first secret (a token over HTTPS) is of version 1: it must never be valid again.
    assert (credential.secrets, credential.version) == ((b"another-secret-of-24-let",), 3)
    assert api.services.devices.resets.departing("lamp_1") is None


async def test_another_home_calls_off_no_wipe_by_registering_the_name(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    annas, bens = await home_of(anna), await home_of(ben)
    device_id = (await register(anna, annas)).json()["device"]["id"]
    await reset(anna, device_id, "remove")
    taken = await register(ben, bens)
    assert (taken.status_code, taken.json()["code"]) == (409, "device_bound_elsewhere")
    assert api.services.devices.resets.departing("lamp_1") is not None
    await api.services.devices.resets.confirmed("lamp_1")
    assert (await register(ben, bens)).status_code == 201


async def test_a_record_that_is_removed_is_gone_and_the_device_still_to_be_told(tmp_path: Path) -> None:
    async with Api(tmp_path) as api:
        anna = await api.person("anna")
        home_id = await home_of(anna)
        device_id = (await register(anna, home_id)).json()["device"]["id"]
        paired = await bind(api, home_id)
        for each in (device_id, paired):
            assert (await reset(anna, each, "remove"))["record"] == "remove"
            assert (await anna.get(f"/api/devices/{each}")).status_code == 404
        assert (await types(api, home_id))[-3:] == ["device.reset", "device.unbound", "device.removed"]
    async with Api(tmp_path) as api:  # started anew
        departing = api.services.devices.resets.departing
        for hardware_id, secret in (("lamp_1", SECRET.encode()), ("d-1", None)):
            found = departing(hardware_id)
            assert found is not None
            assert found.credential is not None
            assert secret is None or found.credential.secrets == (secret,)
        anna = api.client(anna.headers["authorization"].removeprefix("Bearer "))
        listed = (await anna.get(f"/api/homes/{home_id}/resets", params={"limit": 1})).json()
        assert listed["items"][0]["device_id"] == paired
        rest = (await anna.get(f"/api/homes/{home_id}/resets", params={"cursor": listed["next"]})).json()
        assert [each["device_id"] for each in rest["items"]] == [device_id]
        assert rest["next"] is None


async def test_what_nobody_fetches_expires_and_leaves_no_secret(api: Api) -> None:
    anna = await api.person("anna")
    home_id = await home_of(anna)
    device_id = (await register(anna, home_id)).json()["device"]["id"]
    await reset(anna, device_id)
    resets = api.services.devices.resets
    assert resets.departing("lamp_1") is not None
    api.forward(EXPIRES_MS + 1)
    assert resets.departing("lamp_1") is None
    await api.store.housekeeping.run()
    assert await state(anna, device_id) == "expired"
    sealed = await api.store.read(lambda reader: reader.all("SELECT row FROM secrets WHERE row LIKE '%lamp_1%'"))
    assert sealed == []
    await resets.confirmed("lamp_1")
    assert await state(anna, device_id) == "expired"
    assert (await view(anna, device_id))["unbound_at"] is not None
    api.forward(KEEP_ENDED_MS)
    await api.store.housekeeping.run()
    assert (await anna.get(f"/api/devices/{device_id}/reset")).status_code == 404


async def test_asked_twice_it_is_told_once(api: Api) -> None:
    anna = await api.person("anna")
    home_id = await home_of(anna)
    device_id = await bind(api, home_id)
    first = await reset(anna, device_id)
    api.services.devices.resets.delivered("d-1")
    await api.store.write(lambda tx: None)
    second = await reset(anna, device_id)
    assert second["id"] == first["id"]
    removed = await reset(anna, device_id, "remove")
    assert (removed["id"], removed["record"]) == (first["id"], "remove")
    assert (await anna.get(f"/api/devices/{device_id}")).status_code == 404
    assert api.services.devices.resets.departing("d-1") is not None


async def test_told_and_acknowledged_once(api: Api) -> None:
    anna = await api.person("anna")
    home_id = await home_of(anna)
    device_id = await bind(api, home_id)
    await reset(anna, device_id)
    resets = api.services.devices.resets
    resets.delivered("d-1")
    resets.delivered("d-1")
    await resets.confirmed("d-1", "another")
    assert await state(anna, device_id) == "delivered"
    await resets.confirmed("d-1")
    await resets.confirmed("d-1")
    shown = (await anna.get(f"/api/devices/{device_id}/reset")).json()
    assert shown["state"] == "confirmed"
    assert shown["delivered_at"] is not None
    told = [each for each in await types(api, home_id) if each.startswith("device.reset_")]
    assert told == ["device.reset_delivered", "device.reset_confirmed"]
    assert resets.departing("d-1") is None


async def test_with_a_gateway_go_those_behind_it(api: Api) -> None:
    anna = await api.person("anna")
    home_id = await home_of(anna)
    gateway_id = await bind(api, home_id, "d-g", product="gateway")
    child = await bind(api, home_id, "d-g/1", gateway_id=gateway_id)
    await reset(anna, gateway_id)
    assert (await view(anna, child))["unbound_at"] is not None
    answer = await anna.post(f"/api/devices/{child}/commands", json=ON)
    assert (answer.status_code, answer.json()["code"]) == (409, "device_unbound")
    assert await bind(api, home_id, "d-g", product="gateway") == gateway_id
    assert (await view(anna, child))["unbound_at"] is not None
    assert await bind(api, home_id, "d-g/1", gateway_id=gateway_id) == child
    assert (await view(anna, child))["unbound_at"] is None


async def test_reset_by_hand_it_goes_the_same_way(api: Api) -> None:
    anna = await api.person("anna")
    home_id = await home_of(anna)
    device_id = await bind(api, home_id)
    await api.services.devices.was_reset(device_id)
    await api.services.devices.was_reset(device_id)
    shown = (await anna.get(f"/api/devices/{device_id}/reset")).json()
    assert (shown["state"], shown["account_id"], shown["record"]) == ("confirmed", None, "keep")
    assert (await view(anna, device_id))["unbound_at"] is not None
    assert api.services.devices.resets.departing("d-1") is None
    assert [each for each in await types(api, home_id) if each == "device.reset"] == ["device.reset"]


async def test_a_version_that_is_stale_resets_nothing(api: Api) -> None:
    anna = await api.person("anna")
    device_id = await bind(api, await home_of(anna))
    answer = await anna.post(f"/api/devices/{device_id}/reset", json={}, headers={"If-Match": '"7"'})
    assert (answer.status_code, answer.json()["code"]) == (412, "version_mismatch")
    unknown = await anna.post(f"/api/devices/{device_id}/reset", json={"record": "burn"})
    assert unknown.status_code == 400
    assert (await anna.get(f"/api/devices/{device_id}/reset")).status_code == 404
