"""Freezing over the companion API: nothing can be asked of a frozen device, and what was asked before has failed."""

from pathlib import Path
from typing import Any

import pytest

from app.devices.model import BoundElsewhere, DeviceFrozen
from tests.api.fake_link import ON, FakeLink
from tests.api.harness import Api
from tests.api.listening import Listening
from tests.api.things import bind, home_of


async def freeze(client: Any, device_id: str, verb: str = "freeze") -> dict[str, Any]:
    answer = await client.post(f"/api/devices/{device_id}/{verb}")
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    assert answer.headers["etag"] == f'"{shown["version"]}"'
    return shown


async def test_nothing_can_be_asked_of_it_until_it_is_unfrozen(api: Api) -> None:
    anna = await api.person("anna")
    device_id = await bind(api, await home_of(anna))
    link, path = FakeLink(api), f"/api/devices/{device_id}"
    link.up(device_id)
    assert (await anna.get(path)).json()["online"] is True
    frozen = await freeze(anna, device_id)
    assert (frozen["frozen"], frozen["version"]) == (True, 2)
    assert await freeze(anna, device_id) == frozen
    shown = (await anna.get(path)).json()
    assert (shown["frozen"], shown["online"]) == (True, False)
    link.up(device_id)
    assert (await anna.get(path)).json()["online"] is False
    for verb, suffix, body in (("POST", "/commands", ON), ("PATCH", "/services/light/desired", {"values": {"on": 1}})):
        refused = await anna.request(verb, path + suffix, json=body)
        assert (refused.status_code, refused.json()["code"]) == (409, "device_frozen"), suffix
    assert await api.services.devices.reported(device_id, "light", {"on": True}) is None
    assert (await anna.get(path)).json()["services"] == {}
    assert (await freeze(anna, device_id, "unfreeze"))["frozen"] is False
    assert (await freeze(anna, device_id, "unfreeze"))["version"] == 3
    link.up(device_id)
    assert (await anna.post(f"{path}/commands", json=ON)).status_code == 202
    assert (await link.next()).body.values == {"on": True}


async def test_what_it_was_still_to_do_has_failed(api: Api) -> None:
    anna = await api.person("anna")
    device_id = await bind(api, await home_of(anna))
    path = f"/api/devices/{device_id}"
    asked = (await anna.post(f"{path}/commands", json=ON)).json()
    await anna.patch(f"{path}/services/light/desired", json={"values": {"brightness": 40}})
    async with Listening(api.app, str(anna.headers["authorization"]).removeprefix("Bearer ")) as stream:
        await freeze(anna, device_id)
        heard = [each.event for each in await stream.until("device.frozen")] + [(await stream.next()).event]
    assert heard[-2:] == ["device.frozen", "command.failed"]
    shown = (await anna.get(f"{path}/commands/{asked['id']}")).json()
    assert (shown["state"], shown["outcome"]) == ("failed", {"error": "device_frozen"})
    assert api.services.control.dispatch.count(device_id) == 0
    log = (await anna.get(f"{path}/journal", params={"type": "frozen"})).json()["items"]
    assert [each["source"] for each in log] == [str(anna.headers["authorization"]).removeprefix("Bearer ")]


async def test_a_group_goes_on_without_it(api: Api) -> None:
    anna = await api.person("anna")
    home_id = await home_of(anna)
    one, two = await bind(api, home_id, "d-1"), await bind(api, home_id, "d-2")
    made = await anna.post(f"/api/homes/{home_id}/groups", json={"name": "Both", "devices": [one, two]})
    path = f"/api/groups/{made.json()['id']}/commands"
    await freeze(anna, one)
    answer = (await anna.post(path, json=ON)).json()
    assert [each["device_id"] for each in answer["commands"]] == [two]
    assert [(each["device_id"], each["code"]) for each in answer["unable"]] == [(one, "device_frozen")]
    await freeze(anna, two)
    refused = await anna.post(path, json=ON)
    assert (refused.status_code, refused.json()["code"]) == (409, "device_frozen")


