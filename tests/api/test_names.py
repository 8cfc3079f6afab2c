"""Names of parts of a device over the companion API."""

from pathlib import Path

import pytest

from app.devices.product.catalogue import built_in
from app.devices.product.outlets import outlets
from tests.api.harness import Api
from tests.api.listening import Listening
from tests.api.things import bind, home_of

GANGS = {"gang_1": {"on": "Ceiling"}, "gang_3": {"on": "Fan", "countdown": "Fan, after a shower"}}


async def test_outlets_and_data_points_are_named_in_one_place(api: Api) -> None:
    anna = await api.person("anna")
    device_id = await bind(api, await home_of(anna), product="switch")
    path = f"/api/devices/{device_id}"
    before = (await anna.get(f"{path}/names")).json()
    assert (before["version"], before["names"]) == (1, {})
    assert [(each["identifier"], each["name"]) for each in before["outlets"]] == [
        ("switch_1", "Gang 1"),
        ("switch_2", "Gang 2"),
        ("switch_3", "Gang 3"),
    ]
    async with Listening(api.app, str(anna.headers["authorization"]).removeprefix("Bearer ")) as stream:
        given = await anna.patch(f"{path}/names", json={"names": GANGS})
        heard = (await stream.until("device.names_changed"))[-1]
    assert heard.data["data"] == {"names": GANGS}
    assert given.headers["etag"] == '"2"'
    assert given.json()["names"] == GANGS
    assert [each["name"] for each in given.json()["outlets"]] == ["Ceiling", "Gang 2", "Fan"]
    assert given.json() == (await anna.get(f"{path}/names")).json()
    shown = await anna.get(path)
    assert (shown.json()["names"], shown.headers["etag"]) == (GANGS, '"2"')
    back = {"names": {"gang_3": {"on": None}, "gang_1": {"on": "Lamp"}}}
    assert (await anna.patch(f"{path}/names", json=back, headers={"If-Match": '"1"'})).status_code == 412
    left = await anna.patch(f"{path}/names", json=back, headers={"If-Match": '"2"'})
    assert left.json()["names"] == {"gang_1": {"on": "Lamp"}, "gang_3": {"countdown": "Fan, after a shower"}}


@pytest.mark.parametrize(
    ("names", "code"),
    [
        ({"gang_9": {"on": "x"}}, "property_unknown"),
        ({"gang_1": {"on": "x", "off": "y"}}, "property_unknown"),
        ({"gang_1": {"on": ""}}, "invalid"),
        ({"gang_1": {"on": "a\nb"}}, "invalid"),
        ({"gang_1": {"on": "x" * 81}}, "invalid"),
        ({"gang_1": {}}, "invalid"),
        ({}, "invalid"),
    ],
)
async def test_what_is_no_name_changes_nothing(api: Api, names: dict[str, dict[str, str]], code: str) -> None:
    anna = await api.person("anna")
    path = f"/api/devices/{await bind(api, await home_of(anna), product='switch')}/names"
    refused = await anna.patch(path, json={"names": names})
    assert (refused.status_code, refused.json()["code"]) == (400, code)
    assert (await anna.get(path)).json()["names"] == {}


async def test_they_stay_through_a_restart_and_a_new_pairing_and_end_with_the_stay(tmp_path: Path) -> None:
    async with Api(tmp_path) as api:
        anna = await api.person("anna")
        home_id = await home_of(anna)
        device_id = await bind(api, home_id, product="switch")
        assert (await anna.patch(f"/api/devices/{device_id}/names", json={"names": GANGS})).status_code == 200
    async with Api(tmp_path) as api:
        anna = api.client(str(anna.headers["authorization"]).removeprefix("Bearer "))
        assert (await anna.get(f"/api/devices/{device_id}")).json()["names"] == GANGS
        assert await bind(api, home_id, product="switch") == device_id
        assert (await anna.get(f"/api/devices/{device_id}")).json()["names"] == GANGS
        assert (await anna.delete(f"/api/devices/{device_id}")).status_code == 204
        again = await bind(api, home_id, product="switch")
        assert (await anna.get(f"/api/devices/{again}")).json()["names"] == {}


def test_what_counts_as_an_outlet() -> None:
    counted = {product.id: [each.identifier for each in outlets(product)] for product in built_in().all()}
    assert {name: found for name, found in counted.items() if found} == {
        "mesh_switch": ["switch_1"],
        "plug": ["switch_1"],
        "switch": ["switch_1", "switch_2", "switch_3"],
    }