async def test_a_frozen_gateway_keeps_out_what_is_behind_it_and_a_frozen_child_only_itself(api: Api) -> None:
    anna = await api.person("anna")
    home_id = await home_of(anna)
    gateway = await bind(api, home_id, "d-g", product="gateway")
    one, two = [await bind(api, home_id, f"d-g/{n}", gateway_id=gateway) for n in (1, 2)]
    devices = api.services.devices
    await freeze(anna, one)
    assert [devices.is_frozen(each) for each in (gateway, one, two)] == [False, True, False]
    asked = (await anna.post(f"/api/devices/{two}/commands", json=ON)).json()
    devices.online(two, "lan")
    await freeze(anna, gateway)
    assert [devices.is_frozen(each) for each in (gateway, one, two)] == [True, True, True]
    shown = (await anna.get(f"/api/devices/{two}")).json()
    assert (shown["online"], shown["frozen"]) == (False, False)
    assert (await anna.get(f"/api/devices/{two}/commands/{asked['id']}")).json()["state"] == "failed"
    refused = await anna.post(f"/api/devices/{two}/commands", json=ON)
    assert refused.json()["code"] == "device_frozen"
    await freeze(anna, gateway, "unfreeze")
    assert [devices.is_frozen(each) for each in (gateway, one, two)] == [False, True, False]
    assert (await anna.post(f"/api/devices/{two}/commands", json=ON)).status_code == 202


async def test_it_is_frozen_after_a_restart(tmp_path: Path) -> None:
    async with Api(tmp_path) as api:
        anna = await api.person("anna")
        device_id = await bind(api, await home_of(anna))
        await freeze(anna, device_id)
    async with Api(tmp_path) as api:
        assert api.services.devices.is_frozen(device_id)
        anna = api.client(str(anna.headers["authorization"]).removeprefix("Bearer "))
        assert (await anna.get(f"/api/devices/{device_id}")).json()["frozen"] is True
        assert (await anna.post(f"/api/devices/{device_id}/commands", json=ON)).status_code == 409


async def test_pairing_does_not_get_around_it(api: Api) -> None:
    anna, ben = await api.person("anna"), await api.person("ben")
    home_id, other = await home_of(anna), await home_of(ben)
    device_id = await bind(api, home_id)
    await freeze(anna, device_id)
    # What it says of a reset by hand is not heard either: it would free it for another home.
    await api.services.devices.was_reset(device_id)
    for where, error in ((home_id, DeviceFrozen), (other, BoundElsewhere)):
        with pytest.raises(error):
            await bind(api, where)
    assert (await anna.delete(f"/api/devices/{device_id}")).status_code == 204
    assert await bind(api, other) != device_id


async def test_one_that_is_reset_is_frozen_no_more_and_must_be_paired_again(api: Api) -> None:
    anna = await api.person("anna")
    home_id = await home_of(anna)
    device_id = await bind(api, home_id)
    path = f"/api/devices/{device_id}"
    await freeze(anna, device_id)
    assert (await anna.post(f"{path}/reset", json={})).status_code == 200
    shown = (await anna.get(path)).json()
    assert (shown["frozen"], shown["unbound_at"] is None) == (False, False)
    refused = await anna.post(f"{path}/freeze")
    assert (refused.status_code, refused.json()["code"]) == (409, "device_unbound")
    assert await bind(api, home_id) == device_id
    await freeze(anna, device_id)


async def test_who_saw_an_older_version_is_refused(api: Api) -> None:
    anna = await api.person("anna")
    path = f"/api/devices/{await bind(api, await home_of(anna))}"
    assert (await anna.patch(path, json={"name": "Porch"})).status_code == 200
    assert (await anna.post(f"{path}/freeze", headers={"If-Match": '"1"'})).status_code == 412
    assert (await anna.get(path)).json()["frozen"] is False
